"""Code books as a training learns them, through all levels, alone and on two ranks."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from megxl.errors import InputError
from megxl.tokenizer.codebooks import CodeBookLearner, CodeBookNews, CodeBookRules
from megxl.tokenizer.quantizer import Level, Observed, ResidualQuantizer

RULES = CodeBookRules(decay=0.9, kmeans_iterations=20, kmeans_vectors=60)
HASTY = replace(RULES, decay=0.5)
"""Lets codes die within few steps."""
SEED = 11


def quantizer(dtype: torch.dtype = torch.float64, *, levels: int = 3, codes: int = 12) -> ResidualQuantizer:
    torch.manual_seed(0)
    return ResidualQuantizer(levels=levels, width=8, code_width=4, codes=codes).to(dtype)


def rows(step: int, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    """Encoder vectors (8, 15, 8) around 20 directions, on another side now and then, and their rows' seeds."""
    generator = torch.Generator().manual_seed(0)
    directions = torch.randn(20, 8, generator=generator, dtype=torch.float64)
    sides = 4 * torch.randn(9, 8, generator=generator, dtype=torch.float64)
    generator.manual_seed(100 + step)
    which = (torch.rand(8, 15, generator=generator).square() * 20).long()
    vectors = directions[which] + sides[step // 4] + 0.2 * torch.randn(8, 15, 8, generator=generator).double()
    lengths = 0.5 + 3 * torch.rand(8, 15, 1, generator=generator, dtype=torch.float64)
    return (vectors * lengths).to(dtype), 1000 * step + torch.arange(8) ** 3


def take_step(model: ResidualQuantizer, learner: CodeBookLearner, step: int, deal: list[list[int]]) -> CodeBookNews:
    """One step whose rows come in these micro-batches."""
    x_NTD, seeds_N = rows(step, next(model.parameters()).dtype)
    for some in deal:
        model(x_NTD[some], learner.observer(seeds_N[some]))
    return learner.update(step, SEED)


def state(model: ResidualQuantizer) -> list[Tensor]:
    return [buffer.clone() for buffer in model.buffers()]


def test_kmeans_finds_each_levels_book_on_what_the_levels_before_left():
    model, (x_NTD, seeds_N) = quantizer(), rows(0)
    CodeBookLearner(model, replace(RULES, kmeans_vectors=120)).initialise(x_NTD, seeds_N, SEED)
    residual = x_NTD.flatten(0, 1)
    for level in model.levels:
        assert level.initialised.item() == 1
        unit = F.normalize(level.project_in(residual), dim=-1).detach()
        codes = (unit @ level.code_book.T).argmax(-1)
        # k-means has come to rest: each code is the direction of the sum of its vectors, and counts say how many
        for v in range(12):
            members = unit[codes == v]
            assert level.counts[v] == len(members) > 0
            torch.testing.assert_close(level.sums[v], members.sum(0), rtol=0, atol=1e-7)
            torch.testing.assert_close(level.code_book[v], F.normalize(members.sum(0), dim=0), rtol=0, atol=1e-7)
        residual = residual - level.vectors(codes)


def test_a_sample_of_the_vectors_is_counted_as_the_whole():
    model, (x_NTD, seeds_N) = quantizer(), rows(0)
    CodeBookLearner(model, RULES).initialise(x_NTD, seeds_N, SEED)
    assert all(round(level.counts.sum().item(), 6) == 120 for level in model.levels)
    other = quantizer()
    order = torch.randperm(8)
    CodeBookLearner(other, RULES).initialise(x_NTD[order], seeds_N[order], SEED)
    for mine, theirs in zip(state(model), state(other), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-12)


def test_counts_and_sums_of_a_sample_are_on_the_scale_of_the_whole():
    model, (x_NTD, seeds_N) = quantizer(), rows(0)
    x_NTD = x_NTD.flatten(0, 1)[:12].repeat(10, 1).reshape(8, 15, 8)
    CodeBookLearner(model, replace(RULES, kmeans_vectors=24)).initialise(x_NTD, seeds_N, SEED)
    level = model.levels[0]
    # all vectors of a cluster are equal or nearly so, each counted five times
    assert level.counts.sum() == 120 and set((level.counts % 5).tolist()) == {0}
    assert ((level.sums.norm(dim=-1) - level.counts).abs() <= 0.05 * level.counts).all()


def test_released_books_are_not_made_anew():
    model, (x_NTD, seeds_N) = quantizer(), rows(0)
    model.levels[1].initialised.fill_(1)
    before = [buffer.clone() for buffer in model.levels[1].buffers()]
    learner = CodeBookLearner(model, RULES)
    assert not learner.initialised
    learner.initialise(x_NTD, seeds_N, SEED)
    assert learner.initialised
    assert all(torch.equal(*pair) for pair in zip(before, model.levels[1].buffers(), strict=True))
    assert model.levels[0].counts.sum() > 0 and model.levels[2].counts.sum() > 0


def test_released_books_without_counts_outlive_the_first_step():
    model = quantizer()
    for level in model.levels:
        level.initialised.fill_(1)
    before = model.code_books_QVK.clone()
    news = take_step(model, CodeBookLearner(model, replace(RULES, decay=0.99)), 0, [list(range(8))])
    assert news.revived_Q.tolist() == [0, 0, 0] and min(news.used_Q.tolist()) < 12
    # every code keeps 99 % of what it is taken to have been, its fair share of 10 vectors
    assert F.cosine_similarity(before, model.code_books_QVK, dim=-1).min() > 0.99


def test_a_batch_with_fewer_vectors_than_codes_fills_what_it_can():
    model, (x_NTD, seeds_N) = quantizer(codes=40), rows(0)
    learner = CodeBookLearner(model, RULES)
    learner.initialise(x_NTD[:2], seeds_N[:2], SEED)
    for level in model.levels:
        torch.testing.assert_close(level.code_book.norm(dim=-1), torch.ones(40).double())
        assert level.counts.sum() == 30 and (level.counts == 0).sum() >= 10
    assert take_step(model, learner, 1, [list(range(8))]).revived_Q.min() > 0
    assert all(level.counts.min() > 0 for level in model.levels)


def test_an_update_follows_the_formula_and_revives_from_the_inputs_of_its_own_level():
    model = quantizer()
    learner = CodeBookLearner(model, RULES)
    learner.initialise(*rows(0), SEED)
    for level in model.levels:
        level.counts[3], level.sums[3] = 0.01, level.sums[3] * 1e-3
        level.code_book[3] = -F.normalize(level.code_book.sum(0), dim=0)
    before = [[part.numpy().copy() for part in (level.counts, level.sums, level.code_book)] for level in model.levels]
    seen: list[Observed] = []
    model(rows(1)[0], seen.append)
    news = take_step(model, learner, 1, [list(range(8))])
    for observed, level, (counts, sums, book) in zip(seen, model.levels, before, strict=True):
        unit = F.normalize(observed.inputs_NTK.flatten(0, 1), dim=-1).numpy()
        codes = observed.codes_NT.flatten().numpy()
        alive = []
        for v in range(12):
            members = unit[codes == v]
            count, total = 0.9 * counts[v] + 0.1 * len(members), 0.9 * sums[v] + 0.1 * members.sum(0)
            if count >= min(2.0, 0.1 * 120 / 12):
                centroid = total + 1e-5 * book[v]
                np.testing.assert_allclose(level.code_book[v], centroid / np.linalg.norm(centroid), rtol=0, atol=1e-9)
                np.testing.assert_allclose(level.counts[v], count, rtol=0, atol=1e-12)
                np.testing.assert_allclose(level.sums[v], total, rtol=0, atol=1e-9)
                alive.append(v)
            else:
                assert np.abs(unit - level.code_book[v].numpy()).max(-1).min() < 1e-12
        q = observed.level
        assert 3 not in alive and news.revived_Q[q] == 12 - len(alive)
        assert news.used_Q[q] == len(set(codes.tolist()))


def tokens_that_revive(step: int, seed: int = SEED) -> list[list[int]]:
    """Which of the same 120 tokens become codes 0 to 5 of each level, which are dead; every fourth token is zero."""
    model, (x_NTD, seeds_N) = quantizer(), rows(0)
    x_NTD.view(120, 8)[::4] = 0
    for level in model.levels:
        level.project_in.bias.data.zero_()
        level.project_out.bias.data.zero_()
        level.project_out.weight.data.zero_()
        level.counts.fill_(10)[:6] = 0
        level.code_book[:6] = 1e-9
    seen: list[Observed] = []
    model(x_NTD, seen.append)
    learner = CodeBookLearner(model, replace(RULES, decay=1))
    model(x_NTD, learner.observer(seeds_N))
    assert learner.update(step, seed).revived_Q.tolist() == [6, 6, 6]
    found = []
    for level, observed in zip(model.levels, seen, strict=True):
        unit = F.normalize(observed.inputs_NTK.flatten(0, 1), dim=-1)
        found.append(torch.cdist(level.code_book[:6], unit).argmin(-1).tolist())
        torch.testing.assert_close(level.code_book[:6], unit[found[-1]], rtol=0, atol=1e-12)
    return found


def test_inputs_that_revive_are_drawn_by_seed_step_and_level_and_have_a_direction():
    first, again, later, other = (tokens_that_revive(*draw) for draw in ((1,), (1,), (2,), (1, SEED + 1)))
    assert first == again
    draws = [tuple(tokens) for found in (first, later, other) for tokens in found]
    assert len(set(draws)) == 9
    assert all(token % 4 for tokens in draws for token in tokens)


def test_micro_batches_of_a_step_are_one_batch():
    whole, parts = quantizer(torch.float32), quantizer(torch.float32)
    learners = [CodeBookLearner(model, HASTY) for model in (whole, parts)]
    for learner in learners:
        learner.initialise(*rows(0, torch.float32), SEED)
    revived = 0
    for step in range(1, 15):
        news = take_step(whole, learners[0], step, [list(range(8))])
        again = take_step(parts, learners[1], step, [[6, 1, 0], [7], [2, 5, 4, 3]])
        assert all(torch.equal(*pair) for pair in zip(news, again, strict=True))
        revived += int(news.revived_Q.sum())
    for one, other in zip(state(whole), state(parts), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-6)
    assert revived > 0


def test_the_buffers_are_all_that_a_resumed_training_needs():
    through = quantizer()
    learner = CodeBookLearner(through, HASTY)
    learner.initialise(*rows(0), SEED)
    for step in range(1, 6):
        take_step(through, learner, step, [list(range(8))])
    resumed = quantizer()
    resumed.load_state_dict(through.state_dict())
    fresh = CodeBookLearner(resumed, HASTY)
    assert fresh.initialised
    for step in range(6, 12):
        take_step(through, learner, step, [list(range(8))])
        take_step(resumed, fresh, step, [list(range(8))])
    assert all(torch.equal(*pair) for pair in zip(state(through), state(resumed), strict=True))


def on_a_rank(rank: int, folder: Path) -> None:
    """The same steps as `whole_steps`, with the rows dealt to two ranks in another order and unequal micro-batches."""
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder / 'meet'}", rank=rank, world_size=2)
    deal = [[[5, 2], [7, 0]], [[1, 3, 4], [6]]][rank]
    own = [row for some in deal for row in some]
    model = quantizer(torch.float32)
    learner = CodeBookLearner(model, HASTY)
    x_NTD, seeds_N = rows(0, torch.float32)
    learner.initialise(x_NTD[own], seeds_N[own], SEED)
    news = [take_step(model, learner, step, deal) for step in range(1, 15)]
    torch.save([state(model), [part.tolist() for one in news for part in one]], folder / f"{rank}.pt")
    torch.distributed.destroy_process_group()


