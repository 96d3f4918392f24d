"""Statistics of codes whose distribution is known, and of random ones counted by a loop."""

import math
from collections import Counter

import numpy as np
import pytest
import torch

from megxl.errors import InputError
from megxl.tokenizer.code_statistics import CodeCounts


def counts_of(codes_NTQ: torch.Tensor, codes: int) -> CodeCounts:
    counts = CodeCounts(codes_NTQ.shape[-1], codes)
    counts.add(codes_NTQ)
    return counts


def test_known_distributions_have_their_known_entropies():
    uniform = torch.arange(64).repeat(5)
    constant = torch.full((320,), 63)
    # half, a quarter, two eighths: 1.75 bits
    uneven = torch.tensor([0, 0, 0, 0, 9, 9, 30, 63]).repeat(40)
    counts = counts_of(torch.stack([uniform, constant, uneven], -1)[None], 64)
    np.testing.assert_allclose(counts.entropy_bits_Q, [6, 0, 1.75], atol=1e-12)
    np.testing.assert_allclose(counts.perplexity_Q, [64, 1, 2**1.75], rtol=1e-12)
    np.testing.assert_allclose(counts.usage_Q, [1, 1 / 64, 4 / 64])
    assert not counts.entropy_bits_Q.signbit().any()
    assert counts.tokens == 320


def test_counts_are_those_of_a_loop_for_every_integer_type_and_however_codes_are_dealt():
    codes_NTQ = torch.randint(0, 256, (3, 50, 2))
    counts = counts_of(codes_NTQ, 256)
    for level in range(2):
        expected = Counter(int(code) for row in codes_NTQ for code in row[:, level])
        assert [expected[code] for code in range(256)] == counts.counts_QV[level].tolist()
    halves = CodeCounts(2, 256)
    halves.add(codes_NTQ[:1].to(torch.uint8))
    halves.add(codes_NTQ[1:].to(torch.int16)[None])
    assert torch.equal(halves.counts_QV, counts.counts_QV)


def test_counts_of_two_processes_may_be_summed_in_place():
    first, second = torch.randint(0, 16, (2, 30, 4)), torch.randint(0, 16, (5, 30, 4))
    whole, part = counts_of(torch.cat([first, second]), 16), counts_of(first, 16)
    part.counts_QV += counts_of(second, 16).counts_QV
    assert torch.equal(part.perplexity_Q, whole.perplexity_Q)
    assert part.tokens == whole.tokens == 210


def test_bits_per_second_of_the_published_codec_and_of_what_an_entropy_coder_would_need():
    counts = CodeCounts(6, 256)
    counts.add(torch.arange(256)[:, None].expand(256, 6)[None])
    assert counts.bits_per_second(50.0, 12) == pytest.approx((200.0, 200.0))
    skewed = counts_of(torch.tensor([0, 0, 0, 1]).reshape(1, 4, 1), 256)
    entropy = 0.75 * math.log2(4 / 3) + 0.25 * 2
    assert skewed.bits_per_second(48.0, 12) == pytest.approx((4 * 8, 4 * entropy))


def test_nothing_counted_has_no_usage_and_no_nan():
    counts = CodeCounts(2, 8)
    counts.add(torch.zeros(0, 5, 2, dtype=torch.uint8))
    assert (counts.tokens, counts.usage_Q.tolist(), counts.entropy_bits_Q.tolist()) == (0, [0, 0], [0, 0])


@pytest.mark.parametrize(
    ("codes_NTQ", "named"),
    [
        (torch.full((1, 2, 3), 8), "8 to 8 do not belong to code books of 8"),
        (torch.full((1, 2, 3), -1), "-1 to -1"),
        (torch.zeros(1, 2, 4, dtype=torch.int64), "4 levels cannot be counted as codes of 3"),
    ],
)
def test_codes_of_another_tokenizer_are_refused(codes_NTQ, named):
    counts = CodeCounts(3, 8)
    with pytest.raises(InputError, match=named):
        counts.add(codes_NTQ)
    assert counts.tokens == 0
