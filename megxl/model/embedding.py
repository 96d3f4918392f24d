"""What a token is made of: its six codes, or the mask vector, plus where and what its sensor is.

Letters: B batch, C sensors, T tokens, Q levels, V codes, K width of a code vector, D width, F Fourier features.
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from megxl.sizes import MEGXLConfig

POSITION_SPREAD, ORIENTATION_SPREAD = 1.8, 1.0
"""Standard deviations of the random Fourier frequencies."""


class SensorTensors(NamedTuple):
    """Sensor arrays of a batch as the model sees them."""

    positions_BC3: Tensor
    """Centred and scaled positions (`SensorArray.normalized_positions`)."""
    orientations_BC3: Tensor
    """Unit vectors; zero for electrodes."""
    kinds_BC: Tensor
    """0 gradiometer, 1 magnetometer, 2 electrode."""

    def to(self, device: torch.device | str) -> "SensorTensors":
        """Move to a device."""
        return SensorTensors(*(part.to(device, non_blocking=True) for part in self))


class FourierProjection(nn.Module):
    """Sines and cosines of fixed random directions, then a linear map (Tancik et al. 2020, arXiv 2006.10739)."""

    frequencies: Tensor

    def __init__(self, features: int, width: int, spread: float) -> None:
        super().__init__()
        self.register_buffer("frequencies", torch.randn(3, features // 2) * spread)
        self.projection = nn.Linear(features, width)

    def forward(self, v_BC3: Tensor) -> Tensor:
        """Map vectors (B, C, 3) to (B, C, D)."""
        phase_BCF = 2 * math.pi * v_BC3.to(self.frequencies.dtype) @ self.frequencies
        return self.projection(torch.cat([phase_BCF.sin(), phase_BCF.cos()], -1))


class TokenEmbedding(nn.Module):
    """Codes, position, orientation and kind to the vectors that the layers work on.

    The code vectors are copies of the tokenizer's code books and are not trained.
    """

    code_books: Tensor

    def __init__(self, config: MEGXLConfig) -> None:
        super().__init__()
        self.register_buffer("code_books", torch.randn(config.levels, config.codes, config.code_width))
        self.code_projection = nn.Linear(config.levels * config.code_width, config.width)
        self.position = FourierProjection(config.fourier_width, config.width, POSITION_SPREAD)
        self.orientation = FourierProjection(config.fourier_width, config.width, ORIENTATION_SPREAD)
        self.kind = nn.Embedding(config.sensor_kinds, config.width)
        self.mask_vector = nn.Parameter(torch.randn(config.width))

    def forward(self, codes_BCTQ: Tensor, sensors: SensorTensors, mask_BCT: Tensor | None = None) -> Tensor:
        """Embed codes (B, C, T, Q); where `mask_BCT` is true the mask vector stands in for them. Gives (B, C, T, D)."""
        x_BCTD = self.code_projection(self.code_vectors(codes_BCTQ))
        if mask_BCT is not None:
            x_BCTD = torch.where(mask_BCT[..., None], self.mask_vector.to(x_BCTD.dtype), x_BCTD)
        sensor_BC1D = self.sensor_vectors(sensors)[:, :, None]
        # the residual stream keeps the precision of the parameters, also where autocast made the codes' part bfloat16
        x_BCTD = x_BCTD.to(sensor_BC1D.dtype)
        # in place without gradients: at full size a second copy is 390 MB
        return x_BCTD + sensor_BC1D if torch.is_grad_enabled() else x_BCTD.add_(sensor_BC1D)

    def code_vectors(self, codes_BCTQ: Tensor) -> Tensor:
        """Vectors of a token's codes, side by side (B, C, T, Q * K)."""
        levels = zip(codes_BCTQ.int().unbind(-1), self.code_books, strict=True)
        return torch.cat([F.embedding(codes_BCT, book_VK) for codes_BCT, book_VK in levels], -1)

    def sensor_vectors(self, sensors: SensorTensors) -> Tensor:
        """What is the same for all tokens of a sensor (B, C, D)."""
        table = self.kind.weight
        if len(table) == 2:
            # weights trained without electrodes: these get the mean of the two kinds of coil
            table = torch.cat([table, table.mean(0, keepdim=True)])
        kinds_BCD = F.embedding(sensors.kinds_BC.long(), table)
        # bfloat16 would move a sensor by millimetres
        with torch.autocast(kinds_BCD.device.type, enabled=False):
            return self.position(sensors.positions_BC3) + self.orientation(sensors.orientations_BC3) + kinds_BCD
