"""Rotary embedding and attention, against complex numbers and explicit softmax in float64."""

import numpy as np
import pytest
import torch
from torch.utils.checkpoint import checkpoint

from megxl.model import attention
from megxl.model.attention import RotaryTable, SelfAttention


def rotated_by_complex_numbers(x_LD: np.ndarray) -> np.ndarray:
    """Pair 2i, 2i+1 as one complex number, times exp(i t f_i), f_i = 10000^(-2i/D)."""
    length, width = x_LD.shape
    z = x_LD[:, 0::2] + 1j * x_LD[:, 1::2]
    frequencies = 10_000.0 ** (-np.arange(0, width, 2) / width)
    z = z * np.exp(1j * np.arange(length)[:, None] * frequencies)
    out = np.empty_like(x_LD)
    out[:, 0::2], out[:, 1::2] = z.real, z.imag
    return out


def attention_by_loops(model: SelfAttention, x_LD: np.ndarray, rotary: bool, keys_L: np.ndarray | None) -> np.ndarray:
    """Softmax attention head by head."""
    weight, bias = model.qkv.weight.detach().numpy(), model.qkv.bias.detach().numpy()
    q, k, v = np.split(x_LD @ weight.T + bias, 3, axis=1)
    if rotary:
        q, k = rotated_by_complex_numbers(q), rotated_by_complex_numbers(k)
    head = q.shape[1] // model.heads
    out = np.empty_like(q)
    for h in range(model.heads):
        part = slice(h * head, (h + 1) * head)
        scores = q[:, part] @ k[:, part].T / np.sqrt(head)
        if keys_L is not None:
            scores[:, ~keys_L] = -np.inf
        weights = np.exp(scores - scores.max(1, keepdims=True))
        out[:, part] = weights / weights.sum(1, keepdims=True) @ v[:, part]
    return out @ model.out.weight.detach().numpy().T + model.out.bias.detach().numpy()


def test_rotation_equals_complex_multiplication():
    x = torch.randn(1, 625, 32, dtype=torch.float64)
    ours = RotaryTable(625, 32).rotate(x.float())[0].double().numpy()
    np.testing.assert_allclose(ours, rotated_by_complex_numbers(x[0].numpy()), rtol=0, atol=5e-4)
    np.testing.assert_allclose(ours[:50], rotated_by_complex_numbers(x[0].numpy())[:50], rtol=0, atol=2e-5)


def test_rotation_keeps_the_dtype_of_its_input():
    assert RotaryTable(4, 8).rotate(torch.randn(1, 4, 8, dtype=torch.bfloat16)).dtype == torch.bfloat16


def test_attention_equals_explicit_softmax():
    model = SelfAttention(16, 2, 0.1).double().eval()
    x = torch.randn(2, 9, 16, dtype=torch.float64)
    keys = torch.ones(2, 9, dtype=torch.bool)
    keys[1, 5:] = False
    for rotary, mask in [(False, None), (True, None), (False, keys)]:
        ours = model(x, RotaryTable(9, 16) if rotary else None, mask).detach().numpy()
        for item in range(2):
            expected = attention_by_loops(model, x[item].numpy(), rotary, None if mask is None else mask[item].numpy())
            np.testing.assert_allclose(ours[item], expected, rtol=0, atol=1e-6 if rotary else 1e-12)


def test_dropout_acts_in_training_alone():
    model = SelfAttention(16, 2, 0.5)
    x = torch.randn(1, 9, 16)
    assert not torch.equal(model(x), model(x))
    model.eval()
    assert torch.equal(model(x), model(x))
    model.drops_in_eval = True
    assert not torch.equal(model(x), model(x))


@pytest.mark.parametrize("masked", [False, True])
def test_attention_in_pieces_equals_attention_at_once(monkeypatch, masked):
    torch.manual_seed(0)
    model, x_NLD = SelfAttention(16, 2, dropout=1e-12).train(), torch.randn(7, 5, 16)
    keys_NL = torch.rand(7, 5) > 0.3 if masked else None
    if keys_NL is not None:
        keys_NL[:, 0] = True

    def features_and_gradients() -> list[torch.Tensor]:
        model.zero_grad()
        y_NLD = model(x_NLD, keys_NL=keys_NL)
        y_NLD.square().sum().backward()
        return [y_NLD.detach(), *(parameter.grad.clone() for parameter in model.parameters())]

    at_once = features_and_gradients()
    monkeypatch.setattr(attention, "WEIGHTS_AT_ONCE", 3 * 2 * 5**2)
    pieces = []
    monkeypatch.setattr(
        attention, "checkpoint", lambda *args, **options: pieces.append(1) or checkpoint(*args, **options)
    )
    for found, expected in zip(features_and_gradients(), at_once, strict=True):
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
    assert len(pieces) == 3


def test_the_way_back_through_pieces_drops_what_the_way_there_dropped(monkeypatch):
    monkeypatch.setattr(attention, "WEIGHTS_AT_ONCE", 2 * 2 * 4**2)
    model = SelfAttention(8, 2, dropout=0.4).double().train()

    def dropping_the_same(x_NLD: torch.Tensor) -> torch.Tensor:
        torch.manual_seed(3)
        return model(x_NLD)

    torch.autograd.gradcheck(dropping_the_same, torch.randn(5, 4, 8, dtype=torch.float64, requires_grad=True))
