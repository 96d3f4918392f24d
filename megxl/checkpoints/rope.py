"""Rotary tables that released files carry in every layer: computed from the sizes, never trusted.

Letters: T tokens, P pairs of features.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from megxl.checkpoints.names import ROPE
from megxl.errors import InputError
from megxl.sizes import ROTARY_BASE

RELEASED_LENGTH = 240
"""Tokens in the released tables, when the file at hand does not say."""
LONGEST = 100_000


def rope_tables(width: int, tokens: int) -> tuple[Tensor, Tensor]:
    """Frequencies and rotations of temporal attention, in the released form and arithmetic.

    Parameters
    ----------
    width : int
        Width of the model; temporal attention works on half of it.
    tokens : int
        Length of the table.

    Returns
    -------
    frequencies_P : Tensor, shape (width / 4,)
        Radians a token, float32.
    rotations_TP : Tensor, shape (tokens, width / 4)
        exp(i t f), complex64.
    """
    half = width // 2
    # this order of float32 operations gives the released numbers bit by bit
    frequencies_P = 1.0 / (ROTARY_BASE ** (torch.arange(0, half, 2).float() / half))
    angles_TP = torch.outer(torch.arange(tokens).float(), frequencies_P)
    return frequencies_P, torch.polar(torch.ones_like(angles_TP), angles_TP)


def check_rope(found: Mapping[str, Tensor], config: Mapping[str, Any], where: str) -> int:
    """Refuse rotary tables other than those that the model computes; return the length of the stored ones."""
    length = RELEASED_LENGTH
    for n in range(config["layers"]):
        name = f"criss_cross_transformer.layers.{n}.{ROPE}"
        rotate = found.get(f"{name}.rotate")
        if rotate is not None and rotate.ndim == 2:
            length = min(rotate.shape[0], LONGEST)
        frequencies_P, rotations_TP = rope_tables(config["width"], length)
        _check_table(found.get(f"{name}.freqs"), frequencies_P, 1e-5 * frequencies_P, f"{where}: {name}.freqs")
        # the angle of token t carries t times the rounding of its frequency
        _check_table(rotate, rotations_TP, torch.tensor(1e-6 * length + 1e-5), f"{where}: {name}.rotate")
    return length


def _check_table(stored: Tensor | None, table: Tensor, tolerance: Tensor, what: str) -> None:
    if stored is None:
        return
    same_form = stored.shape == table.shape and stored.is_complex() == table.is_complex()
    if not same_form or not bool(((stored - table).abs() <= tolerance).all()):
        raise InputError(
            f"{what} (shape {tuple(stored.shape)}) is not the rotary table of base {ROTARY_BASE:g} that this width "
            "has: the model was trained with another position code, which this program does not know."
        )
