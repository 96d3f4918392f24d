"""Rotary embedding and attention, against complex numbers and explicit softmax in float64."""

import numpy as np
import torch

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
