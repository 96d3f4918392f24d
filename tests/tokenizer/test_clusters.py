"""K-means on the sphere against loops in float64, and sums that no order changes."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from megxl.tokenizer.clusters import cluster_statistics, counts_and_sums, spherical_kmeans


def lloyd(vectors: np.ndarray, centroids: np.ndarray, iterations: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Centroids, counts and sums by loops over vectors and centroids."""
    centroids = centroids.copy()
    counts, sums = np.zeros(len(centroids)), np.zeros_like(centroids)
    for _ in range(iterations):
        counts[:], sums[:] = 0, 0
        for vector in vectors:
            nearest = max(range(len(centroids)), key=lambda v: vector @ centroids[v])
            counts[nearest] += 1
            sums[nearest] += vector
        for v in range(len(centroids)):
            if counts[v]:
                centroids[v] = sums[v] / np.linalg.norm(sums[v])
    return centroids, counts, sums


def unit(*shape: int) -> torch.Tensor:
    return F.normalize(torch.randn(*shape, dtype=torch.float64), dim=-1)


@pytest.mark.parametrize("iterations", [0, 1, 3, 60])
def test_kmeans_is_lloyds_algorithm_on_the_sphere(iterations):
    torch.manual_seed(iterations)
    vectors_MK = F.normalize(unit(5, 6).repeat(40, 1) + 0.5 * torch.randn(200, 6, dtype=torch.float64), dim=-1)
    start_VK = torch.cat([vectors_MK[:7], -vectors_MK.mean(0, keepdim=True)])
    # nothing is nearest to the last
    start_VK[-1] = F.normalize(1e-9 * unit(6) - 1e3 * vectors_MK.sum(0), dim=-1)
    centroids, counts, sums = lloyd(vectors_MK.numpy(), start_VK.numpy(), iterations)
    found = spherical_kmeans(vectors_MK, start_VK, iterations)
    np.testing.assert_allclose(found.centroids_VK.numpy(), centroids, rtol=0, atol=1e-8)
    np.testing.assert_array_equal(found.counts_V.numpy(), counts)
    np.testing.assert_allclose(found.sums_VK.numpy(), sums, rtol=0, atol=1e-7)


def test_statistics_are_the_same_to_the_bit_however_the_vectors_are_dealt():
    torch.manual_seed(0)
    vectors_MK, codes_M = unit(5000, 16).float(), torch.randint(20, (5000,))
    whole = cluster_statistics(vectors_MK, codes_M, 20)
    order = torch.randperm(5000)
    parts = zip(vectors_MK[order].split(700), codes_M[order].split(700), strict=True)
    assert torch.equal(sum(cluster_statistics(*part, 20) for part in parts), whole)
    counts_V, sums_VK = counts_and_sums(whole, torch.float64)
    for v in range(20):
        members = vectors_MK[codes_M == v].double()
        assert counts_V[v] == len(members)
        torch.testing.assert_close(sums_VK[v], members.sum(0), rtol=0, atol=1e-7)
