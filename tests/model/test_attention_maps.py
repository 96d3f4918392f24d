"""Attention maps, against explicit softmax in float64 and brute force over all pairs of tokens and of sensors."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from megxl.errors import InputError
from megxl.model import attention_maps
from megxl.model.attention import RotaryTable, SelfAttention
from megxl.model.attention_maps import attention_weights, measure_attention
from megxl.model.inputs import batch_sensors
from megxl.model.megxl import MEGXL
from megxl.sizes import MEGXLConfig
from tests.data.small import sensors
from tests.model.test_attention import rotated_by_complex_numbers

SMALL = MEGXLConfig(width=32, layers=2, heads=4, fourier_width=20, code_width=4, masked_blocks=1)
TOKEN_S = 12 / 50
C, T = 5, 17


def weights_by_loops(model: SelfAttention, x_LD: np.ndarray, rotary: bool) -> np.ndarray:
    """Softmax in float64, head by head, (H, L, L)."""
    weight, bias = model.qkv.weight.detach().double().numpy(), model.qkv.bias.detach().double().numpy()
    q, k, _ = np.split(x_LD @ weight.T + bias, 3, axis=1)
    if rotary:
        q, k = rotated_by_complex_numbers(q), rotated_by_complex_numbers(k)
    parts = [
        slice(start, start + q.shape[1] // model.heads) for start in range(0, q.shape[1], q.shape[1] // model.heads)
    ]
    scores = np.stack([q[:, part] @ k[:, part].T / math.sqrt(part.stop - part.start) for part in parts])
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True)


@pytest.fixture
def model() -> MEGXL:
    model = MEGXL(SMALL).eval()
    for layer in model.layers:  # weights of a new model are nearly even over all keys
        for attention in (layer.temporal, layer.spatial):
            nn.init.normal_(attention.qkv.weight, std=0.6)
    return model


@pytest.fixture
def window():
    array = sensors(C)
    return torch.randint(256, (1, C, T, 6)), batch_sensors([array])[0], torch.tensor(array.positions_C3)


@pytest.mark.parametrize("rotary", [False, True])
def test_weights_equal_an_explicit_softmax_and_sum_to_one(rotary):
    attention = SelfAttention(16, 2, 0.1).eval()
    nn.init.normal_(attention.qkv.weight, std=0.7)
    x_NLD = torch.randn(3, 11, 16)
    weights_NHLL = attention_weights(attention, x_NLD, RotaryTable(11, 16) if rotary else None).detach()
    assert weights_NHLL.shape == (3, 2, 11, 11) and weights_NHLL.dtype == torch.float32
    torch.testing.assert_close(weights_NHLL.sum(-1), torch.ones(3, 2, 11), rtol=0, atol=1e-5)
    for found, x_LD in zip(weights_NHLL, x_NLD.double().numpy(), strict=True):
        np.testing.assert_allclose(found.numpy(), weights_by_loops(attention, x_LD, rotary), rtol=0, atol=1e-5)
    assert weights_NHLL.max() > 0.5  # far from even, or the order of queries and keys would not show


@pytest.mark.parametrize("rotary", [None, RotaryTable(11, 16)])
def test_weights_times_values_are_the_attention_s_own_output(rotary):
    attention = SelfAttention(16, 2, 0.1).eval()
    nn.init.normal_(attention.qkv.weight, std=0.7)
    x_NLD = torch.randn(3, 11, 16)
    v_NHLK = attention.qkv(x_NLD).chunk(3, -1)[2].unflatten(-1, (2, 8)).transpose(1, 2)
    ours_NLD = attention.out((attention_weights(attention, x_NLD, rotary) @ v_NHLK).transpose(1, 2).flatten(2))
    torch.testing.assert_close(ours_NLD, attention(x_NLD, rotary), rtol=0, atol=1e-5)


def brute_force(model: MEGXL, codes, tensors, places_C3, mask) -> list[tuple]:
    """(layer, axis, head, distance, entropy) by loops over queries and keys, features taken at each layer's door."""
    rows = []
    for number, layer in enumerate(model.layers):
        with torch.no_grad():
            x_CTD = layer.attention_norm(model(codes, tensors, mask=mask, layer=number))[0]
        for_time, for_space = x_CTD.double().numpy()[..., :16], x_CTD.double().numpy()[..., 16:]
        over_time = np.stack([weights_by_loops(layer.temporal, x_TE, True) for x_TE in for_time])
        over_space = np.stack([weights_by_loops(layer.spatial, for_space[:, t], False) for t in range(T)])
        maps = {"time": (over_time, np.arange(T)[:, None] * TOKEN_S), "space": (over_space, places_C3)}
        for axis, (weights_NHLL, places) in maps.items():
            for head in range(2):
                distance = entropy = 0.0
                for weights in weights_NHLL[:, head]:
                    for i in range(len(places)):
                        for j in range(len(places)):
                            distance += weights[i, j] * np.linalg.norm(places[i] - places[j])
                            entropy -= weights[i, j] * np.log(weights[i, j])
                queries = len(weights_NHLL) * len(places)
                rows.append((number + 1, axis, head + 1, distance / queries, entropy / queries))
    return rows


