"""Fair draws of vectors from the rows of all ranks, which depend on the seeds of the rows and not on who holds them.

Letters: N rows, T tokens, M vectors, D width of a vector; ... is any dimensions before.
"""

from typing import NamedTuple

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor

LAST = torch.iinfo(torch.int64).max
"""Priority of a place that no vector fills."""
_GOLDEN, _FIRST, _SECOND = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB


class Draw(NamedTuple):
    """Vectors in the order of their priorities, the smallest first."""

    priorities_M: Tensor
    """Shape (..., M), int64."""
    vectors_MD: Tensor
    """Shape (..., M, D)."""

    def first(self, most: int) -> "Draw":
        """At most so many of the smallest priorities, in order."""
        order_M = self.priorities_M.argsort(-1)[..., :most]
        order_MD = order_M[..., None].expand(*order_M.shape, self.vectors_MD.shape[-1])
        return Draw(self.priorities_M.gather(-1, order_M), self.vectors_MD.gather(-2, order_MD))

    def beside(self, other: "Draw") -> "Draw":
        """The vectors of both."""
        return Draw(
            *(torch.cat(pair, axis) for pair, axis in zip(zip(self, other, strict=True), (-1, -2), strict=True))
        )

    def of_all_ranks(self, most: int) -> "Draw":
        """At most so many of all ranks, the same on each; each holds at most so many itself."""
        if not (dist.is_available() and dist.is_initialized()):
            return self.first(most)
        lacking = most - self.priorities_M.shape[-1]
        # F.pad takes its value by way of a float, in which LAST is one too many and turns negative
        places_M = self.priorities_M.new_full((*self.priorities_M.shape[:-1], lacking), LAST)
        priorities_M = torch.cat([self.priorities_M, places_M], -1)
        vectors_MD = F.pad(self.vectors_MD, (0, 0, 0, lacking)).contiguous()
        return Draw(torch.cat(_gathered(priorities_M), -1), torch.cat(_gathered(vectors_MD), -2)).first(most)


def priorities(seeds_N: Tensor, tokens: int, *salt: int) -> Tensor:
    """Random whole numbers (N, T) in int64: the vectors of the smallest ones are a fair draw.

    Parameters
    ----------
    seeds_N : Tensor of int64, shape (N,)
        One a row, all different; the same seed gives the same numbers in every process and on every device.
    tokens : int
        T.
    *salt : int
        What else the draw belongs to.
    """
    return mixed(mixed(seeds_N.long(), *salt, 0)[:, None] + torch.arange(tokens, device=seeds_N.device), 0)


def mixed(numbers: Tensor, *salt: int) -> Tensor:
    """Numbers (int64) made random by one salt after the other: the steps of splitmix64, each a permutation."""
    for part in salt:
        numbers = numbers + _signed((part + 1) * _GOLDEN)
        numbers = (numbers ^ _shifted(numbers, 30)) * _signed(_FIRST)
        numbers = (numbers ^ _shifted(numbers, 27)) * _signed(_SECOND)
        numbers = numbers ^ _shifted(numbers, 31)
    return numbers


def _shifted(numbers: Tensor, bits: int) -> Tensor:
    """Shift to the right without regard to the sign."""
    return (numbers >> bits) & ((1 << (64 - bits)) - 1)


def _signed(number: int) -> int:
    """The last 64 bits, as int64 has them."""
    return (number + (1 << 63)) % (1 << 64) - (1 << 63)


def _gathered(tensor: Tensor) -> list[Tensor]:
    found = [torch.empty_like(tensor) for _ in range(dist.get_world_size())]
    dist.all_gather(found, tensor)
    return found
