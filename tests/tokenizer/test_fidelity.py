"""Measures of decoded signals, against scipy and numpy in float64 and against signals with known answers."""

import json
import pickle
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy import signal, stats

from megxl.tokenizer.fidelity import (
    BANDS,
    MOST_DB,
    Fidelity,
    band_errors_NF,
    band_names,
    correlation_N,
    si_sdr_N,
    variance_explained_N,
)

PERIODS = {"delta": 2.0, "theta": 6.0, "alpha": 10.0, "beta": 20.0, "gamma": 60.0}


def pair(rows: int = 4, samples: int = 1100, offset: float = 0.0) -> tuple[torch.Tensor, torch.Tensor]:
    """Decoded and true rows, float32, of growing closeness."""
    generator = np.random.default_rng(3)
    target = generator.standard_normal((rows, samples)).cumsum(1) / 10 + generator.standard_normal((rows, samples))
    error = generator.standard_normal((rows, samples)) / np.arange(1, rows + 1)[:, None]
    estimate = 0.8 * target + error + 0.1
    return torch.tensor(estimate + offset).float(), torch.tensor(target + offset).float()


def sines(gains: dict[str, float], sfreq_hz: float, seconds: float = 30.0) -> torch.Tensor:
    """One row, a sine in each band."""
    times = np.arange(round(seconds * sfreq_hz)) / sfreq_hz
    parts = [gain * np.sin(2 * np.pi * PERIODS[band] * times + i) for i, (band, gain) in enumerate(gains.items())]
    return torch.tensor(sum(parts))[None]


@pytest.mark.parametrize("offset", [0.0, 1e5])
def test_measures_of_rows_are_those_of_numpy_in_float64_whatever_the_offset(offset):
    estimate, target = pair(offset=offset)
    e, t = (x.numpy().astype(np.float64) for x in (estimate, target))
    r = [stats.pearsonr(*rows).statistic for rows in zip(e, t, strict=True)]
    np.testing.assert_allclose(correlation_N(estimate, target), r, rtol=1e-10)
    e0, t0 = (x - x.mean(1, keepdims=True) for x in (e, t))
    projected = (e0 * t0).sum(1, keepdims=True) / (t0**2).sum(1, keepdims=True) * t0
    si_sdr = 10 * np.log10((projected**2).sum(1) / ((e0 - projected) ** 2).sum(1))
    np.testing.assert_allclose(si_sdr_N(estimate, target), si_sdr, rtol=1e-9)
    r_squared = 1 - ((e - t) ** 2).sum(1) / (t0**2).sum(1)
    np.testing.assert_allclose(variance_explained_N(estimate, target), r_squared, rtol=1e-9)


