"""How well a tokenizer uses its codes: share in use, perplexity, entropy and bits per second.

Letters: N rows (one sensor each), T tokens, Q levels, V codes.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from megxl.errors import InputError


class BitRate(NamedTuple):
    """Bits per second that the codes of one sensor take."""

    nominal: float
    """Each code written with log2(V) bits."""
    entropy_coded: float
    """Each level written with an ideal code for how often its codes occur."""


class CodeCounts:
    """How often each code of each level occurred.

    Parameters
    ----------
    levels, codes : int
        Of the tokenizer.
    device : torch.device or str
        Where the counts lie.

    Attributes
    ----------
    counts_QV : Tensor of int64, shape (Q, V)
        Counts; those of several processes may be summed in place.
    """

    def __init__(self, levels: int, codes: int, device: torch.device | str = "cpu") -> None:
        self.counts_QV = torch.zeros(levels, codes, dtype=torch.int64, device=device)

    def add(self, codes_NTQ: Tensor) -> None:
        """Count codes of any integer type; all dimensions before the last may be of any number and size."""
        levels, codes = self.counts_QV.shape
        if codes_NTQ.shape[-1] != levels:
            raise InputError(f"Codes of {codes_NTQ.shape[-1]} levels cannot be counted as codes of {levels}.")
        places_Q = torch.arange(levels, device=codes_NTQ.device) * codes
        indices_NQ = codes_NTQ.reshape(-1, levels).long()
        if len(indices_NQ) and not 0 <= int(indices_NQ.min()) <= int(indices_NQ.max()) < codes:
            # a code beyond the book would be counted as one of the next level
            lowest, highest = int(indices_NQ.min()), int(indices_NQ.max())
            raise InputError(f"Codes from {lowest} to {highest} do not belong to code books of {codes} codes.")
        counted = torch.bincount((indices_NQ + places_Q).flatten(), minlength=levels * codes)
        self.counts_QV += counted.view(levels, codes).to(self.counts_QV.device)

    @property
    def tokens(self) -> int:
        """Tokens counted."""
        return int(self.counts_QV[0].sum())

    @property
    def usage_Q(self) -> Tensor:
        """Share of each level's codes that occurred at all."""
        return (self.counts_QV > 0).double().mean(1)

    @property
    def entropy_bits_Q(self) -> Tensor:
        """Entropy of each level's codes in bits, log2(V) at most; 0 where nothing was counted."""
        shares_QV = self.counts_QV.double() / self.counts_QV.sum(1, keepdim=True).clamp(min=1)
        return torch.special.entr(shares_QV).sum(1) / math.log(2)

    @property
    def perplexity_Q(self) -> Tensor:
        """Number of equally frequent codes that would be as hard to guess, V at most."""
        return self.entropy_bits_Q.exp2()

    def bits_per_second(self, sfreq_hz: float, samples_per_token: int) -> BitRate:
        """Bit rate of one sensor sampled at `sfreq_hz`."""
        levels, codes = self.counts_QV.shape
        tokens_per_second = sfreq_hz / samples_per_token
        entropy_bits = float(self.entropy_bits_Q.sum())
        return BitRate(levels * math.log2(codes) * tokens_per_second, entropy_bits * tokens_per_second)
