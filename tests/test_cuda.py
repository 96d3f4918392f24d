"""On a GPU: the same numbers as on the CPU, whatever device the inputs come from. Skipped where there is none."""

import pytest
import torch

from megxl.model.execution import compile_layers, recompute_activations
from megxl.model.inputs import batch_sensors
from megxl.model.megxl import MEGXL
from megxl.sizes import MEGXLConfig
from megxl.tokenizer.biocodec import BioCodec
from tests.model.test_embedding import array

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
CONFIG = MEGXLConfig(width=64, layers=2, heads=4, fourier_width=50)
ARRAYS = [array(5), array(3, 1)]


@pytest.fixture
def pair() -> tuple[MEGXL, MEGXL]:
    model = MEGXL(CONFIG, BioCodec()).eval()
    twin = MEGXL(CONFIG, BioCodec()).eval()
    twin.load_state_dict(model.state_dict())
    return model, twin.cuda()


def test_codes_are_equal_up_to_near_ties(pair):
    signal = torch.randn(2, 5, 1500)
    cpu, gpu = (
        model.tokenizer.tokenize(signal.to(device)) for model, device in zip(pair, ("cpu", "cuda"), strict=True)
    )
    assert (cpu != gpu.cpu()).float().mean() <= 1e-3


@pytest.mark.parametrize("grad", [False, True])
def test_features_are_equal_with_padding_and_inputs_from_any_device(pair, grad):
    codes = torch.randint(256, (2, 5, 125, 6), dtype=torch.uint8)
    sensors, mask = batch_sensors(ARRAYS)
    with torch.set_grad_enabled(grad):
        expected = pair[0](codes, ARRAYS)
        for given in (ARRAYS, sensors, sensors.to("cuda")):
            for sensor_mask in (mask, mask.cuda()):
                found = pair[1](codes.cuda(), given, sensor_mask).cpu()
                for item, array_ in enumerate(ARRAYS):
                    real = slice(len(array_))
                    torch.testing.assert_close(found[item, real], expected[item, real], rtol=0, atol=1e-4)


@pytest.mark.parametrize("recompute", ["off", "selective", "full"])
@pytest.mark.parametrize("compiled", [False, True])
def test_losses_are_equal_in_every_way_of_execution(pair, recompute, compiled):
    codes = torch.randint(256, (2, 5, 125, 6), dtype=torch.uint8)
    mask = torch.zeros(2, 125, dtype=torch.bool)
    mask[:, 20:32] = True
    expected = pair[0].masked_prediction(codes, ARRAYS, mask).loss
    model = recompute_activations(pair[1], recompute)
    if compiled:
        compile_layers(model)
    for place in ("cpu", "cuda"):
        loss = model.masked_prediction(codes.cuda(), ARRAYS, mask.to(place)).loss
        torch.testing.assert_close(loss.cpu(), expected, rtol=1e-4, atol=0)
    loss.backward()
    with torch.autocast("cuda", dtype=torch.bfloat16):
        rough = model.masked_prediction(codes.cuda(), ARRAYS, mask).loss
    torch.testing.assert_close(rough.cpu(), expected, rtol=1e-2, atol=0)
