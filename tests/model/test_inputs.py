"""Inputs of a wrong shape, range or type are refused with a sentence."""

import pytest
import torch

from megxl.errors import InputError
from megxl.model.megxl import MEGXL
from megxl.signals.neuromag306 import neuromag306_channels
from megxl.signals.sensors import SensorArray
from megxl.sizes import MEGXLConfig
from tests.model.test_embedding import array

SMALL = MEGXLConfig(width=32, layers=1, heads=4, fourier_width=10, codes=16, code_width=4, levels=3)
CODES = torch.randint(16, (2, 5, 13, 3))
ARRAYS = [array(5), array(5, 1)]


@pytest.fixture
def model() -> MEGXL:
    return MEGXL(SMALL).eval()


@pytest.mark.parametrize("shape", [(2, 5, 13, 2), (5, 13, 3), (2, 5, 0, 3)])
def test_codes_of_a_wrong_shape(model, shape):
    with pytest.raises(InputError, match="Codes have the shape"):
        model(torch.zeros(shape, dtype=torch.int64), ARRAYS)


@pytest.mark.parametrize(("wrong", "dtype"), [(16, torch.uint8), (-1, torch.int64), (300, torch.int32)])
def test_codes_out_of_range_would_read_another_level(model, wrong, dtype):
    codes = CODES.to(dtype).clone()
    codes[1, 2, 3, 0] = wrong
    with pytest.raises(InputError, match="between 0 and 15"):
        model(codes, ARRAYS)


@pytest.mark.parametrize(
    "mask",
    [
        torch.zeros(2, 12, dtype=torch.bool),
        torch.zeros(3, 13, dtype=torch.bool),
        torch.zeros(2, 4, 13, dtype=torch.bool),
        torch.zeros(2, 13),
        torch.zeros(13, dtype=torch.bool),
    ],
)
def test_masks_of_a_wrong_shape_or_type(model, mask):
    with pytest.raises(InputError, match="mask is boolean"):
        model.masked_prediction(CODES, ARRAYS, mask)


def test_sensor_masks_of_a_wrong_shape(model):
    with pytest.raises(InputError, match="sensor_mask has the shape"):
        model(CODES, ARRAYS, torch.ones(2, 4))


def test_descriptions_of_other_sensors(model):
    with pytest.raises(InputError, match="5 sensors in 2 items"):
        model(CODES, [array(4), array(4)])
    with pytest.raises(InputError, match="2 sensor arrays were given for a batch of 1"):
        model(CODES[:1], ARRAYS)


def test_a_mask_that_hides_nothing(model):
    with pytest.raises(InputError, match="hides no token"):
        model.masked_prediction(CODES, ARRAYS, torch.zeros(2, 13, dtype=torch.bool))


def test_a_signal_without_a_tokenizer(model):
    with pytest.raises(InputError, match="no tokenizer"):
        model(torch.randn(1, 5, 60), array(5))


def test_chs_info_of_braindecode_stands_for_one_sensor_array(model):
    chs_info = neuromag306_channels()[:15:3]
    expected = model(CODES, SensorArray.from_info({"chs": chs_info}))
    torch.testing.assert_close(model(CODES, chs_info), expected, rtol=0, atol=0)
    with pytest.raises(InputError, match="5 sensors in 2 items"):
        model(CODES, chs_info[:4])
