"""Convolutions, padding and causality of SEANet, against float64 loops."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.utils import parametrize

from megxl.sizes import BioCodecConfig
from megxl.tokenizer.biocodec import BioCodec
from megxl.tokenizer.seanet import CausalConv1d, CausalConvTranspose1d, Recurrence, frames, pad_reflect

SMALL = BioCodecConfig(filters=4, width=8, levels=2, codes=16, code_width=4)


def weight_of(module: torch.nn.Module) -> np.ndarray:
    """Weight from gain and direction: w = g v / |v|, the norm over all but the first axis."""
    gain, direction = (
        getattr(module.parametrizations.weight, f"original{i}").detach().double().numpy() for i in (0, 1)
    )
    return gain * direction / np.sqrt((direction**2).sum(axis=(1, 2), keepdims=True))


def padded_by_the_rule(signal: np.ndarray, left: int, right: int) -> np.ndarray:
    """Reflect; when too short, append zeros first and cut them off afterwards."""
    extra = max(0, max(left, right) - len(signal) + 1)
    longer = np.concatenate([signal, np.zeros(extra)])
    reflected = np.concatenate([longer[1 : left + 1][::-1], longer, longer[::-1][1 : right + 1]])
    return reflected[: len(reflected) - extra]


@given(st.integers(1, 12), st.integers(0, 8), st.integers(0, 5))
def test_padding_reflects_and_survives_short_signals(samples, left, right):
    signal = np.random.default_rng(samples).normal(size=samples)
    ours = pad_reflect(torch.from_numpy(signal)[None, None], left, right)[0, 0].numpy()
    np.testing.assert_array_equal(ours, padded_by_the_rule(signal, left, right))


@pytest.mark.parametrize(("kernel", "stride", "dilation"), [(3, 1, 1), (3, 1, 2), (1, 1, 1), (4, 2, 1), (6, 3, 1)])
@pytest.mark.parametrize("samples", [1, 2, 5, 12, 13, 40])
def test_causal_convolution_equals_a_loop_over_frames(kernel, stride, dilation, samples):
    conv = CausalConv1d(2, 3, kernel, stride=stride, dilation=dilation).double()
    x = torch.randn(1, 2, samples, dtype=torch.float64)
    reach = (kernel - 1) * dilation + 1
    total = reach - stride
    wanted = math.ceil((samples - reach + total) / stride + 1)
    extra = (wanted - 1) * stride + (reach - total) - samples
    padded = np.stack([padded_by_the_rule(row, total, extra) for row in x[0].numpy()])
    weight, bias = weight_of(conv), conv.bias.detach().numpy()
    expected = np.array(
        [
            [(weight[o] * padded[:, f * stride : f * stride + reach : dilation]).sum() + bias[o] for f in range(wanted)]
            for o in range(3)
        ]
    )
    np.testing.assert_allclose(conv(x)[0].detach().numpy(), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("stride", [2, 3])
def test_transposed_convolution_equals_a_loop_and_is_cut_on_the_right(stride):
    conv = CausalConvTranspose1d(3, 2, 2 * stride, stride=stride).double()
    x = torch.randn(1, 3, 5, dtype=torch.float64)
    weight, bias = weight_of(conv), conv.bias.detach().numpy()
    full = np.zeros((2, (5 - 1) * stride + 2 * stride))
    for t in range(5):
        for i in range(3):
            full[:, t * stride : (t + 2) * stride] += x[0, i, t].item() * weight[i]
    np.testing.assert_allclose(conv(x)[0].detach().numpy(), full[:, : 5 * stride] + bias[:, None], rtol=0, atol=1e-12)


def test_recurrence_equals_the_gates_written_out():
    width = 4
    recurrence = Recurrence(width, 2).double()
    x = torch.randn(1, width, 6, dtype=torch.float64)
    layer_input = x[0].T.numpy()
    sigmoid = lambda a: 1 / (1 + np.exp(-a))  # noqa: E731
    for layer in range(2):
        w_in, w_state, b_in, b_state = (
            getattr(recurrence.lstm, f"{kind}_l{layer}").detach().numpy()
            for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        )
        state = cell = np.zeros(width)
        outputs = []
        for row in layer_input:
            i, f, g, o = np.split(w_in @ row + b_in + w_state @ state + b_state, 4)
            cell = sigmoid(f) * cell + sigmoid(i) * np.tanh(g)
            state = sigmoid(o) * np.tanh(cell)
            outputs.append(state)
        layer_input = np.array(outputs)
    np.testing.assert_allclose(recurrence(x)[0].detach().numpy(), layer_input.T + x[0].numpy(), rtol=0, atol=1e-12)


@given(st.integers(1, 60))
def test_encoder_gives_one_frame_for_every_twelve_samples_begun(samples):
    assert BioCodec(SMALL).encoder(torch.randn(1, 1, samples)).shape[-1] == math.ceil(samples / 12)
    assert frames(samples, SMALL.strides) == math.ceil(samples / 12)


def test_encoder_does_not_look_ahead():
    codec = BioCodec(SMALL)
    x = torch.randn(1, 1, 120)
    changed = x.clone()
    changed[..., 72:] += 1
    before, after = codec.encoder(x), codec.encoder(changed)
    assert torch.equal(before[..., :6], after[..., :6])
    assert not torch.allclose(before[..., 6:], after[..., 6:])


def test_folding_weight_norm_changes_no_output():
    codec = BioCodec(SMALL).eval()
    x = torch.randn(2, 1, 60)
    with torch.no_grad():
        trained = codec(x)
        folded = codec.fold_()(x)
    torch.testing.assert_close(folded.signal_N1T, trained.signal_N1T, rtol=0, atol=1e-6)
    assert not any(parametrize.is_parametrized(module) for module in codec.modules())
