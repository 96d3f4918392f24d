"""Masked prediction by context given, against the whole window, loops over single tiles, and models without context."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from megxl.errors import InputError
from megxl.model.inputs import batch_sensors
from megxl.model.megxl import MEGXL
from megxl.sizes import MEGXLConfig
from megxl.training import context
from megxl.training.context import context_tokens, countable, cut_tiles, score_window
from tests.data.small import sensors

SMALL = MEGXLConfig(width=32, layers=2, heads=4, levels=3, codes=16, code_width=4, fourier_width=20, masked_blocks=1)
C, T = 4, 61


@pytest.fixture
def model() -> MEGXL:
    model = MEGXL(SMALL).eval()
    for layer in model.layers:  # weights of a new model hardly look at anything
        for attention in (layer.temporal, layer.spatial):
            nn.init.normal_(attention.qkv.weight, std=0.5)
    return model


@pytest.fixture
def window():
    mask_T = torch.zeros(T, dtype=torch.bool)
    for start in (3, 20, 26, 40, 55):
        mask_T[start : start + 6] = True
    return torch.randint(16, (1, C, T, 3)), batch_sensors([sensors(C)])[0], mask_T


@given(st.data())
def test_tiles_count_every_token_once_and_have_one_length(data):
    tokens = data.draw(st.integers(1, 400))
    length = data.draw(st.integers(1, tokens))
    tiles = cut_tiles(tokens, length)
    counted = [token for tile in tiles for token in range(tile.first, tile.stop)]
    assert counted == list(range(tokens))
    for tile in tiles:
        assert tile.stop - tile.start == length and 0 <= tile.start <= tile.first < tile.stop <= tokens
    assert len(tiles) == math.ceil(tokens / length)


@given(st.data())
def test_countable_tokens_are_hidden_and_see_something_at_every_length(data):
    mask = data.draw(st.lists(st.booleans(), min_size=1, max_size=80))
    lengths = data.draw(st.lists(st.integers(1, len(mask)), min_size=1, max_size=3))
    expected = []
    for token, hidden in enumerate(mask):
        sees = []
        for length in lengths:
            # the tile that counts a token: the one that it falls into, or what is left at the end of the window
            start = min(token // length * length, len(mask) - length)
            sees.append(not all(mask[start : start + length]))
        expected.append(hidden and all(sees))
    found = countable(torch.tensor(mask), [cut_tiles(len(mask), length) for length in lengths])
    assert found.tolist() == expected


def test_the_whole_window_as_context_is_masked_prediction(model, window):
    codes, tensors, mask_T = window
    score = score_window(model, codes, tensors, mask_T, [T])
    with torch.no_grad():
        expected = model.masked_prediction(codes, tensors, mask_T[None])
    assert score.tokens == C * int(mask_T.sum()) and score.left_out == 0
    np.testing.assert_allclose(score.loss_KQ[0] / score.tokens, expected.loss_Q.numpy(), rtol=1e-6)
    np.testing.assert_allclose(score.hits_KQ[0] / score.tokens, expected.accuracy_Q.numpy(), rtol=1e-6)


def by_loops(model: MEGXL, codes, tensors, mask_T, counted, length: int, real) -> np.ndarray:
    """One token at a time, each from a run of its own tile through the model, in float64; (2, Q)."""
    sums = np.zeros((2, model.config.levels))
    for token in np.flatnonzero(counted):
        start = min(token // length * length, len(mask_T) - length)
        tile = slice(start, start + length)
        with torch.no_grad():
            features = model(codes[:, :, tile], tensors, torch.tensor([real]), mask=mask_T[None, tile])
            logits = model.logits(features)[0, :, token - start].double()
        for sensor in np.flatnonzero(real):
            for level in range(model.config.levels):
                log_chances = F.log_softmax(logits[sensor, level], 0)
                truth = int(codes[0, sensor, token, level])
                sums[0, level] -= float(log_chances[truth])
                sums[1, level] += int(log_chances.argmax()) == truth
    return sums


@pytest.mark.parametrize("real", [[True] * C, [True, False, True, True]])
@pytest.mark.parametrize("rows_at_once", [8192, 5])
def test_sums_equal_those_of_single_tokens_in_their_tiles(model, window, real, rows_at_once, monkeypatch):
    monkeypatch.setattr(context, "ROWS_AT_ONCE", rows_at_once)
    codes, tensors, mask_T = window
    lengths = [6, 17, 40, T]
    score = score_window(model, codes, tensors, mask_T, lengths, torch.tensor([real]))
    counted = countable(mask_T, [cut_tiles(T, length) for length in lengths])
    assert 0 < counted.sum() < mask_T.sum()
    assert score.tokens == sum(real) * int(counted.sum())
    assert score.left_out == sum(real) * int((mask_T & ~counted).sum())
    for place, length in enumerate(lengths):
        loss_Q, hits_Q = by_loops(model, codes, tensors, mask_T, counted.numpy(), length, real)
        np.testing.assert_allclose(score.loss_KQ[place], loss_Q, rtol=1e-5)
        np.testing.assert_array_equal(score.hits_KQ[place], hits_Q)
    assert len(set(score.loss_KQ[:, 0].round(3))) == 4  # context matters to this model


def test_a_model_that_attends_to_nothing_gets_the_same_loss_at_every_context(model, window):
    for layer in model.layers:
        for attention in (layer.temporal, layer.spatial):
            nn.init.zeros_(attention.out.weight)
            nn.init.zeros_(attention.out.bias)
    score = score_window(model, *window, [2, 7, 30, T])
    assert score.tokens > 0
    np.testing.assert_allclose(score.loss_KQ, score.loss_KQ[[-1] * 4], rtol=1e-6)
    np.testing.assert_array_equal(score.hits_KQ, score.hits_KQ[[-1] * 4])


def test_what_lies_outside_of_the_tile_cannot_matter(model, window):
    codes, tensors, mask_T = window
    mask_T = torch.zeros(T, dtype=torch.bool)
    mask_T[3:9] = True  # in the first tile of 20
    other = codes.clone()
    other[:, :, 20:] = (other[:, :, 20:] + 1) % 16
    near, far = (score_window(model, some, tensors, mask_T, [20, T]) for some in (codes, other))
    np.testing.assert_array_equal(near.loss_KQ[0], far.loss_KQ[0])
    assert abs(near.loss_KQ[1] - far.loss_KQ[1]).max() > 1e-3


def test_no_more_tokens_than_those_of_the_window_are_run_at_once(model, window):
    shapes = []
    model.layers[0].register_forward_pre_hook(lambda module, inputs: shapes.append(inputs[0].shape))
    score_window(model, *window, [6, 17, 40, T])
    assert [tuple(shape[::2]) for shape in shapes] == [(10, 6), (1, 6), (3, 17), (1, 17), (1, 40), (1, 40), (1, T)]


def test_a_context_is_given_as_many_whole_tokens_as_it_has_room_for():
    config = MEGXLConfig()
    assert [context_tokens(seconds, 625, config) for seconds in (5, 30, 100, 150, 600, 0.48, 0.72)] == [
        20, 125, 416, 625, 625, 2, 3,
    ]  # fmt: skip
    # 0.6 / 0.2 = 2.9999999999999996
    assert context_tokens(0.6, 625, MEGXLConfig(sfreq_hz=60.0)) == 3
    for seconds in (0.4, 0, -3, math.nan, math.inf):
        with pytest.raises(InputError, match=r"cannot be given; .* two tokens of 0\.24 s"):
            context_tokens(seconds, 625, config)