@pytest.mark.slow
def test_two_processes_learn_what_one_does(tmp_path):
    torch.multiprocessing.spawn(on_a_rank, (tmp_path,), nprocs=2)
    model = quantizer(torch.float32)
    learner = CodeBookLearner(model, HASTY)
    learner.initialise(*rows(0, torch.float32), SEED)
    news = [take_step(model, learner, step, [list(range(8))]) for step in range(1, 15)]
    x_NTD = torch.cat([rows(step, torch.float32)[0] for step in range(20, 30)])
    codes = model.search(x_NTD)
    for rank in (0, 1):
        buffers, told = torch.load(tmp_path / f"{rank}.pt")
        assert told == [part.tolist() for one in news for part in one] and any(map(any, told[1::2]))
        for mine, theirs in zip(state(model), buffers, strict=True):
            torch.testing.assert_close(theirs, mine, rtol=0, atol=1e-6)
        for own, theirs in zip(model.buffers(), buffers, strict=True):
            own.copy_(theirs)
        assert torch.equal(model.search(x_NTD), codes)


def test_a_step_in_bfloat16_leaves_books_and_statistics_in_float32():
    plain, mixed = quantizer(torch.float32), quantizer(torch.float32)
    learners = [CodeBookLearner(model, RULES) for model in (plain, mixed)]
    x_NTD, seeds_N = rows(0, torch.float32)
    x_NTD = x_NTD.bfloat16()
    learners[0].initialise(x_NTD.float(), seeds_N, SEED)
    plain(x_NTD.float(), learners[0].observer(seeds_N))
    learners[0].update(1, SEED)
    with torch.autocast("cpu", torch.bfloat16):
        learners[1].initialise(x_NTD, seeds_N, SEED)
        mixed(x_NTD, learners[1].observer(seeds_N))
        learners[1].update(1, SEED)
    for one, other in zip(state(plain), state(mixed), strict=True):
        assert other.dtype == torch.float32
        torch.testing.assert_close(one, other, rtol=0, atol=1e-6)


