"""A criss-cross layer against its formula in float64, and its two ways of execution against each other."""

import numpy as np
import pytest
import torch

from megxl.model import criss_cross
from megxl.model.attention import RotaryTable
from megxl.model.criss_cross import CrissCrossLayer, RMSNorm
from megxl.sizes import MEGXLConfig
from tests.model.test_attention import attention_by_loops

CONFIG = MEGXLConfig(width=32, layers=1, heads=4, fourier_width=10)


def by_formula(layer: CrissCrossLayer, x_CTD: np.ndarray, mask_C: np.ndarray | None) -> np.ndarray:
    """The layer by loops over sensors and tokens."""

    def norm(x, weight):
        return x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-6) * weight.detach().numpy()

    half = x_CTD.shape[-1] // 2
    h = norm(x_CTD, layer.attention_norm.weight)
    time = np.stack([attention_by_loops(layer.temporal, row, True, None) for row in h[..., :half]])
    space = np.stack(
        [attention_by_loops(layer.spatial, h[:, t, half:], False, mask_C) for t in range(h.shape[1])], axis=1
    )
    x = x_CTD + np.concatenate([space, time], axis=-1)
    up, down = layer.feedforward.up, layer.feedforward.down
    hidden = norm(x, layer.feedforward_norm.weight) @ up.weight.detach().numpy().T + up.bias.detach().numpy()
    selu = 1.0507009873554805 * np.where(hidden > 0, hidden, 1.6732632423543772 * np.expm1(np.minimum(hidden, 0)))
    return x + selu @ down.weight.detach().numpy().T + down.bias.detach().numpy()


@pytest.mark.parametrize("masked", [False, True])
def test_layer_equals_its_formula(masked):
    layer = CrissCrossLayer(CONFIG).double().eval()
    x = torch.randn(2, 5, 7, 32, dtype=torch.float64)
    mask = torch.tensor([[True] * 5, [True, True, True, False, False]]) if masked else None
    ours = layer(x, RotaryTable(7, 16), mask).detach().numpy()
    for item in range(2):
        expected = by_formula(layer, x[item].numpy(), None if mask is None else mask[item].numpy())
        np.testing.assert_allclose(ours[item], expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("rows", [1, 10, 1000])
@pytest.mark.parametrize("masked", [False, True])
def test_slices_in_place_give_what_whole_tensors_give(rows, masked, monkeypatch):
    monkeypatch.setitem(criss_cross.ROWS_AT_ONCE, "cpu", rows)
    layer = CrissCrossLayer(CONFIG).eval()
    x = torch.randn(2, 5, 7, 32)
    mask = torch.tensor([[True] * 5, [True, True, True, False, False]]) if masked else None
    whole = layer(x, RotaryTable(7, 16), mask)
    with torch.no_grad():
        sliced = layer(x.clone(), RotaryTable(7, 16), mask)
    torch.testing.assert_close(sliced, whole, rtol=0, atol=1e-5)


def test_with_gradients_the_input_is_left_alone():
    layer, x = CrissCrossLayer(CONFIG), torch.randn(1, 3, 4, 32)
    before = x.clone()
    layer(x, RotaryTable(4, 16)).sum().backward()
    assert torch.equal(x, before)


def test_norm_keeps_small_signals_small():
    x = torch.randn(4, 16, dtype=torch.float32) * 1e-3
    wide = x.double().numpy()
    expected = wide / np.sqrt((wide**2).mean(-1, keepdims=True) + 1e-6)
    np.testing.assert_allclose(RMSNorm(16)(x).detach().numpy(), expected, rtol=1e-5)


def test_norm_works_in_float32_and_returns_the_input_dtype():
    x = (torch.randn(4, 16) * 100).bfloat16()
    wide = x.double().numpy()
    expected = wide / np.sqrt((wide**2).mean(-1, keepdims=True) + 1e-6)
    ours = RMSNorm(16)(x)
    assert ours.dtype == torch.bfloat16
    np.testing.assert_allclose(ours.float().detach().numpy(), expected, rtol=2**-8)
