"""Losses and their gradients against sums over single pairs in float64."""

import math

import pytest
import torch
from torch import Tensor

from megxl.decoding.contrastive import CLIP, SigLIP, clip_loss, siglip_loss
from megxl.decoding.pairs import check_vectors, same_vectors, same_words, similarity
from megxl.errors import InputError

WORDS = torch.tensor([3, 0, 3, 7, 0, 3, 9, 1])
"""Of eight candidates; the first six belong to estimates."""
NORM_KINDS = ("x", "y", "xy", None)


@pytest.fixture
def vectors() -> tuple[Tensor, Tensor]:
    """Six estimates and eight candidates in float64; the vector is that of the word."""
    table = torch.randn(10, 5, dtype=torch.float64)
    return torch.randn(6, 5, dtype=torch.float64), table[WORDS]


def logit(x: Tensor, y: Tensor, norm_kind: str | None, scale: Tensor | float, bias: Tensor | float = 0.0) -> Tensor:
    length = torch.ones((), dtype=x.dtype)
    if norm_kind in ("x", "xy"):
        length = length * (x * x).sum().sqrt()
    if norm_kind in ("y", "xy"):
        length = length * (y * y).sum().sqrt()
    return scale * (x * y).sum() / length + bias


def siglip_by_hand(estimates, candidates, words, norm_kind, scale, bias, reweigh=True) -> Tensor:
    total = torch.zeros((), dtype=torch.float64)
    for i, x in enumerate(estimates):
        for j, y in enumerate(candidates):
            s = logit(x, y, norm_kind, scale, bias)
            if i == j or (words[i] == words[j] and not reweigh):
                total = total + torch.log1p(torch.exp(-s))
            elif words[i] != words[j]:
                total = total + torch.log1p(torch.exp(s))
    return total / len(estimates)


def clip_by_hand(estimates, candidates, words, norm_kind, scale, symmetric=True) -> Tensor:
    total, count = torch.zeros((), dtype=torch.float64), len(estimates)
    for i in range(count):
        own = logit(estimates[i], candidates[i], norm_kind, scale)
        rivals = [j for j in range(len(candidates)) if j == i or words[j] != words[i]]
        row = [logit(estimates[i], candidates[j], norm_kind, scale) for j in rivals]
        total = total + torch.stack(row).logsumexp(0) - own
        if symmetric:
            column = [logit(estimates[j], candidates[i], norm_kind, scale) for j in rivals if j < count]
            total = total + torch.stack(column).logsumexp(0) - own
    return total / count / (2 if symmetric else 1)


def gradients(loss: Tensor, *inputs: Tensor) -> list[Tensor]:
    return list(torch.autograd.grad(loss, inputs))


def trainable(*tensors: Tensor) -> list[Tensor]:
    return [tensor.clone().requires_grad_() for tensor in tensors]