@pytest.mark.parametrize(("revive", "least", "most"), [(2.0, 0.9, 1.0), (0.0, 0.0, 0.4)])
def test_revival_brings_codes_back_to_use_when_the_encoder_has_moved(revive, least, most):
    torch.manual_seed(5)
    model = ResidualQuantizer(levels=1, width=8, code_width=8, codes=64)
    level = model.levels[0]
    assert isinstance(level, Level)
    level.project_in.weight.data.copy_(torch.eye(8))
    level.project_in.bias.data.zero_()
    learner = CodeBookLearner(model, CodeBookRules(decay=0.95, dead_below=revive, kmeans_vectors=1024))
    centre = F.one_hot(torch.tensor(0), 8)
    mixture = centre + 0.3 * torch.randn(100, 8)

    def batch(turns: int) -> Tensor:
        """Vectors around 100 directions on one side of the sphere, then on another."""
        vectors = mixture[torch.randint(0, 100, (16, 64))] + 0.05 * torch.randn(16, 64, 8)
        return vectors.roll(turns, -1)

    learner.initialise(batch(0), torch.arange(16), SEED)
    assert len(model.search(batch(0)).unique()) / 64 > 0.9
    for step in range(1, 150):
        model(batch(1), learner.observer(1000 * step + torch.arange(16)))
        learner.update(step, SEED)
    assert least < len(model.search(batch(1)).unique()) / 64 <= most


@pytest.mark.parametrize(
    ("name", "value"),
    [("decay", 1.5), ("decay", True), ("smoothing", 0), ("dead_below", float("nan")), ("kmeans_vectors", 0.5)],
)
def test_impossible_rules_are_refused_by_name(name, value):
    with pytest.raises(InputError, match=f"codebooks.{name} must be"):
        replace(RULES, **{name: value})


def test_fewer_vectors_than_codes_are_refused():
    with pytest.raises(InputError, match=r"kmeans_vectors = 60 is less than the 200 codes"):
        CodeBookLearner(quantizer(codes=200), RULES)
