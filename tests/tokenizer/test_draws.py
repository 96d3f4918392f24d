"""Draws that depend on seeds alone: against the same arithmetic in Python's whole numbers, and for fairness."""

import torch

from megxl.tokenizer.draws import LAST, Draw, mixed, priorities


def splitmix64(state: int) -> int:
    """Output of the generator with this state, in Python's unbounded whole numbers."""
    most = 2**64
    z = state % most
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % most
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB % most
    return z ^ (z >> 31)


def test_numbers_are_mixed_as_splitmix64_does():
    seeds = [0, 1, -1, 2**62, -(2**63), 2**63 - 1, 123456789]
    expected = [splitmix64(seed + 8 * 0x9E3779B97F4A7C15) for seed in seeds]
    assert [number % 2**64 for number in mixed(torch.tensor(seeds), 7).tolist()] == expected


def test_priorities_belong_to_the_seeds_and_not_to_the_places():
    seeds_N = torch.tensor([5, 2**61, 17, -4])
    order = [2, 0, 3, 1]
    assert torch.equal(priorities(seeds_N[order], 9, 3), priorities(seeds_N, 9, 3)[order])
    assert torch.equal(priorities(seeds_N, 20, 3)[:, :9], priorities(seeds_N, 9, 3))
    assert not torch.equal(priorities(seeds_N, 9, 3), priorities(seeds_N, 9, 4))


def test_every_vector_is_drawn_as_often_as_any_other():
    rows, tokens, times = 8, 25, 40_000
    # neighbouring seeds, as a person would count
    seeds_N = torch.arange(rows * times)
    first = priorities(seeds_N, tokens).reshape(times, rows * tokens).argmin(-1)
    counts = first.bincount(minlength=rows * tokens).double()
    expected = times / (rows * tokens)
    chi_square = ((counts - expected) ** 2 / expected).sum()
    # mean 199, standard deviation 20
    assert 120 < chi_square < 280


def test_the_first_have_the_smallest_priorities_and_empty_places_come_last():
    numbers_M = torch.tensor([5, LAST, -3, 9, LAST, 0])
    draw = Draw(numbers_M, numbers_M[:, None].double()).first(5)
    assert draw.priorities_M.tolist() == [-3, 0, 5, 9, LAST]
    assert draw.vectors_MD[:, 0].tolist()[:4] == [-3, 0, 5, 9]
