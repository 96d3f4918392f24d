"""A recording is mirrored about its end samples as by MNE, then decimated, in one pass."""

import numpy as np
import pytest

from megxl.signals.decimation import Decimator
from megxl.signals.streaming import PaddedDecimation


@pytest.mark.parametrize("piece", [7, 250, 1000, 5000])
@pytest.mark.parametrize("samples", [1800, 1801])
def test_one_pass_is_an_odd_reflection_and_a_convolution(samples, piece):
    signal_CT = np.random.default_rng(0).normal(size=(2, samples)).cumsum(axis=1) + 50
    decimator = Decimator(4, 500.0, 50.0)
    reach = 100
    passing = PaddedDecimation(decimator, reach, samples, 500.0)
    pieces = (signal_CT[:, start : start + piece] for start in range(0, samples, piece))
    found_CJ = np.concatenate(list(passing.run(pieces)), axis=1)
    assert found_CJ.shape[1] == passing.samples
    wide = 1500
    padded_CT = np.pad(signal_CT, ((0, 0), (wide, wide)), "reflect", reflect_type="odd")
    for j in range(passing.samples):
        sample = (j - passing.first) * 4
        if -reach <= sample < samples + reach:
            around_CT = padded_CT[:, wide + sample - decimator.reach : wide + sample + decimator.reach + 1]
            expected_C = around_CT @ decimator.taps - signal_CT[:, 0]
            np.testing.assert_allclose(found_CJ[:, j], expected_C, rtol=0, atol=1e-11)
    # it begins and ends in silence: nothing jumps into a Fourier transform
    assert np.abs(found_CJ[:, [0, -1]]).max() < 1e-3
