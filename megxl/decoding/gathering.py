"""Words of all ranks side by side, so that a loss over several devices is that of one with the whole batch.

Letters: N words of this rank, G words of all ranks, R ranks, D width.
"""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from megxl.errors import InputError


def gather_words(*parts: Tensor) -> tuple[Tensor, ...]:
    """Join the rows of all ranks, in the order of the ranks; of one process, return them as they are.

    Every rank then computes the same loss of the whole batch, and the mean of the gradients over ranks (what DDP and
    FSDP take) is exactly that loss's gradient: the gradient of this rank's own rows goes back times the number of
    ranks, that of the other rows stays with their rank, so the way back needs no communication. All ranks must
    therefore make the same use of the rows. Ranks may have different numbers of rows, also none; the counts are
    exchanged first, for which each rank waits.

    Parameters
    ----------
    *parts : Tensor
        Estimates, candidates, numbers of words: shapes (N, D), (N, D), (N), all with the same number of rows.

    Returns
    -------
    tuple of Tensor
        Shapes (G, D), (G, D), (G).

    Raises
    ------
    InputError
        Parts of different numbers of rows, whose order would be lost.
    """
    if len({len(part) for part in parts}) > 1:
        counts = ", ".join(str(len(part)) for part in parts)
        raise InputError(f"Parts of {counts} rows cannot be gathered; give one row a word in each.")
    if not dist.is_available() or not dist.is_initialized() or dist.get_world_size() == 1:
        return parts
    own = torch.tensor([len(parts[0])], device=parts[0].device)
    found = [torch.empty_like(own) for _ in range(dist.get_world_size())]
    dist.all_gather(found, own)
    counts_R = [int(count) for count in torch.cat(found).tolist()]
    return tuple(_Gather.apply(part, counts_R) for part in parts)


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, part_N: Tensor, counts_R: list[int]) -> Tensor:
        ctx.counts_R = counts_R
        # rows of zeros, because not all backends can gather unequal numbers
        padded = part_N.new_zeros(max(counts_R), *part_N.shape[1:])
        padded[: len(part_N)] = part_N
        found = [torch.empty_like(padded) for _ in counts_R]
        dist.all_gather(found, padded)
        return torch.cat([rows[:count] for rows, count in zip(found, counts_R, strict=True)])

    @staticmethod
    def backward(ctx: Any, *grads_G: Tensor) -> tuple[Tensor, None]:
        rank = dist.get_rank()
        first = sum(ctx.counts_R[:rank])
        return grads_G[0][first : first + ctx.counts_R[rank]] * len(ctx.counts_R), None
