"""Masked prediction by context given: the same hidden tokens of a window, predicted from tiles of it of some length.

A tile is run through the model by itself, as if the recording had nothing beside it. Codes are those of the whole
window, so that what is to be predicted is the same for every length.
Letters: C sensors, T tokens of the window, L tokens of a tile, N tiles, R hidden tokens of all sensors, D width,
Q levels, K contexts.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from megxl.errors import InputError
from megxl.model.embedding import SensorTensors
from megxl.model.megxl import MEGXL
from megxl.sizes import MEGXLConfig

ROWS_AT_ONCE = 8192
"""Hidden tokens whose codes are scored at a time: 50 MB of scores."""


@dataclass(frozen=True, kw_only=True)
class Tile:
    """A stretch of a window that the model is given by itself."""

    start: int
    """First token."""
    stop: int
    """Token after the last."""
    first: int
    """First token that is counted here; those before it are counted in the tile before."""


@dataclass(frozen=True, kw_only=True)
class WindowScore:
    """Sums over the hidden tokens of one window that were counted."""

    loss_KQ: np.ndarray
    """Cross-entropy in nats."""
    hits_KQ: np.ndarray
    """Codes predicted right."""
    tokens: int
    """Hidden tokens of real sensors that were counted, the same at every context."""
    left_out: int
    """Hidden tokens that were not counted: at some context they have nothing visible beside them."""


def context_tokens(context_s: float, tokens: int, config: MEGXLConfig) -> int:
    """Tokens of a context: as many whole ones as it has room for, at most the window's.

    Raises
    ------
    InputError
        Not a number of seconds, or fewer than two tokens: a hidden one would have nothing beside it.
    """
    token_s = config.samples_per_token / config.sfreq_hz
    # a thousandth of a token is rounding, as in 0.72 / 0.24 = 2.9999999999999996
    whole = int(context_s / token_s + 1e-3) if 0 < context_s < np.inf else 0
    if whole < 2:
        raise InputError(
            f"A context of {context_s:g} s cannot be given; give seconds into which two tokens of {token_s:g} s fit."
        )
    return min(whole, tokens)


def cut_tiles(tokens: int, length: int) -> list[Tile]:
    """Cut a window into tiles of one length, side by side from its beginning; the last one ends with the window.

    Every token is counted in one tile: where the last two overlap, in the former.
    """
    assert 1 <= length <= tokens
    tiles = [Tile(start=start, stop=start + length, first=start) for start in range(0, tokens - length + 1, length)]
    if (done := tiles[-1].stop) < tokens:
        tiles.append(Tile(start=tokens - length, stop=tokens, first=done))
    return tiles


def countable(mask_T: Tensor, tilings: Sequence[Sequence[Tile]]) -> Tensor:
    """Hidden tokens that have a visible one in the tile that counts them, in every tiling; bool, shape (T,)."""
    counted_T = mask_T.clone()
    for tiles in tilings:
        for tile in tiles:
            if mask_T[tile.start : tile.stop].all():
                counted_T[tile.first : tile.stop] = False
    return counted_T


@torch.no_grad()
def score_window(
    model: MEGXL,
    codes_1CTQ: Tensor,
    sensors: SensorTensors,
    mask_T: Tensor,
    lengths: Sequence[int],
    sensor_mask_1C: Tensor | None = None,
) -> WindowScore:
    """Predict the hidden tokens of one window from tiles of each length.

    Tiles of one length are run together as far as they have no more tokens than the window, which bounds the memory.

    Parameters
    ----------
    model : MEGXL
        In evaluation mode.
    codes_1CTQ : Tensor, shape (1, C, T, Q)
    sensors : SensorTensors
    mask_T : Tensor of bool on the CPU, shape (T,)
        True where a token is hidden, on all sensors.
    lengths : sequence of int
        Tokens of each context, at most T.
    sensor_mask_1C : Tensor of bool, shape (1, C), optional
        False where a sensor is padding or bad, and is not counted.
    """
    assert not model.training and len(codes_1CTQ) == 1
    tilings = [cut_tiles(len(mask_T), length) for length in lengths]
    counted_T = countable(mask_T, tilings)
    real_C = torch.ones(codes_1CTQ.shape[1], dtype=torch.bool) if sensor_mask_1C is None else sensor_mask_1C[0].cpu()
    sums_K2Q = []
    for tiles in tilings:
        at_once = max(1, len(mask_T) // (tiles[0].stop - tiles[0].start))
        groups = [tiles[start : start + at_once] for start in range(0, len(tiles), at_once)]
        parts = [_score_tiles(model, codes_1CTQ, sensors, mask_T, counted_T, real_C, group) for group in groups]
        sums_K2Q.append(torch.stack(parts).sum(0).numpy())
    loss_KQ, hits_KQ = np.stack(sums_K2Q).swapaxes(0, 1)
    sensor_count, counted = int(real_C.sum()), int(counted_T.sum())
    left_out = sensor_count * (int(mask_T.sum()) - counted)
    return WindowScore(loss_KQ=loss_KQ, hits_KQ=hits_KQ, tokens=sensor_count * counted, left_out=left_out)


def _score_tiles(
    model: MEGXL,
    codes_1CTQ: Tensor,
    sensors: SensorTensors,
    mask_T: Tensor,
    counted_T: Tensor,
    real_C: Tensor,
    tiles: Sequence[Tile],
) -> Tensor:
    """Sums of losses and hits, float64 on the CPU, shape (2, Q), over the counted tokens of tiles of one length."""
    device, levels = codes_1CTQ.device, model.config.levels
    codes_NCLQ = torch.cat([codes_1CTQ[:, :, tile.start : tile.stop] for tile in tiles])
    mask_NL = torch.stack([mask_T[tile.start : tile.stop] for tile in tiles])
    counted_NL = torch.stack([counted_T[tile.start : tile.stop] for tile in tiles])
    for row_L, tile in zip(counted_NL, tiles, strict=True):
        row_L[: tile.first - tile.start] = False
    real_NC = real_C.expand(len(tiles), -1)
    features_NCLD = model(
        codes_NCLQ,
        SensorTensors(*(part.expand(len(tiles), *part.shape[1:]) for part in sensors)),
        None if bool(real_C.all()) else real_NC.to(device),
        mask=mask_NL,
    )
    rows_R = (counted_NL[:, None] & real_NC[..., None]).flatten().nonzero().squeeze(-1).to(device)
    sums_2Q = torch.zeros(2, levels, dtype=torch.float64)
    for some_R in rows_R.split(ROWS_AT_ONCE):
        logits_RQV = model.head(features_NCLD.flatten(0, 2)[some_R]).unflatten(-1, (levels, -1)).float()
        targets_RQ = codes_NCLQ.flatten(0, 2)[some_R].long()
        losses_RQ = F.cross_entropy(logits_RQV.transpose(1, 2), targets_RQ, reduction="none")
        hits_RQ = logits_RQV.argmax(-1) == targets_RQ
        sums_2Q += torch.stack([losses_RQ.cpu().double().sum(0), hits_RQ.cpu().double().sum(0)])
    return sums_2Q
