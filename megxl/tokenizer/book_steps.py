"""What an optimiser step does to code books: running means of what chose each code, and new life for dead ones.

Letters: M vectors, K code width, Q levels, V codes.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from megxl.tokenizer.draws import LAST, Draw, mixed

DEAD_SHARE = 0.1
"""No code is dead that gets this share of the mean of its level: a small batch has less than `dead_below` for each."""
GRACE = 2.0
"""A revived code begins with this many times the count of a dead one: ln 2 / (1 - decay) steps to find its vectors."""


class Books(NamedTuple):
    """What lasts of all levels, stacked: copies of the levels' buffers."""

    code_books_QVK: Tensor
    counts_QV: Tensor
    sums_QVK: Tensor


def moved(books: Books, counts_QV: Tensor, sums_QVK: Tensor, *, decay: float, smoothing: float) -> Books:
    """Running means after a step with these counts and sums of unit-length inputs.

    Published books divide the sums by Laplace-smoothed counts; at unit length any divisor cancels. The smoothing does
    its work here as a small weight of the present direction. A level without counts, as files of random books and of
    some trainings have it, is taken to have been used evenly so far.
    """
    present_QVK = F.normalize(books.code_books_QVK, dim=-1)
    unknown_Q1 = books.counts_QV.sum(-1, keepdim=True) == 0
    before_QV = torch.where(unknown_Q1, counts_QV.mean(-1, keepdim=True), books.counts_QV)
    before_QVK = torch.where(unknown_Q1[..., None], before_QV[..., None] * present_QVK, books.sums_QVK)
    counts_QV = decay * before_QV + (1 - decay) * counts_QV
    sums_QVK = decay * before_QVK + (1 - decay) * sums_QVK
    return Books(F.normalize(sums_QVK + smoothing * present_QVK, dim=-1), counts_QV, sums_QVK)


def revived(books: Books, draw: Draw, dead_below: float) -> tuple[Books, Tensor]:
    """Books whose dead codes are inputs of the step, in the order of the draw, as far as it reaches; how many."""
    limit_Q1 = (DEAD_SHARE * books.counts_QV.mean(-1, keepdim=True)).clamp(max=dead_below)
    dead_QV = books.counts_QV < limit_Q1
    place_QV = dead_QV.cumsum(-1) - 1
    reborn_QV = dead_QV & (place_QV < (draw.priorities_M != LAST).sum(-1, keepdim=True))
    place_QVK = place_QV.clamp(min=0)[..., None].expand_as(books.code_books_QVK)
    vectors_QVK = draw.vectors_MD.gather(-2, place_QVK)
    counts_QV = torch.where(reborn_QV, GRACE * limit_Q1, books.counts_QV)
    code_books_QVK = torch.where(reborn_QV[..., None], vectors_QVK, books.code_books_QVK)
    sums_QVK = torch.where(reborn_QV[..., None], counts_QV[..., None] * vectors_QVK, books.sums_QVK)
    return Books(code_books_QVK, counts_QV, sums_QVK), reborn_QV.sum(-1)


def reshuffled(draw: Draw, *salt: int) -> Draw:
    """The same vectors in another order: rows that come again in a later step do not give the same codes first."""
    numbers_M = torch.where(draw.priorities_M == LAST, LAST, mixed(draw.priorities_M, *salt))
    return Draw(numbers_M, draw.vectors_MD).first(numbers_M.shape[-1])
