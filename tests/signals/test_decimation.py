"""Decimation in pieces is a convolution and nothing is folded into the band to keep."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from megxl.signals.decimation import Decimator


@given(st.lists(st.integers(0, 400), max_size=8), st.sampled_from([2, 4, 8]))
def test_pieces_of_any_length_give_the_convolution(cuts, factor):
    signal_CT = np.random.default_rng(0).normal(size=(3, 2000))
    decimator = Decimator(factor, 125.0 * factor, 50.0)
    edges = np.minimum(np.cumsum([0, *cuts]), 2000).tolist()
    found_CJ = np.concatenate([decimator.push(part_CT) for part_CT in np.split(signal_CT, edges, axis=1)], axis=1)
    expected_CJ = np.stack([np.convolve(row_T, decimator.taps, "valid")[::factor] for row_T in signal_CT])
    assert expected_CJ.shape[1] - found_CJ.shape[1] < 3 * decimator.kept
    np.testing.assert_allclose(found_CJ, expected_CJ[:, : found_CJ.shape[1]], rtol=0, atol=1e-13)


@pytest.mark.parametrize(("factor", "sfreq_hz"), [(2, 250.0), (4, 600.615), (8, 1000.0), (8, 1200.0), (16, 2400.0)])
def test_what_would_be_folded_below_50_hz_is_lowered_a_million_times(factor, sfreq_hz):
    decimator = Decimator(factor, sfreq_hz, 50.0)
    frequencies_hz = np.fft.rfftfreq(2**16, 1 / sfreq_hz)
    response = np.abs(np.fft.rfft(decimator.taps, 2**16))
    assert response[frequencies_hz >= sfreq_hz / factor - 50].max() < 1.3e-6
    # what stays can be divided out
    assert response[frequencies_hz <= 25].min() > 0.3
    assert response[frequencies_hz <= 50].min() > 1e-3