@pytest.mark.parametrize(("sfreq_hz", "samples"), [(50.0, 1100), (256.0, 5000), (50.0, 77), (50.0, 150)])
def test_band_errors_are_ratios_of_welch_spectra(sfreq_hz, samples):
    estimate, target = pair(samples=samples)
    e, t = (x.numpy().astype(np.float64) for x in (estimate, target))
    length = min(samples, round(4 * sfreq_hz))

    def powers(x):
        hz, power = signal.welch(x, sfreq_hz, "hann", length, length // 2, detrend="constant", scaling="spectrum")
        lows = [*(low for low in BANDS.values() if low < sfreq_hz / 2), np.inf]
        inside = [(hz >= low) & (hz < high) & (hz > 0) for low, high in pairwise(lows)]
        return np.stack([power[:, chosen].sum(1) for chosen in inside], 1)

    expected = 10 * np.log10(powers(e - t) / powers(t))
    np.testing.assert_allclose(band_errors_NF(estimate, target, sfreq_hz), expected, rtol=1e-9)


def test_a_sine_decoded_at_a_share_of_its_strength_leaves_the_rest_as_error_of_its_band():
    gains = {"delta": 0.9, "theta": 0.5, "alpha": 1.1, "beta": 0.0, "gamma": 2.0}
    target = sines(dict.fromkeys(gains, 1.0), sfreq_hz=250.0)
    errors = band_errors_NF(sines(gains, sfreq_hz=250.0), target, 250.0)
    np.testing.assert_allclose(errors[0], [20 * np.log10(abs(1 - gain)) for gain in gains.values()], atol=1e-6)


def test_error_in_one_band_is_told_of_no_other():
    target = sines(dict.fromkeys(PERIODS, 1.0), sfreq_hz=250.0)
    errors = band_errors_NF(target + 0.1 * sines({"alpha": 1.0}, 250.0), target, 250.0)[0]
    assert errors[2].item() == pytest.approx(-20, abs=1e-6)
    assert (errors[[0, 1, 3, 4]] < -90).all()


@pytest.mark.parametrize(("sfreq_hz", "last"), [(50.0, "beta"), (60.0, "beta"), (60.1, "gamma"), (250.0, "gamma")])
def test_bands_above_half_the_rate_are_absent(sfreq_hz, last):
    assert band_names(sfreq_hz) == tuple(PERIODS)[: list(PERIODS).index(last) + 1]
    assert band_errors_NF(*pair(), sfreq_hz).shape == (4, len(band_names(sfreq_hz)))


def test_a_band_without_power_has_no_error_to_tell():
    errors = band_errors_NF(sines({"delta": 0.5, "alpha": 0.5}, 50.0), sines({"delta": 1.0, "alpha": 1.0}, 50.0), 50.0)
    assert errors.isnan().tolist() == [[False, True, False, True]]


def test_equal_inverted_silent_and_unrelated_rows_score_as_they_should():
    target = pair(samples=5000)[1][:1].double()
    unrelated = torch.randn(1, 5000)
    estimate = torch.cat([target, -target, torch.zeros_like(target), unrelated])
    targets = target.expand(4, -1)
    r, si_sdr, explained = (f(estimate, targets) for f in (correlation_N, si_sdr_N, variance_explained_N))
    bands = band_errors_NF(estimate, targets, 50.0)
    np.testing.assert_allclose(r[:3], [1, -1, 0], atol=1e-12)
    assert abs(r[3]) < 0.1
    # the sign is none of its business
    assert si_sdr[:3].tolist() == [MOST_DB, MOST_DB, -MOST_DB]
    assert si_sdr[3] < -15
    against_silence = (target**2).mean() / target.numpy().var()
    np.testing.assert_allclose(explained[:3], [1, 1 - 4 * against_silence, 1 - against_silence], rtol=1e-10)
    assert (bands[0] == -MOST_DB).all()
    np.testing.assert_allclose(bands[1:3], np.array([20 * np.log10(2), 0])[:, None] * np.ones(4), atol=1e-9)


def test_gain_and_offset_are_seen_by_the_explained_variance_alone():
    target = pair()[1].double()
    for estimate in (3 * target, target + 5):
        assert (correlation_N(estimate, target) > 1 - 1e-12).all()
        assert (si_sdr_N(estimate, target) == MOST_DB).all()
        assert (variance_explained_N(estimate, target) < 0).all()


def test_si_sdr_is_the_ratio_at_which_noise_was_added():
    target = pair(rows=1)[1].double()
    target -= target.mean()
    noise = torch.randn(1, target.shape[1], dtype=torch.float64)
    noise -= noise.mean()
    noise -= (noise * target).sum() / target.square().sum() * target
    noise *= target.norm() / noise.norm() * 10 ** (-7.5 / 20)
    assert si_sdr_N(4 * (target + noise), target).item() == pytest.approx(7.5, abs=1e-9)


def test_flat_targets_are_counted_and_flat_estimates_score_worst():
    estimate, target = (x.double() for x in pair(rows=5))
    # numbers whose mean over 1100 samples rounds
    target[1], estimate[2] = 0.1, 0.7
    assert target[1].mean() != 0.1 and estimate[2].mean() != 0.7
    target[3] = estimate[3] = 0
    fidelity = Fidelity(50.0)
    fidelity.add(estimate, target)
    told = fidelity.summary()
    assert (told["rows"], told["flat_rows"], told["nonfinite_rows"]) == (5, 2, 0)
    assert fidelity.values_NM.isnan().all(1).tolist() == [False, True, False, True, False]
    assert correlation_N(estimate, target)[2] == 0
    assert si_sdr_N(estimate, target)[2] == -MOST_DB


@pytest.mark.parametrize("where", ["estimate", "target"])
@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_rows_that_are_not_finite_are_counted_and_spoil_no_number(bad, where):
    estimate, target = pair(rows=3)
    clean = Fidelity(50.0)
    clean.add(estimate[[0, 2]], target[[0, 2]])
    {"estimate": estimate, "target": target}[where][1, 7] = bad
    fidelity = Fidelity(50.0)
    fidelity.add(estimate, target)
    told = fidelity.summary()
    assert (told.pop("rows"), told.pop("nonfinite_rows")) == (3, 1)
    assert told == {key: value for key, value in clean.summary().items() if key not in ("rows", "nonfinite_rows")}


def test_summary_is_that_of_numpy_over_rows():
    estimate, target = pair(rows=9)
    fidelity = Fidelity(50.0)
    fidelity.add(estimate, target)
    told = fidelity.summary()
    rows = {"r": correlation_N(estimate, target), "si_sdr_db": si_sdr_N(estimate, target)}
    rows["variance_explained"] = variance_explained_N(estimate, target)
    columns = dict(zip(band_names(50.0), band_errors_NF(estimate, target, 50.0).T, strict=True))
    for name, values in (rows | columns).items():
        x = values.numpy()
        expected = [x.mean(), np.median(x), np.percentile(x, 5), np.percentile(x, 95)]
        spread = told[name] if name in rows else told["bands"][name]
        assert list(spread) == ["mean", "median", "p5", "p95"]
        np.testing.assert_allclose(list(spread.values()), expected, rtol=1e-12)
    assert json.loads(json.dumps(told, allow_nan=False)) == told


def test_batches_and_processes_give_what_all_rows_at_once_give():
    estimate, target = pair(rows=7)
    groups = list("abacbba")
    whole, first, second = Fidelity(50.0), Fidelity(50.0), Fidelity(50.0)
    whole.add(estimate, target, groups)
    for rows in (slice(0, 1), slice(1, 4)):
        first.add(estimate[rows], target[rows], groups[rows])
    second.add(estimate[4:], target[4:], groups[4:])
    first.merge(pickle.loads(pickle.dumps(second)))
    assert torch.equal(first.values_NM, whole.values_NM)
    assert first.summary() == whole.summary()
    assert first.by_group() == whole.by_group()


def test_groups_are_summed_up_by_themselves():
    estimate, target = pair(rows=5)
    target[4] = 1.0
    fidelity, alone = Fidelity(50.0), Fidelity(50.0)
    fidelity.add(estimate, target, ["one", "two", "one", "two", "three"])
    alone.add(estimate[[1, 3]], target[[1, 3]])
    told = fidelity.by_group()
    assert list(told) == ["one", "two", "three"]
    assert told["two"] == alone.summary()
    assert (told["three"]["flat_rows"], told["three"]["r"]["mean"]) == (1, None)


def test_nothing_added_says_so():
    told = Fidelity(50.0).summary()
    assert (told["rows"], told["r"]["median"], set(told["bands"])) == (0, None, {"delta", "theta", "alpha", "beta"})


def test_half_precision_rows_are_measured_as_they_are():
    estimate, target = (x.bfloat16() for x in pair())
    assert correlation_N(estimate, target).dtype == torch.float64
    torch.testing.assert_close(si_sdr_N(estimate, target), si_sdr_N(estimate.double(), target.double()), rtol=0, atol=0)
