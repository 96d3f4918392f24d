"""Intervals over recordings, against SciPy's bootstrap, a formula, and coverage of a known truth."""

import numpy as np
import pytest
import scipy.stats

from megxl.training.intervals import bootstrap_means, interval


def test_of_one_window_a_recording_it_is_scipy_s_bootstrap():
    values = np.random.default_rng(0).gamma(2.0, size=40)
    means = bootstrap_means(values[:, None], np.ones(40), [f"r{n}" for n in range(40)])
    assert means is not None and means.shape == (10_000, 1)
    theirs = scipy.stats.bootstrap((values,), np.mean, method="percentile", n_resamples=10_000, rng=1)
    np.testing.assert_allclose(interval(means[:, 0]), theirs.confidence_interval, rtol=0.02)
    assert means.std() == pytest.approx(values.std() / np.sqrt(40), rel=0.03)


def test_a_mean_is_over_tokens_of_whole_recordings():
    """Against a loop that draws recordings, takes all of their windows and divides sums by counts."""
    rng = np.random.default_rng(1)
    recordings = ["a"] * 5 + ["b"] * 2 + ["c"] * 9 + ["d"]
    counts = rng.integers(1, 50, 17)
    sums = rng.normal(3, 1, (17, 2)) * counts[:, None]
    means = bootstrap_means(sums, counts, recordings)
    assert means is not None
    names, loop = np.array(recordings), []
    for _ in range(4000):
        drawn = np.concatenate([np.flatnonzero(names == name) for name in rng.choice(list("abcd"), 4)])
        loop.append(sums[drawn].sum(0) / counts[drawn].sum())
    np.testing.assert_allclose(means.mean(0), np.mean(loop, axis=0), atol=0.02)
    for quantity in range(2):
        expected = np.quantile(np.array(loop)[:, quantity], [0.025, 0.975])
        np.testing.assert_allclose(interval(means[:, quantity]), expected, atol=0.05)


def test_windows_that_resemble_each_other_do_not_count_as_many():
    """Twenty copies of each recording's value say no more than one."""
    values = np.random.default_rng(2).normal(size=12)
    once = bootstrap_means(values[:, None], np.ones(12), list("abcdefghijkl"))
    copied = bootstrap_means(np.repeat(values, 20)[:, None], np.ones(240), list(np.repeat(list("abcdefghijkl"), 20)))
    assert once is not None and copied is not None
    np.testing.assert_allclose(interval(copied[:, 0]), interval(once[:, 0]), rtol=1e-9)


def test_quantities_are_resampled_together():
    """A difference of two that move together is as sure as if it were measured itself."""
    base = np.random.default_rng(3).normal(0, 100, 30)
    both = np.stack([base, base + 1.0], axis=1)
    means = bootstrap_means(both, np.ones(30), [str(n) for n in range(30)])
    assert means is not None
    np.testing.assert_allclose(means[:, 1] - means[:, 0], 1.0, atol=1e-9)


@pytest.mark.slow
def test_the_interval_holds_the_truth_as_often_as_it_says():
    rng, held = np.random.default_rng(4), 0
    names = [str(n // 3) for n in range(180)]
    for _ in range(300):
        values = np.repeat(rng.normal(5, 1, 60), 3) + rng.normal(0, 0.3, 180)
        means = bootstrap_means(values[:, None], np.ones(180), names, resamples=1000)
        assert means is not None
        low, high = interval(means[:, 0])
        held += low <= 5 <= high
    assert 0.90 < held / 300 < 0.98


def test_the_same_seed_gives_the_same_resamples_and_one_window_none():
    sums, counts = np.arange(6.0)[:, None], np.ones(6)
    one, same, other = (bootstrap_means(sums, counts, list("aabbcc"), seed=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)
    assert bootstrap_means(sums[:1], counts[:1], ["a"]) is None
    of_one_recording = bootstrap_means(sums, counts, ["a"] * 6)
    assert of_one_recording is not None and of_one_recording.std() == pytest.approx(np.sqrt(35 / 12 / 6), rel=0.03)
