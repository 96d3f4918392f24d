"""Sizes of codec and model: impossible ones are refused by name."""

import math

import pytest

from megxl.errors import InputError
from megxl.sizes import BioCodecConfig, MEGXLConfig


@pytest.mark.parametrize(
    ("kind", "wrong", "said"),
    [
        (BioCodecConfig, {"filters": True}, "filters must be a whole number"),
        (BioCodecConfig, {"width": 8.0}, "width must be a whole number"),
        (BioCodecConfig, {"levels": 1001}, "levels must be a whole number from 1 to 1,000, not 1001"),
        (BioCodecConfig, {"strides": ()}, "strides must be a list of 1 to 32"),
        (BioCodecConfig, {"strides": 12}, "strides must be a list"),
        (BioCodecConfig, {"strides": (2, 0)}, "strides must be a whole number from 1"),
        (MEGXLConfig, {"layers": True}, "layers must be a whole number"),
        (MEGXLConfig, {"masked_blocks": -1}, "masked_blocks must be a whole number from 0"),
        (MEGXLConfig, {"sensor_kinds": 2.0}, "sensor_kinds must be a whole number"),
        (MEGXLConfig, {"sfreq_hz": math.nan}, "sfreq_hz must be a number above 0"),
        (MEGXLConfig, {"mask_duration_s": math.inf}, "mask_duration_s must be a number above 0"),
        (MEGXLConfig, {"dropout": "0.1"}, "dropout must be a number"),
        (MEGXLConfig, {"dropout": False}, "dropout must be a number"),
    ],
)
def test_impossible_sizes_are_refused_by_name(kind, wrong, said):
    with pytest.raises(InputError, match=f"{kind.__name__}: {said}"):
        kind(**wrong)


def test_a_list_of_strides_equals_a_tuple_of_them():
    assert BioCodecConfig(strides=[2, 2, 3]) == BioCodecConfig()


def test_nothing_may_be_masked():
    assert MEGXLConfig(masked_blocks=0).masked_blocks == 0