@pytest.mark.parametrize("at_once", [2**23, 300, 20, 1])
def test_distance_and_entropy_equal_brute_force_whatever_is_done_at_once(model, window, monkeypatch, at_once):
    monkeypatch.setattr(attention_maps, "WEIGHTS_AT_ONCE", at_once)
    codes, tensors, places_C3 = window
    mask = torch.arange(T)[None] < 6
    found = measure_attention(model, codes, tensors, places_C3, mask=mask)
    expected = brute_force(model, codes, tensors, places_C3.numpy(), mask)
    assert [(focus.layer, focus.axis, focus.head) for focus in found] == [row[:3] for row in expected]
    np.testing.assert_allclose([focus.distance for focus in found], [row[3] for row in expected], rtol=1e-4)
    np.testing.assert_allclose([focus.entropy for focus in found], [row[4] for row in expected], rtol=1e-4)
    assert len({round(focus.entropy, 3) for focus in found}) == 8


@pytest.mark.parametrize("at_once", [2000, 300, 40])
def test_no_more_weights_are_in_memory_than_may_be(model, window, monkeypatch, at_once):
    monkeypatch.setattr(attention_maps, "WEIGHTS_AT_ONCE", at_once)
    softmax, sizes = attention_maps._softmax, []
    monkeypatch.setattr(
        attention_maps, "_softmax", lambda q, k: sizes.append(q.shape[:3].numel() * k.shape[2]) or softmax(q, k)
    )
    measure_attention(model, *window)
    assert at_once / 4 < max(sizes) <= at_once
    assert sum(sizes) == 2 * 2 * (C * T * T + T * C * C)


def test_even_attention_has_the_mean_distance_of_all_pairs_and_the_most_entropy(model, window):
    for layer in model.layers:
        for attention in (layer.temporal, layer.spatial):
            nn.init.zeros_(attention.qkv.weight)
            nn.init.zeros_(attention.qkv.bias)
    codes, tensors, places_C3 = window
    mean = {
        "time": np.mean([TOKEN_S * abs(i - j) for i in range(T) for j in range(T)]),
        "space": np.mean([float((a - b).norm()) for a in places_C3 for b in places_C3]),
    }
    for focus in measure_attention(model, codes, tensors, places_C3):
        length = T if focus.axis == "time" else C
        assert focus.distance == pytest.approx(mean[focus.axis], rel=1e-5)
        assert focus.even_distance == pytest.approx(mean[focus.axis], rel=1e-5)
        assert focus.entropy == pytest.approx(math.log(length), rel=1e-5)
        assert focus.entropy_share == pytest.approx(1.0, rel=1e-5)


def test_attention_to_oneself_has_neither_distance_nor_entropy(model, window):
    """Queries and keys are one large one-hot vector a sensor: each sensor sees itself alone."""
    attention = model.layers[0].spatial
    codes, tensors, places_C3 = window

    def one_hot(module, inputs):
        return (torch.eye(C, 16).expand_as(inputs[0]), *inputs[1:])

    attention.register_forward_pre_hook(one_hot)
    with torch.no_grad():
        attention.qkv.bias.zero_()
        attention.qkv.weight.zero_()
        for half in (attention.qkv.weight[:16], attention.qkv.weight[16:32]):
            for head in (half[:8], half[8:]):
                head[:C, :C] = 100 * torch.eye(C)
    found = [f for f in measure_attention(model, codes, tensors, places_C3) if (f.layer, f.axis) == (1, "space")]
    assert len(found) == 2
    for focus in found:
        assert focus.distance == pytest.approx(0, abs=1e-12) and focus.entropy == pytest.approx(0, abs=1e-6)


def test_sensors_that_are_masked_out_do_not_count(model, window):
    codes, tensors, places_C3 = window
    padded_codes = torch.cat([codes, torch.zeros(1, 2, T, 6, dtype=codes.dtype)], 1)
    padded = type(tensors)(*(torch.cat([part, part[:, :2]], 1) for part in tensors))
    places = torch.cat([places_C3, torch.full((2, 3), 9.0)])
    good = torch.tensor([[True] * C + [False] * 2])
    mask = torch.zeros(1, C + 2, T, dtype=torch.bool)
    mask[:, :3, :4] = True
    found = measure_attention(model, padded_codes, padded, places, sensor_mask_BC=good, mask=mask)
    assert found == measure_attention(model, codes, tensors, places_C3, mask=mask[:, :C])


def test_the_model_is_left_as_it_was(model, window):
    codes, tensors, places_C3 = window
    before = model(codes, tensors)
    measure_attention(model, codes, tensors, places_C3)
    assert torch.equal(model(codes, tensors), before)
    assert not any(module._forward_pre_hooks for module in model.modules())


def test_distance_in_time_is_in_seconds_of_the_model(window):
    """A model of 100 Hz has tokens of half the length."""
    codes, tensors, places_C3 = window
    distances = []
    for sfreq_hz in (50.0, 100.0):
        torch.manual_seed(1)
        model = MEGXL(MEGXLConfig(**(vars(SMALL) | {"sfreq_hz": sfreq_hz}))).eval()
        distances.append(measure_attention(model, codes, tensors, places_C3)[0].distance)
    assert distances[0] == pytest.approx(2 * distances[1], rel=1e-6)


def test_a_single_sensor_has_no_share_of_entropy(model, window):
    codes, tensors, places_C3 = window
    one = type(tensors)(*(part[:, :1] for part in tensors))
    found = [f for f in measure_attention(model, codes[:, :1], one, places_C3[:1]) if f.axis == "space"]
    assert [(f.distance, f.entropy, f.entropy_share) for f in found] == [(0, 0, None)] * 4


def test_training_mode_and_several_windows_are_refused(model, window):
    codes, tensors, places_C3 = window
    with pytest.raises(InputError, match="one window at a time"):
        measure_attention(model, codes.expand(2, -1, -1, -1), tensors, places_C3)
    with pytest.raises(InputError, match="evaluation mode"):
        measure_attention(model.train(), codes, tensors, places_C3)