@pytest.mark.parametrize("norm_kind", NORM_KINDS)
@pytest.mark.parametrize("reweigh", [True, False])
def test_siglip_and_its_gradients_are_the_sum_over_pairs(vectors, norm_kind, reweigh):
    inputs = trainable(*vectors, torch.tensor([0.7]).double(), torch.tensor([-1.3]).double())
    x, y, log_scale, bias = inputs
    same = same_words(WORDS, len(x))
    options = {"norm_kind": norm_kind, "log_scale": log_scale, "bias": bias}
    loss = siglip_loss(x, y, same, reweigh_positives=reweigh, **options)
    expected = siglip_by_hand(x, y, WORDS, norm_kind, log_scale[0].exp(), bias[0], reweigh)
    torch.testing.assert_close(loss, expected, rtol=1e-12, atol=0)
    torch.testing.assert_close(gradients(loss, *inputs), gradients(expected, *inputs), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("norm_kind", NORM_KINDS)
@pytest.mark.parametrize("symmetric", [True, False])
def test_clip_and_its_gradients_are_the_sum_over_words(vectors, norm_kind, symmetric):
    inputs = trainable(*vectors, torch.tensor([0.7]).double())
    x, y, log_scale = inputs
    same = same_words(WORDS, len(x))
    loss = clip_loss(x, y, same, norm_kind=norm_kind, log_scale=log_scale, symmetric=symmetric)
    expected = clip_by_hand(x, y, WORDS, norm_kind, log_scale[0].exp(), symmetric)
    torch.testing.assert_close(loss, expected, rtol=1e-12, atol=0)
    torch.testing.assert_close(gradients(loss, *inputs), gradients(expected, *inputs), rtol=1e-10, atol=1e-12)


def test_modules_begin_at_the_published_numbers(vectors):
    x, y = vectors
    by_hand = siglip_by_hand(x, y, WORDS, "xy", 10.0, -10.0)
    torch.testing.assert_close(SigLIP()(x, y, WORDS), by_hand, rtol=1e-6, atol=0)
    by_hand = siglip_by_hand(x, y, WORDS, "xy", 1.0, 0.0)
    torch.testing.assert_close(SigLIP(temperature=False, bias=False)(x, y, WORDS), by_hand, rtol=1e-6, atol=0)
    torch.testing.assert_close(CLIP()(x, y, WORDS), clip_by_hand(x, y, WORDS, "y", 1 / 0.07), rtol=1e-6, atol=0)
    by_hand = clip_by_hand(x, y, WORDS, "y", 1.0, symmetric=False)
    torch.testing.assert_close(CLIP(temperature=False, symmetric=False)(x, y, WORDS), by_hand, rtol=1e-6, atol=0)


def test_the_published_mean_divides_by_the_estimates_twice(vectors):
    x, y = vectors
    total, mean = SigLIP()(x, y, WORDS), SigLIP(reduction="mean")(x, y, WORDS)
    assert mean.item() == pytest.approx(total.item() / (6 * 8), rel=1e-6)


def test_an_oracle_beats_noise_and_noise_beats_the_inverse():
    table = torch.randn(12, 64)
    words = torch.arange(12).repeat(4)
    targets = table[words]
    noise = torch.randn(48, 64)
    siglip = {name: SigLIP()(x, targets, words).item() for name, x in known(targets, noise)}
    clip = {name: CLIP("xy")(x, targets, words).item() for name, x in known(targets, noise)}
    for losses in (siglip, clip):
        assert losses["oracle"] < 0.2 * losses["noise"] < 0.2 * losses["inverse"]
    # the own pair alone: softplus of 0, of about 10, of 20
    assert siglip["oracle"] == pytest.approx(math.log(2), abs=0.05)
    assert siglip["noise"] == pytest.approx(10, abs=1)
    assert siglip["inverse"] == pytest.approx(20, abs=0.05)
    # the own candidate competes with four of each of eleven other words
    assert clip["oracle"] < math.log(1 + 44) < clip["noise"] < clip["inverse"]


def known(targets: Tensor, noise: Tensor) -> list[tuple[str, Tensor]]:
    return [("oracle", targets), ("noise", noise), ("inverse", -targets)]


def test_parallel_vectors_of_different_words_are_the_same_by_cosine_alone(vectors):
    x, y = vectors
    words = torch.tensor([0, 1, 2, 3, 4, 5, 6, 7])
    torch.testing.assert_close(SigLIP(duplicates="cosine")(x, y), SigLIP()(x, y, WORDS), rtol=1e-12, atol=0)
    torch.testing.assert_close(SigLIP()(x, y, words), SigLIP(duplicates=None)(x, y), rtol=1e-12, atol=0)
    assert SigLIP()(x, y, words) > SigLIP()(x, y, WORDS)
    assert same_vectors(y, 6).equal(same_words(WORDS, 6))


def test_the_threshold_of_the_cosine_counts():
    candidates = torch.tensor([[1.0, 0.0], [0.999, math.sqrt(1 - 0.999**2)], [0.99, math.sqrt(1 - 0.99**2)]]).double()
    assert same_vectors(candidates, 1, 0.9989).tolist() == [[True, True, False]]
    assert same_vectors(candidates, 1, 0.9991).tolist() == [[True, False, False]]
    alone = SigLIP(duplicates=None)(candidates[:1], candidates[:1])
    assert SigLIP(duplicates="cosine", threshold=0.9)(candidates[:1], candidates).equal(alone)
    assert SigLIP(duplicates="cosine")(candidates[:1], candidates) > alone


def test_a_zero_target_is_no_negative_of_its_own_estimate(vectors):
    x, y = vectors[0][:1], vectors[1][:1] * 0
    for loss in (SigLIP(duplicates="cosine"), SigLIP(duplicates="cosine", reweigh_positives=False)):
        assert loss(x, y).item() == pytest.approx(math.log1p(math.exp(10)), rel=1e-6)


def test_fixed_numbers_are_no_parameters_and_learnable_ones_learn(vectors):
    x, y = vectors
    assert not list(SigLIP().parameters()) and not list(CLIP().parameters())
    assert not list(SigLIP(temperature=False, bias=False, learnable=True).parameters())
    for loss, names in ((SigLIP(learnable=True), {"temperature", "bias"}), (CLIP(learnable=True), {"temperature"})):
        assert set(dict(loss.named_parameters())) == names == set(loss.state_dict())
        optimizer = torch.optim.SGD(loss.parameters(), lr=0.01)
        before = loss(x, y, WORDS)
        before.backward()
        optimizer.step()
        assert loss(x, y, WORDS) < before


def test_learning_the_numbers_passes_the_bound_of_the_fixed_ones():
    x = torch.eye(8)
    loss = SigLIP(learnable=True)
    optimizer = torch.optim.Adam(loss.parameters(), lr=0.3)
    for _ in range(100):
        optimizer.zero_grad()
        value = loss(x, x, torch.arange(8))
        value.backward()
        optimizer.step()
    assert SigLIP()(x, x, torch.arange(8)) > math.log(2)
    assert value < 0.1


def test_autocast_does_not_round_the_scores(vectors):
    x, y = (part.float() for part in vectors)
    for loss in (SigLIP(duplicates="cosine"), CLIP("xy")):
        expected = loss(x, y, WORDS)
        with torch.autocast("cpu", torch.bfloat16):
            found = loss(x, y, WORDS)
        assert found.dtype == torch.float32 and found.equal(expected)
    estimates = x.bfloat16()
    torch.testing.assert_close(SigLIP()(estimates, y, WORDS), SigLIP()(estimates.float(), y, WORDS), rtol=0, atol=0)


def test_a_vector_that_is_not_finite_makes_the_loss_so_wherever_it_stands(vectors):
    for place in range(2):
        for row in range(len(vectors[place])):
            broken = [part.clone() for part in vectors]
            broken[place][row, 2] = math.nan
            for loss in (SigLIP(), SigLIP(duplicates="cosine"), SigLIP(reweigh_positives=False), CLIP()):
                assert loss(*broken, WORDS).isnan()


def test_vectors_that_are_not_finite_or_zero_are_named(vectors):
    names = ["a", "the", "a", "sea", "the", "a"]
    estimates, targets = vectors[0], vectors[1][:6]
    check_vectors(estimates, targets, names)
    for value in (math.nan, math.inf, -math.inf):
        broken = estimates.clone()
        broken[[3, 4], 1] = value
        with pytest.raises(InputError, match=r"2 of 6 estimates are not finite \(first: number 3 of the word 'sea'\)"):
            check_vectors(broken, targets, names)
        with pytest.raises(InputError, match=r"2 of 6 target vectors are not finite \(first: number 3\); take another"):
            check_vectors(estimates, broken)
    with pytest.raises(InputError, match="6 of 6 estimates are zero"):
        check_vectors(estimates * 0, targets)
    with pytest.raises(InputError, match="6 of 6 target vectors are zero"):
        check_vectors(estimates, targets * 0)


def test_a_zero_vector_has_no_similarity(vectors):
    x, y = vectors
    for kind in NORM_KINDS:
        assert similarity(x * 0, y, kind).eq(0).all() and similarity(x, y * 0, kind).eq(0).all()


def test_shapes_and_options_that_do_not_fit_are_refused(vectors):
    x, y = vectors
    refusals = {
        "8 estimates and 6 candidates": lambda: siglip_loss(y, x),
        "0 estimates and 8 candidates": lambda: clip_loss(x[:0], y),
        "of 4 numbers cannot be compared with candidates of 5": lambda: siglip_loss(x[:, :4], y),
        r"estimates have the shape \(1, 6, 5\)": lambda: siglip_loss(x[None], y),
        r"same_NM is torch.bool of the shape \(8, 8\)": lambda: siglip_loss(x, y, same_words(WORDS, 8)),
        "same_NM is torch.float64": lambda: clip_loss(x, y, same_words(WORDS, 6).double()),
        "words_M has none for 8 candidates": lambda: SigLIP()(x, y),
        r"words_M has the shape \(6,\) for 8 candidates": lambda: CLIP()(x, y, WORDS[:6]),
        "norm_kind = 'z'; allowed: x, y, xy, None": lambda: CLIP("z"),  # pyright: ignore[reportArgumentType]
        "reduction = 'none'; allowed: sum, mean": lambda: SigLIP(reduction="none"),  # pyright: ignore[reportArgumentType]
        "duplicates = 'text'": lambda: SigLIP(duplicates="text"),  # pyright: ignore[reportArgumentType]
    }
    for sentence, refused in refusals.items():
        with pytest.raises(InputError, match=sentence):
            refused()
