"""Clusters of directions: exact statistics of the vectors of each code, and k-means on the sphere.

Letters: M vectors, K code width, V codes.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

UNIT = 2.0**32
"""Steps from 0 to 1 of sums that are kept in whole numbers."""


class Clusters(NamedTuple):
    """What k-means found."""

    centroids_VK: Tensor
    """Unit length."""
    counts_V: Tensor
    """Vectors in each cluster."""
    sums_VK: Tensor
    """Their sum, whose direction the centroid is."""


def cluster_statistics(unit_MK: Tensor, codes_M: Tensor, codes: int) -> Tensor:
    """Sum, in steps of 1 / `UNIT`, and number of the unit-length vectors of each code: int64, shape (V, K + 1).

    Whole numbers have the same sum in any order: of the threads of a GPU, of micro-batches, of ranks.
    """
    steps_MK = (unit_MK * UNIT).round().long()
    rows_MC = torch.cat([steps_MK, torch.ones_like(steps_MK[:, :1])], -1)
    return rows_MC.new_zeros(codes, rows_MC.shape[1]).index_add_(0, codes_M, rows_MC)


def counts_and_sums(statistics_VC: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Counts (..., V) and sums (..., V, K) out of statistics (..., V, K + 1)."""
    return statistics_VC[..., -1].to(dtype), statistics_VC[..., :-1].to(dtype) / UNIT


def spherical_kmeans(unit_MK: Tensor, start_VK: Tensor, iterations: int) -> Clusters:
    """Lloyd's algorithm by cosine: give each vector to its nearest centroid, turn that to the sum; until all rest.

    Parameters
    ----------
    unit_MK : Tensor, shape (M, K)
        Unit length.
    start_VK : Tensor, shape (V, K)
        First centroids, unit length. One that is nearest to no vector stays where it is.
    iterations : int
        At most so many.
    """
    found = Clusters(start_VK, start_VK.new_zeros(len(start_VK)), torch.zeros_like(start_VK))
    before_M = None
    for _ in range(iterations):
        codes_M = (unit_MK @ found.centroids_VK.T).argmax(-1)
        if before_M is not None and torch.equal(codes_M, before_M):
            break
        counts_V, sums_VK = counts_and_sums(cluster_statistics(unit_MK, codes_M, len(start_VK)), unit_MK.dtype)
        turned_VK = torch.where(counts_V[:, None] > 0, F.normalize(sums_VK, dim=-1), found.centroids_VK)
        found, before_M = Clusters(turned_VK, counts_V, sums_VK), codes_M
    return found
