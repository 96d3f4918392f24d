"""The closed forms against torch's own counter of operations."""

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from megxl.model.flops import Workload, forward_flops, head_flops, tokenize_flops, training_flops
from megxl.model.megxl import MEGXL
from megxl.sizes import BioCodecConfig, MEGXLConfig
from megxl.tokenizer.biocodec import BioCodec
from tests.model.test_embedding import array

CONFIG = MEGXLConfig(width=32, layers=2, heads=4, fourier_width=10, codes=16, code_width=4, levels=3)
CODEC = BioCodecConfig(filters=4, width=8, levels=3, codes=16, code_width=4)


def counted(action) -> int:
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        action()
    return counter.get_total_flops()


def test_published_sizes_at_150_seconds():
    work = Workload(batch=1, sensors=306, samples=7500)
    assert forward_flops(MEGXLConfig(), work) / 1e12 == pytest.approx(9.50, abs=0.005)
    assert tokenize_flops(BioCodecConfig(), work) / 1e12 == pytest.approx(0.85, abs=0.005)


@pytest.mark.parametrize("grad", [False, True])
def test_forward_equals_the_counter(grad):
    model, codes = MEGXL(CONFIG).eval(), torch.randint(16, (2, 5, 13, 3))
    sensors = [array(5), array(5, 1)]
    with torch.set_grad_enabled(grad):
        total = counted(lambda: model(codes, sensors))
    assert total == forward_flops(CONFIG, Workload(batch=2, sensors=5, samples=13 * 12))


def test_training_step_is_three_forwards_and_the_head_at_hidden_tokens():
    model, codes = MEGXL(CONFIG).eval(), torch.randint(16, (2, 5, 125, 3))
    mask = torch.zeros(2, 125, dtype=torch.bool)
    mask[:, 20:32] = True
    total = counted(lambda: model.masked_prediction(codes, [array(5), array(5, 1)], mask).loss.backward())
    expected = training_flops(CONFIG, Workload(batch=2, sensors=5, samples=1500), 12)
    # no gradient is taken of codes and sensor vectors, the inputs of the first products
    assert expected * 0.98 < total <= expected
    assert head_flops(CONFIG, 7) == 2 * 7 * 32 * 48


def test_encoder_equals_the_counter_once_the_lstm_is_added():
    codec = BioCodec(CODEC).fold_()
    with torch.no_grad():
        total = counted(lambda: codec.encode(torch.randn(6, 1, 120)))
    width, frames = CODEC.filters * 8, 10
    # the counter does not see the LSTM on the CPU: 4 gates x (input + state), each layer, each frame
    lstm = 6 * frames * CODEC.lstm_layers * 2 * 4 * width * (width + width)
    expected = tokenize_flops(CODEC, Workload(batch=1, sensors=6, samples=120))
    assert total in (expected, expected - lstm)
