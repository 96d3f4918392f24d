"""Padding counts as MNE does; the low rate knows what the full rate would give."""

import mne
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from megxl.signals.low_rate import Padding


@given(st.integers(1000, 5000), st.sampled_from([250.0, 600.614990234375, 678.17, 1000.0, 1200.0]))
def test_padding_has_the_lengths_of_mne(samples, sfreq_hz):
    padding = Padding(samples, 50.0 / sfreq_hz)
    assert (
        padding.kept.stop - padding.kept.start
        == mne.filter.resample(np.zeros(samples), 50.0, sfreq_hz, npad="auto").size
    )
    assert padding.total & (padding.total - 1) == 0
    assert padding.before + samples + padding.after == padding.total


@pytest.mark.parametrize("samples", [40001, 65336, 65337])  # the latter two: as little and as much padding as can be
def test_padding_cuts_and_effective_ratio_are_those_of_mne(samples):
    signal_T = np.random.default_rng(0).normal(size=samples).cumsum()
    padding = Padding(samples, 50.0 / 1000.0)
    before_T = 2 * signal_T[0] - signal_T[padding.before : 0 : -1]
    after_T = 2 * signal_T[-1] - signal_T[-2 : -2 - padding.after : -1]
    bins = np.fft.rfft(np.concatenate([before_T, signal_T, after_T]))[: padding.new_total // 2 + 1]
    if padding.new_total % 2 == 0:
        bins[-1] *= 2
    found_T = np.fft.irfft(bins, padding.new_total)[padding.kept] * padding.new_total / padding.total
    np.testing.assert_allclose(found_T, mne.filter.resample(signal_T, 50.0, 1000.0, npad="auto"), rtol=0, atol=1e-9)
