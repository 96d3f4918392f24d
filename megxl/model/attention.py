"""Temporal and spatial self-attention, and the rotary position embedding (Jayalath & Parker Jones 2026, section 3.2).

Letters: N sequences, L their length, D width of the half that attends, H heads, K width of a head, P pairs of features.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from megxl.sizes import ROTARY_BASE

WEIGHTS_AT_ONCE = 2**25
"""Attention weights that lie in memory at a time where no fused kernel keeps them out of it."""


class RotaryTable:
    """Cosines and sines by which pairs of neighbouring features turn with time.

    One ladder of frequencies runs over the whole width, so that each head sees a band of its own.
    """

    def __init__(self, length: int, width: int, device: torch.device | None = None) -> None:
        exponents_P = torch.arange(0, width, 2, device=device, dtype=torch.float32) / width
        angles_LP = torch.outer(torch.arange(length, device=device, dtype=torch.float32), ROTARY_BASE**-exponents_P)
        self.cos_LP, self.sin_LP = angles_LP.cos(), angles_LP.sin()

    def rotate(self, x_NLD: Tensor) -> Tensor:
        """Turn every pair (x_2i, x_2i+1) of each token by its angle, in float32; same shape and dtype."""
        even_NLP, odd_NLP = x_NLD.float().unflatten(-1, (-1, 2)).unbind(-1)
        cos_LP, sin_LP = self.cos_LP, self.sin_LP
        turned = (even_NLP * cos_LP - odd_NLP * sin_LP, even_NLP * sin_LP + odd_NLP * cos_LP)
        return torch.stack(turned, -1).flatten(-2).to(x_NLD.dtype)


class SelfAttention(nn.Module):
    """Multi-head self-attention over the second axis of (N, L, D)."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.dropout = dropout
        self.drops_in_eval = False
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x_NLD: Tensor, rotary: RotaryTable | None = None, keys_NL: Tensor | None = None) -> Tensor:
        """Attend.

        Parameters
        ----------
        x_NLD : Tensor, shape (N, L, D)
        rotary : RotaryTable, optional
            Turns queries and keys by their place; without it the order of the sequence is not seen.
        keys_NL : Tensor of bool, shape (N, L), optional
            False where nobody may look. None keeps the fused kernels for dense sequences.
        """
        q_NLD, k_NLD, v_NLD = self.qkv(x_NLD).chunk(3, -1)
        if rotary is not None:
            q_NLD, k_NLD = rotary.rotate(q_NLD), rotary.rotate(k_NLD)
        dropout = self.dropout if self.training or self.drops_in_eval else 0.0
        mask_N11L = None if keys_NL is None else keys_NL[:, None, None]
        attend = _attend_in_pieces if dropout and x_NLD.device.type == "cpu" else F.scaled_dot_product_attention
        y_NHLK = attend(self._split(q_NLD), self._split(k_NLD), self._split(v_NLD), mask_N11L, dropout)
        return self.out(y_NHLK.transpose(1, 2).flatten(2))

    def _split(self, x_NLD: Tensor) -> Tensor:
        return x_NLD.unflatten(-1, (self.heads, -1)).transpose(1, 2)


def _attend_in_pieces(
    q_NHLK: Tensor, k_NHLK: Tensor, v_NHLK: Tensor, mask_N11L: Tensor | None, dropout: float
) -> Tensor:
    """Attend to some sequences after the others: with dropout a CPU has no fused kernel, and keeps all weights.

    Each piece's weights are computed again on the way back.
    """
    sequences, heads, length, _ = q_NHLK.shape
    step = max(1, WEIGHTS_AT_ONCE // (heads * length**2))
    if step >= sequences:
        return F.scaled_dot_product_attention(q_NHLK, k_NHLK, v_NHLK, mask_N11L, dropout)
    parts = [part_NHLK.split(step) for part_NHLK in (q_NHLK, k_NHLK, v_NHLK)]
    masks = [None] * len(parts[0]) if mask_N11L is None else mask_N11L.split(step)
    pieces = zip(*parts, masks, strict=True)
    attend = F.scaled_dot_product_attention
    return torch.cat([checkpoint(attend, *piece, dropout, use_reentrant=False) for piece in pieces])
