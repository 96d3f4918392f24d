"""The band-pass is the one that `mne.io.Raw.filter` uses, its response is exact."""

import mne
import numpy as np
import pytest

from megxl.signals.filters import BandPass, symmetric_response


@pytest.mark.parametrize(
    ("sfreq_hz", "low_hz", "high_hz"), [(200.0, 0.5, 40.0), (600.615, 1.0, 30.0), (80.0, 1.0, 40.0)]
)
def test_an_impulse_becomes_the_taps(sfreq_hz, low_hz, high_hz):
    band = BandPass.within(sfreq_hz, low_hz, high_hz)
    impulse = np.zeros((1, 4 * len(band.taps)))
    impulse[0, 2 * len(band.taps)] = 1.0
    raw = mne.io.RawArray(impulse, mne.create_info(1, sfreq_hz, "eeg"), verbose="ERROR")
    raw.filter(low_hz, high_hz if high_hz < sfreq_hz / 2 else None, verbose="ERROR")
    middle = slice(2 * len(band.taps) - band.reach, 2 * len(band.taps) + band.reach + 1)
    np.testing.assert_allclose(raw.get_data()[0, middle], band.taps, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("high_hz", "stop_hz"), [(40.0, 50.0), (4.0, 6.0), (90.0, 100.0), (100.0, 100.0)])
def test_the_stop_band_begins_where_mne_says(high_hz, stop_hz):
    band = BandPass.within(200.0, 0.5, high_hz)
    assert band.stop_hz == stop_hz
    response = np.abs(np.fft.rfft(band.taps, 200 * 64))
    assert band.high_hz is None or response[round(band.stop_hz * 64) :].max() < 0.01


def test_the_response_of_a_symmetric_filter_is_its_sum_of_cosines():
    taps = np.array([0.1, -0.3, 0.7, -0.3, 0.1])
    expected = [sum(tap * np.cos(2 * np.pi * k * lag / 24) for lag, tap in enumerate(taps, -2)) for k in range(9)]
    np.testing.assert_allclose(symmetric_response(taps, 24, 9), expected, rtol=0, atol=1e-15)
