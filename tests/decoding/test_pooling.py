import numpy as np
import pytest
import torch

from megxl.data.groups import word_tokens
from megxl.decoding.pooling import averaging_matrix, pool_words, word_spans
from megxl.errors import InputError


def published_tape(words: int = 50, samples: int = 150) -> torch.Tensor:
    return torch.arange(words)[None] * samples


def pooled(features_BCTD, starts_BW, samples, **options):
    weights_BWT = averaging_matrix(starts_BW, samples, features_BCTD.shape[2], dtype=features_BCTD.dtype, **options)
    return pool_words(features_BCTD, weights_BWT)


def test_published_words_take_thirteen_tokens_and_every_second_neighbour_shares_one():
    first_BW, stop_BW = word_spans(published_tape(), 150)
    assert list(zip(first_BW[0, :4].tolist(), stop_BW[0, :4].tolist(), strict=True)) == [
        (0, 13),
        (12, 25),
        (25, 38),
        (37, 50),
    ]
    assert set((stop_BW - first_BW)[0].tolist()) == {13}
    assert int((first_BW[0, 1:] < stop_BW[0, :-1]).sum()) == 25
    assert int(stop_BW.max()) == 625


def test_spans_are_those_of_the_data_for_any_windows():
    rng = np.random.default_rng(0)
    starts_W, lengths_W = rng.integers(0, 9000, 300), rng.integers(1, 200, 300)
    first_BW, stop_BW = word_spans(torch.from_numpy(starts_W)[None], torch.from_numpy(lengths_W)[None])
    spans_W2 = torch.from_numpy(word_tokens(starts_W, starts_W + lengths_W))
    assert torch.equal(torch.stack([first_BW[0], stop_BW[0]], -1), spans_W2)


def test_pooling_is_the_mean_over_each_words_slice():
    features_BCTD = torch.randn(2, 3, 40, 5, dtype=torch.float64)
    starts_BW = torch.tensor([[0, 31, 290], [7, 100, -1]])
    lengths_BW = torch.tensor([[30, 150, 190], [149, 151, 150]])
    words_BWCD = pooled(features_BCTD, starts_BW, lengths_BW)
    for item in range(2):
        for word in range(3):
            start, length = int(starts_BW[item, word]), int(lengths_BW[item, word])
            if start < 0:
                assert not words_BWCD[item, word].any()
                continue
            expected_CD = features_BCTD[item, :, start // 12 : -(-(start + length) // 12)].mean(1)
            torch.testing.assert_close(words_BWCD[item, word], expected_CD, rtol=1e-6, atol=1e-6)


def test_gradients_are_those_of_the_slices():
    features_BCTD = torch.randn(1, 4, 38, 6, dtype=torch.float64, requires_grad=True)
    starts_BW, sight_BWCD = published_tape(3), torch.randn(1, 3, 4, 6, dtype=torch.float64)
    (pooled(features_BCTD, starts_BW, 150) * sight_BWCD).sum().backward()
    ours, features_BCTD.grad = features_BCTD.grad, None
    slices = [features_BCTD[:, :, first:stop].mean(2) for first, stop in ((0, 13), (12, 25), (25, 38))]
    (torch.stack(slices, 1) * sight_BWCD).sum().backward()
    torch.testing.assert_close(ours, features_BCTD.grad, rtol=1e-6, atol=1e-6)


def test_half_precision_features_stay_half_and_near_the_exact_mean():
    features_BCTD = torch.randn(1, 2, 25, 8)
    words_BWCD = pooled(features_BCTD.bfloat16(), published_tape(2), 150)
    assert words_BWCD.dtype == torch.bfloat16
    torch.testing.assert_close(words_BWCD.float(), pooled(features_BCTD, published_tape(2), 150), rtol=0.02, atol=0.02)


@pytest.mark.parametrize(
    ("starts", "samples", "said"),
    [([[0, 151]], 150, r"word 1 of item 0 ends with token 26 of 25"), ([[0, 10]], 0, "has 0 samples")],
)
def test_windows_outside_the_item_or_without_samples_are_refused(starts, samples, said):
    with pytest.raises(InputError, match=said):
        averaging_matrix(torch.tensor(starts), samples, 25, dtype=torch.float32)


def test_weights_of_another_length_are_refused():
    weights_BWT = averaging_matrix(published_tape(2), 150, 25, dtype=torch.float32)
    with pytest.raises(InputError, match="25 tokens"):
        pool_words(torch.zeros(1, 2, 26, 8), weights_BWT)


@pytest.mark.parametrize("samples_per_token", [5, 8, 10, 25, 40])
def test_words_are_pooled_over_the_tokens_that_hold_any_of_their_samples(samples_per_token):
    rng = np.random.default_rng(0)
    starts = [*(150 * np.arange(4)), *rng.integers(0, 850, 8).tolist()]
    features_BCTD = torch.randn(1, 3, -(-1000 // samples_per_token), 5, dtype=torch.float64)
    words_BWCD = pooled(features_BCTD, torch.tensor([starts]), 150, samples_per_token=samples_per_token)
    for word, start in enumerate(starts):
        # sample by sample: which token is it in?
        tokens = sorted({sample // samples_per_token for sample in range(start, start + 150)})
        expected_CD = features_BCTD[0][:, tokens].mean(1)
        torch.testing.assert_close(words_BWCD[0, word], expected_CD, rtol=1e-6, atol=1e-6)
