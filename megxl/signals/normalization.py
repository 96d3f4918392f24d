"""Robust scaling of the prepared signal in blocks of `BLOCK_S`, in torch, on the device where the model runs.

Letters: B batch, C sensors, T samples, N blocks, K samples in a block.
"""

import math

import torch
from torch import Tensor

from megxl.errors import InputError

BLOCK_S = 3.0
"""Seconds of a signal that are centred and scaled together, as in training."""

# a smaller interquartile range is rounding noise of a flat sensor: nothing is divided by it (as in scikit-learn)
SMALLEST_SCALE = 10.0 * torch.finfo(torch.float64).eps


def scale_blocks(signal_BCT: Tensor, block: int = 150, limit: float = 5.0) -> Tensor:
    """Centre each sensor by its median and scale it by its interquartile range, block by block, then clip.

    Parameters
    ----------
    signal_BCT : Tensor, shape (B, C, T)
        Prepared signal in SI units; any T >= 1, the last block may be shorter and has its own statistics.
    block : int
        Samples in a block (150 = `BLOCK_S` at 50 Hz).
    limit : float
        Clip at plus and minus this many interquartile ranges.

    Returns
    -------
    Tensor, shape (B, C, T)
        Unitless; float64 if the input is, else float32. A flat block becomes exactly zero. NaN stays NaN and takes no
        part in its block's statistics.

    Raises
    ------
    InputError
        Another number of axes, no sample, integers, a block shorter than one sample, a limit that is not positive.
    """
    _check(signal_BCT, block, limit)
    # raw tesla with an offset fill float32's digits; mps has nothing better
    working = torch.float32 if signal_BCT.device.type == "mps" else torch.float64
    samples = signal_BCT.shape[-1]
    # NaN is left out of the statistics, so that a short last block can be filled up with it
    filled_BCT = torch.nn.functional.pad(signal_BCT.to(working), (0, -samples % block), value=math.nan)
    x_BCNK = filled_BCT.unflatten(-1, (-1, block))
    low_BCN1, median_BCN1, high_BCN1 = _quantiles(x_BCNK, (0.25, 0.5, 0.75))
    scale_BCN1 = high_BCN1 - low_BCN1
    scale_BCN1 = torch.where(scale_BCN1 < SMALLEST_SCALE, 1.0, scale_BCN1)
    scaled_BCNK = ((x_BCNK - median_BCN1) / scale_BCN1).clamp(-limit, limit)
    result = torch.float64 if signal_BCT.dtype == torch.float64 else torch.float32
    return scaled_BCNK.flatten(-2)[..., :samples].to(result)


def _quantiles(x_BCNK: Tensor, levels: tuple[float, ...]) -> list[Tensor]:
    """Linear-interpolated quantiles over the last axis, leaving NaN out."""
    # torch.nanquantile does the same, but refuses more than 16 million numbers and sorts once a level
    sorted_BCNK = x_BCNK.sort(dim=-1).values  # NaN comes last
    last_BCN1 = (~x_BCNK.isnan()).sum(dim=-1, keepdim=True).sub(1).clamp(min=0)
    quantiles = []
    for level in levels:
        place_BCN1 = last_BCN1 * level
        below_BCN1 = place_BCN1.floor().long()
        above_BCN1 = torch.minimum(below_BCN1 + 1, last_BCN1)
        value_BCN1 = sorted_BCNK.gather(-1, below_BCN1)
        step_BCN1 = sorted_BCNK.gather(-1, above_BCN1) - value_BCN1
        quantiles.append(value_BCN1 + step_BCN1 * (place_BCN1 - below_BCN1))
    return quantiles


def _check(signal_BCT: Tensor, block: int, limit: float) -> None:
    if signal_BCT.dim() != 3 or signal_BCT.shape[-1] < 1:
        shape = tuple(signal_BCT.shape)
        raise InputError(f"The signal has the shape {shape}; allowed: (batch, sensors, samples), at least one sample.")
    if not signal_BCT.is_floating_point():
        raise InputError(f"The signal's type is {signal_BCT.dtype}; allowed: floating-point numbers, in SI units.")
    if block < 1:
        raise InputError(f"block = {block}: a block needs at least one sample (150 = 3 s at 50 Hz).")
    if not limit > 0:
        raise InputError(f"limit = {limit}: the signal is clipped at plus and minus this number; allowed: above 0.")
