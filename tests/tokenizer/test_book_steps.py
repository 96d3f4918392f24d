"""Running means of code books and new life for dead codes, against float64 formulas code by code."""

import numpy as np
import torch
import torch.nn.functional as F

from megxl.tokenizer.book_steps import GRACE, Books, moved, reshuffled, revived
from megxl.tokenizer.draws import LAST, Draw

LEVELS, CODES, WIDTH = 2, 5, 4


def books_of(counts_QV: torch.Tensor) -> Books:
    book_QVK = F.normalize(torch.randn(LEVELS, CODES, WIDTH, dtype=torch.float64), dim=-1)
    return Books(book_QVK, counts_QV.double(), torch.randn(LEVELS, CODES, WIDTH, dtype=torch.float64))


def some_steps(steps: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Counts and sums of steps in which some codes are unused, the last of each level always."""
    found = []
    for _ in range(steps):
        counts_QV = torch.randint(0, 4, (LEVELS, CODES)).double()
        counts_QV[:, -1] = 0
        sums_QVK = torch.randn(LEVELS, CODES, WIDTH, dtype=torch.float64) * (counts_QV[..., None] > 0)
        found.append((counts_QV, sums_QVK))
    return found


def test_running_means_over_several_steps_equal_the_formula():
    torch.manual_seed(1)
    books = books_of(torch.rand(LEVELS, CODES) * 10)
    counts, sums, book = (part.numpy().copy() for part in (books.counts_QV, books.sums_QVK, books.code_books_QVK))
    for new_counts, new_sums in some_steps(12):
        books = moved(books, new_counts, new_sums, decay=0.9, smoothing=0.05)
        for q in range(LEVELS):
            for v in range(CODES):
                counts[q, v] = 0.9 * counts[q, v] + 0.1 * float(new_counts[q, v])
                sums[q, v] = 0.9 * sums[q, v] + 0.1 * new_sums[q, v].numpy()
                moved_to = sums[q, v] + 0.05 * book[q, v]
                book[q, v] = moved_to / np.linalg.norm(moved_to)
    for found, expected in zip(books, (book, counts, sums), strict=True):
        np.testing.assert_allclose(found.numpy(), expected, rtol=0, atol=1e-12)


def test_the_published_laplace_smoothing_gives_the_same_directions():
    torch.manual_seed(2)
    books = books_of(1 + torch.rand(LEVELS, CODES) * 10)
    ((counts_QV, sums_QVK),) = some_steps(1)
    found = moved(books, counts_QV, sums_QVK, decay=0.99, smoothing=1e-5)
    total_Q1 = found.counts_QV.sum(-1, keepdim=True)
    smoothed_QV = (found.counts_QV + 1e-5) / (total_Q1 + CODES * 1e-5) * total_Q1
    published_QVK = found.sums_QVK / smoothed_QV[..., None]
    published_QVK = published_QVK / published_QVK.norm(dim=-1, keepdim=True)
    torch.testing.assert_close(found.code_books_QVK, published_QVK, rtol=0, atol=1e-4)


def test_a_code_of_which_nothing_is_known_stays_where_it_is():
    books = books_of(torch.ones(LEVELS, CODES))
    books.sums_QVK[:, 2] = 0
    nothing = torch.zeros(LEVELS, CODES, WIDTH, dtype=torch.float64)
    found = moved(books, nothing[..., 0], nothing, decay=0.99, smoothing=1e-5)
    torch.testing.assert_close(found.code_books_QVK[:, 2], books.code_books_QVK[:, 2], rtol=0, atol=1e-12)


def test_a_book_without_counts_goes_on_as_if_used_evenly():
    books = books_of(torch.zeros(LEVELS, CODES))
    books.counts_QV[1] = 3
    directions_QVK = books.code_books_QVK.clone()
    books.code_books_QVK.mul_(0.8)
    counts_QV = torch.tensor([[10.0, 0, 0, 0, 0], [10.0, 0, 0, 0, 0]]).double()
    sums_QVK = F.one_hot(torch.zeros(LEVELS, CODES, dtype=torch.long), WIDTH) * 9.0 * (counts_QV[..., None] > 0)
    found = moved(books, counts_QV, sums_QVK, decay=0.9, smoothing=1e-5)
    # fair share of 10 vectors among 5 codes: 2
    assert torch.allclose(found.counts_QV[0], torch.tensor([2.8, 1.8, 1.8, 1.8, 1.8]).double())
    torch.testing.assert_close(found.code_books_QVK[0, 1:], directions_QVK[0, 1:], rtol=0, atol=1e-12)
    along = 0.9 * 2 * directions_QVK[0, 0] + 0.1 * sums_QVK[0, 0]
    torch.testing.assert_close(found.sums_QVK[0, 0], along, rtol=0, atol=1e-12)
    # the other level has counts, and keeps its sums as they are
    torch.testing.assert_close(found.sums_QVK[1, 1:], 0.9 * books.sums_QVK[1, 1:], rtol=0, atol=1e-12)
    assert not revived(found, draw_of([[1], [1]]), 2.0)[1][0]


def draw_of(numbers_QM: list[list[int]]) -> Draw:
    numbers = torch.tensor(numbers_QM)
    return Draw(numbers, F.normalize(torch.randn(*numbers.shape, WIDTH, dtype=torch.float64), dim=-1))


def test_dead_codes_become_inputs_in_the_order_of_the_draw():
    books = books_of(torch.tensor([[100, 1.9, 2.1, 0, 50], [100, 100, 100, 100, 1.0]]))
    draw = draw_of([[4, 6, 9], [1, 2, 3]])
    found, revived_Q = revived(books, draw, 2.0)
    assert revived_Q.tolist() == [2, 1]
    for q, v, place in ((0, 1, 0), (0, 3, 1), (1, 4, 0)):
        vector = draw.vectors_MD[q, place]
        assert torch.equal(found.code_books_QVK[q, v], vector)
        assert found.counts_QV[q, v] == GRACE * 2.0
        torch.testing.assert_close(found.sums_QVK[q, v], GRACE * 2.0 * vector)
    alive = books.counts_QV > 2
    for part, before in zip(found, books, strict=True):
        assert torch.equal(part[alive], before[alive])


def test_no_more_codes_are_revived_than_there_are_inputs():
    books = books_of(torch.tensor([[100.0, 0, 0, 0, 100], [100, 0, 0, 0, 100]]))
    found, revived_Q = revived(books, draw_of([[7, LAST, LAST], [LAST, LAST, LAST]]), 2.0)
    assert revived_Q.tolist() == [1, 0]
    assert torch.equal(found.code_books_QVK[:, 2:], books.code_books_QVK[:, 2:])
    assert torch.equal(found.counts_QV[:, 2:], books.counts_QV[:, 2:])


def test_in_a_small_batch_a_tenth_of_the_mean_is_enough_to_live():
    # mean 0.4: dead is what has less than 0.04, not less than 2
    books = books_of(torch.tensor([[0.9, 0.05, 0.03, 0.72, 0.3], [0.4, 0.4, 0.4, 0.4, 0.4]]))
    found, revived_Q = revived(books, draw_of([[1, 2], [3, 4]]), 2.0)
    assert revived_Q.tolist() == [1, 0]
    torch.testing.assert_close(found.counts_QV[0, 2].item(), GRACE * 0.04)


def test_another_step_takes_the_same_inputs_in_another_order():
    draw = Draw(torch.cat([torch.arange(50), torch.tensor([LAST])]), torch.arange(51.0)[:, None])
    first, again, second = (reshuffled(draw, 3, step).vectors_MD[:, 0].tolist() for step in (0, 0, 1))
    assert first == again != second
    assert sorted(first) == sorted(second) == list(range(51)) and first[-1] == second[-1] == 50
