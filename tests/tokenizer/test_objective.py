"""The objective of tokenizer training, against formulas in float64 with a Fourier transform by matrix."""

import math

import numpy as np
import pytest
import torch

from megxl.errors import InputError
from megxl.tokenizer.objective import FAINT, ObjectiveWeights, objective

NOTHING = torch.zeros((), dtype=torch.float64)


def noise(rows: int, samples: int, seed: int = 0) -> torch.Tensor:
    """Rows (N, 1, T) about as strong as a block-scaled signal."""
    generator = torch.Generator().manual_seed(seed)
    return 0.75 * torch.randn(rows, 1, samples, generator=generator, dtype=torch.float64)


def spectrum(x_T: np.ndarray, n_fft: int) -> np.ndarray:
    """Short-time spectrum (frames, frequencies): frames of the reflected row times a Hann window times a matrix."""
    n = np.arange(n_fft)
    padded = np.pad(x_T, n_fft // 2, mode="reflect")
    starts = range(0, len(padded) - n_fft + 1, n_fft // 8)
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * n / n_fft)
    fourier = np.exp(-2j * np.pi * np.outer(n, np.arange(n_fft // 2 + 1)) / n_fft)
    return np.stack([padded[s : s + n_fft] * hann for s in starts]) @ fourier


def spectral_by_hand(output_NT: np.ndarray, target_NT: np.ndarray, n_ffts, phase: float, faint: float) -> float:
    def features(x_T, n_fft):
        x = spectrum(x_T, n_fft)
        modulus = np.sqrt(abs(x) ** 2 + faint**2)
        return np.log(1 + modulus), x.real / modulus, x.imag / modulus

    total = 0.0
    for n_fft in n_ffts:
        for output_T, target_T in zip(output_NT, target_NT, strict=True):
            pairs = zip((1, phase, phase), features(output_T, n_fft), features(target_T, n_fft), strict=True)
            for weight, ours, theirs in pairs:
                total += weight * (abs(ours - theirs).mean() + ((ours - theirs) ** 2).mean()) / len(output_NT)
    return total


def time_by_hand(output_NT: np.ndarray, target_NT: np.ndarray, beta: float) -> float:
    errors = abs(output_NT - target_NT)
    return float(np.where(errors < beta, errors**2 / (2 * beta), errors - beta / 2).mean())


def test_parts_and_total_are_those_of_the_formula():
    output, target = noise(3, 300, seed=1), noise(3, 300, seed=2)
    weights = ObjectiveWeights(time=0.3, time_beta=0.5, spectral=0.7, n_ffts=(32, 256), phase=0.4, commitment=0.9)
    terms = objective(output, target, NOTHING + 2.0, weights)
    time = time_by_hand(output[:, 0].numpy(), target[:, 0].numpy(), 0.5)
    spectral = spectral_by_hand(output[:, 0].numpy(), target[:, 0].numpy(), (32, 256), 0.4, FAINT)
    np.testing.assert_allclose(terms.time.item(), time, rtol=1e-12)
    np.testing.assert_allclose(terms.spectral.item(), spectral, rtol=1e-12)
    np.testing.assert_allclose(terms.commitment.item(), 2.0)
    np.testing.assert_allclose(terms.total.item(), 0.3 * time + 0.7 * spectral + 0.9 * 2.0, rtol=1e-12)


def test_defaults_are_the_published_ones_and_fading_phases_change_nothing_in_strong_signals():
    output, target = noise(2, 300, seed=1), noise(2, 300, seed=2)
    time = time_by_hand(output[:, 0].numpy(), target[:, 0].numpy(), 0.7)
    spectral = spectral_by_hand(output[:, 0].numpy(), target[:, 0].numpy(), (32, 64, 128, 256), 0.2, faint=1e-300)
    terms = objective(output, target, NOTHING + 1.0)
    np.testing.assert_allclose(terms.total.item(), 0.2 * time + spectral + 0.25, rtol=5e-4)


def test_gradients_are_those_of_finite_differences_also_on_silence():
    output, target = noise(3, 40, seed=1), noise(3, 40, seed=2)
    # silence decoded where there is signal, and nearly nothing, where the phase fades
    output[1] = 0
    output[2] *= FAINT / 3
    weights = ObjectiveWeights(n_ffts=(8, 16, 32))

    def total(output_N1T, commitment):
        return objective(output_N1T, target, commitment, weights).total

    assert torch.autograd.gradcheck(total, (output.requires_grad_(), (NOTHING + 1).requires_grad_()), atol=1e-6)


@pytest.mark.parametrize("strength", [0.0, 1e-30, 1e-8, 1.0])
def test_gradients_are_finite_in_float32_however_weak_both_signals_are(strength):
    output = (strength * noise(2, 300, seed=1)).float().requires_grad_()
    target = (strength * noise(2, 300, seed=2)).float()
    objective(output, target, torch.zeros(())).total.backward()
    assert output.grad is not None and output.grad.isfinite().all()
    # the worst a coefficient can do is to pull with the steepest slope of its phase
    assert output.grad.abs().max() < 1 / FAINT


def test_equal_signals_cost_nothing_and_pull_nowhere():
    target = noise(2, 300)
    target[1] = 0
    output = target.clone().requires_grad_()
    terms = objective(output, target, NOTHING)
    terms.total.backward()
    assert [term.item() for term in terms] == [0, 0, 0, 0]
    assert not output.grad.any()


def test_an_inverted_signal_has_the_right_moduli_and_all_phases_wrong():
    target = noise(1, 300)
    twice = 0.0
    for n_fft in (32, 64, 128, 256):
        unit = np.exp(1j * np.angle(spectrum(target[0, 0].numpy(), n_fft)))
        twice += sum(0.2 * (abs(2 * part).mean() + ((2 * part) ** 2).mean()) for part in (unit.real, unit.imag))
    terms = objective(-target, target, NOTHING)
    np.testing.assert_allclose(terms.spectral.item(), twice, rtol=1e-3)


def test_phases_of_unrelated_noise_are_as_far_apart_as_random_angles():
    # for independent angles a, b: mean of |cos a - cos b| is 8 / pi^2, of its square 1; the same for sines
    with_phase = objective(noise(40, 2000, seed=1), noise(40, 2000, seed=2), NOTHING).spectral
    without = objective(noise(40, 2000, seed=1), noise(40, 2000, seed=2), NOTHING, ObjectiveWeights(phase=0.0)).spectral
    expected = 4 * 2 * 0.2 * (8 / math.pi**2 + 1)
    # frequency 0 and half the rate, 2 of 17 to 129, have the phases 0 and pi only
    assert 0.95 * expected < (with_phase - without).item() < 1.02 * expected


def test_rows_count_alike_so_that_means_of_parts_are_the_mean_of_all():
    output, target = noise(6, 300, seed=1), noise(6, 300, seed=2)
    whole = objective(output, target, NOTHING)
    halves = [objective(output[rows], target[rows], NOTHING) for rows in (slice(0, 3), slice(3, 6))]
    for all_rows, first, second in zip(whole, *halves, strict=True):
        torch.testing.assert_close(all_rows, (first + second) / 2, rtol=1e-12, atol=0)


def test_autocast_and_small_types_lose_nothing():
    output, target = noise(2, 300, seed=1).bfloat16(), noise(2, 300, seed=2).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        terms = objective(output, target, torch.ones((), dtype=torch.bfloat16))
    exact = objective(output.double(), target.double(), NOTHING + 1)
    for term, expected in zip(terms, exact, strict=True):
        assert term.dtype == torch.float32
        torch.testing.assert_close(term.double(), expected, rtol=1e-5, atol=0)


@pytest.mark.parametrize(("samples", "fitting"), [(127, (32, 64)), (128, (32, 64, 128)), (32, (32,))])
def test_scales_longer_than_the_rows_are_left_out(samples, fitting):
    output, target = noise(2, samples, seed=1), noise(2, samples, seed=2)
    expected = spectral_by_hand(output[:, 0].numpy(), target[:, 0].numpy(), fitting, 0.2, FAINT)
    np.testing.assert_allclose(objective(output, target, NOTHING).spectral.item(), expected, rtol=1e-12)


def test_rows_too_short_for_every_scale_are_refused_unless_spectra_count_nothing():
    output, target = noise(2, 31, seed=1), noise(2, 31, seed=2)
    with pytest.raises(InputError, match="at least 32 samples a row"):
        objective(output, target, NOTHING)
    terms = objective(output, target, NOTHING, ObjectiveWeights(spectral=0.0, n_ffts=()))
    assert terms.spectral.item() == 0
    assert terms.total.item() == pytest.approx(0.2 * terms.time.item(), rel=1e-12)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"time": -1.0}, "time must .* not -1.0"),
        ({"phase": math.nan}, "phase must .* not nan"),
        ({"commitment": math.inf}, "commitment must .* not inf"),
        ({"n_ffts": ()}, "n_ffts is empty"),
        ({"n_ffts": (32, 36)}, "multiples of 8 samples, not 36"),
        ({"n_ffts": (0,)}, "multiples of 8 samples, not 0"),
    ],
)
def test_meaningless_weights_are_refused_by_name(wrong, named):
    with pytest.raises(InputError, match=named):
        ObjectiveWeights(**wrong)
