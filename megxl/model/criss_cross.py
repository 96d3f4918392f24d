"""A criss-cross layer: half of the features attend over time, half over sensors, then a feed-forward step.

Letters: B batch, C sensors, T tokens, D width, E half of the width, R rows (tokens of all sensors), M hidden width.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from megxl.model.attention import RotaryTable, SelfAttention
from megxl.sizes import MEGXLConfig

FEEDFORWARD_RATIO = 4
ROWS_AT_ONCE = {"cpu": 2_500}
MANY_ROWS_AT_ONCE = 60_000
"""Rows that a pass without gradients works on at a time: what stays in a processor's cache, or what fills a GPU while
it stays under the 65,535 sequences that fused attention kernels take."""


class RMSNorm(nn.Module):
    """Divide by the root mean square in float32, times a learned scale (Zhang & Sennrich 2019, arXiv 1910.07467)."""

    def __init__(self, width: int, epsilon: float = 1e-6) -> None:
        super().__init__()
        self.epsilon = epsilon
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        """Keep shape and dtype."""
        wide = x.float()
        inverse = torch.rsqrt(wide.square().mean(-1, keepdim=True) + self.epsilon)
        return (wide * inverse * self.weight).to(x.dtype)


class FeedForward(nn.Module):
    """Linear, SELU, linear, dropout."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.up = nn.Linear(width, FEEDFORWARD_RATIO * width)
        self.down = nn.Linear(FEEDFORWARD_RATIO * width, width)
        self.dropout = dropout

    def forward(self, x: Tensor) -> Tensor:
        """Keep the shape (..., D)."""
        # in place without gradients, where nobody needs the hidden units again
        hidden = F.selu(self.up(x), inplace=not torch.is_grad_enabled())
        return F.dropout(self.down(hidden), self.dropout, self.training)


class CrissCrossLayer(nn.Module):
    """Pre-norm layer: temporal attention within each sensor and spatial attention within each token, then feed-forward.

    With gradients or compiled, whole tensors; otherwise slice by slice in place: the same sums with less memory.
    """

    def __init__(self, config: MEGXLConfig) -> None:
        super().__init__()
        half, heads = config.width // 2, config.heads // 2
        self.attention_norm = RMSNorm(config.width)
        self.temporal = SelfAttention(half, heads, config.dropout)
        self.spatial = SelfAttention(half, heads, config.dropout)
        self.feedforward_norm = RMSNorm(config.width)
        self.feedforward = FeedForward(config.width, config.dropout)

    def forward(self, x_BCTD: Tensor, rotary: RotaryTable, sensor_mask_BC: Tensor | None = None) -> Tensor:
        """Apply the layer; without gradients the input may be overwritten.

        Parameters
        ----------
        x_BCTD : Tensor, shape (B, C, T, D)
        rotary : RotaryTable
            For T tokens and half of the width.
        sensor_mask_BC : Tensor of bool, shape (B, C), optional
            False where a sensor is to be looked at by no other.
        """
        if not torch.is_grad_enabled() and not torch.compiler.is_compiling():
            self._attend_(x_BCTD, rotary, sensor_mask_BC)
            self._feed_forward_(x_BCTD)
            return x_BCTD
        for_time_BCTE, for_space_BCTE = self.attention_norm(x_BCTD).chunk(2, -1)
        across_time_BCTE = self._over_time(for_time_BCTE, rotary)
        across_space_BCTE = self._over_space(for_space_BCTE, sensor_mask_BC)
        # the halves swap places here: released weights were trained with this order
        x_BCTD = x_BCTD + torch.cat([across_space_BCTE, across_time_BCTE], -1)
        return x_BCTD + self.feedforward(self.feedforward_norm(x_BCTD))

    def _over_time(self, x_BCTE: Tensor, rotary: RotaryTable) -> Tensor:
        return self.temporal(x_BCTE.flatten(0, 1), rotary).unflatten(0, x_BCTE.shape[:2])

    def _over_space(self, x_BCTE: Tensor, sensor_mask_BC: Tensor | None) -> Tensor:
        tokens = x_BCTE.shape[2]
        keys_NC = None if sensor_mask_BC is None else sensor_mask_BC.bool().repeat_interleave(tokens, 0)
        x_BTCE = x_BCTE.transpose(1, 2)
        return self.spatial(x_BTCE.flatten(0, 1), None, keys_NC).unflatten(0, x_BTCE.shape[:2]).transpose(1, 2)

    def _attend_(self, x_BCTD: Tensor, rotary: RotaryTable, sensor_mask_BC: Tensor | None) -> None:
        sensors, tokens, width = x_BCTD.shape[1:]
        half, rows = width // 2, ROWS_AT_ONCE.get(x_BCTD.device.type, MANY_ROWS_AT_ONCE)
        across_time_BCTE = torch.empty_like(x_BCTD[..., half:])
        for item in range(len(x_BCTD)):
            x_1CTD, mask_1C = (
                x_BCTD[item : item + 1],
                None if sensor_mask_BC is None else sensor_mask_BC[item : item + 1],
            )
            for part in _slices(sensors, max(1, rows // tokens)):
                for_time_1CTE = self.attention_norm(x_1CTD[:, part])[..., :half]
                across_time_BCTE[item : item + 1, part] = self._over_time(for_time_1CTE, rotary)
            for part in _slices(tokens, max(1, rows // sensors)):
                for_space_1CTE = self.attention_norm(x_1CTD[:, :, part])[..., half:]
                across_space_1CTE = self._over_space(for_space_1CTE, mask_1C)
                # both halves of these tokens have been read by all who need them
                x_1CTD[:, :, part, :half] += across_space_1CTE
                x_1CTD[:, :, part, half:] += across_time_BCTE[item : item + 1, :, part]

    def _feed_forward_(self, x_BCTD: Tensor) -> None:
        rows_RD = x_BCTD.view(-1, x_BCTD.shape[-1])
        for part_RD in rows_RD.split(ROWS_AT_ONCE.get(x_BCTD.device.type, MANY_ROWS_AT_ONCE)):
            part_RD += self.feedforward(self.feedforward_norm(part_RD))


def _slices(total: int, step: int) -> list[slice]:
    return [slice(start, min(start + step, total)) for start in range(0, total, step)]
