"""Use of codes: equal to counting them one by one."""

import math
from collections import Counter
from dataclasses import replace

import pytest
import torch

from megxl.training.usage import CodeUsage
from tests.training.small_batches import CODEC, batch, item


def test_counts_are_those_of_real_sensors_of_windows_seen_for_the_first_time():
    usage = CodeUsage(CODEC.levels, CODEC.codes)
    batches = [
        batch(item(0, 4), item(1, 3, corpus="camcan"), item(2, 4, bad=True)),
        batch(item(3, 4, corpus="camcan"), item(4, 4, again=True)),
    ]
    for some in batches:
        usage.add(some)
    seen = {"armeni": [], "camcan": []}
    for one in (item(0, 4), item(1, 3, corpus="camcan"), item(2, 4, bad=True), item(3, 4, corpus="camcan")):
        first_good = 0 if one.sensor_mask_C is None else 1
        seen[one.corpus] += one.codes_CTQ[first_good:].flatten(0, 1).tolist()
    seen["all"] = seen["armeni"] + seen["camcan"]
    told = usage.summary()
    assert list(told) == ["all", "armeni", "camcan"]
    for name, rows in seen.items():
        assert told[name]["tokens"] == len(rows)
        for level in range(CODEC.levels):
            counts = Counter(row[level] for row in rows)
            entropy = -sum(n / len(rows) * math.log(n / len(rows)) for n in counts.values())
            assert told[name]["used"][level] == pytest.approx(len(counts) / CODEC.codes, rel=1e-12)
            assert told[name]["perplexity"][level] == pytest.approx(math.exp(entropy), rel=1e-12)


def test_all_codes_alike_are_fully_used_and_one_code_is_a_perplexity_of_one():
    codes_CTQ = torch.stack([torch.arange(32) % 16, torch.zeros(32, dtype=torch.int64)], 1).expand(2, -1, -1)
    usage = CodeUsage(2, 16)
    usage.add(replace(batch(item(0, 2)), codes_BCTQ=codes_CTQ[None].to(torch.uint8)))
    told = usage.summary()["all"]
    assert told["used"] == pytest.approx([1, 1 / 16])
    assert told["perplexity"] == pytest.approx([16, 1])


def test_a_code_that_occurs_once_is_used():
    codes_BCTQ = torch.zeros(1, 2, 32, 1, dtype=torch.uint8)
    codes_BCTQ[0, 1, 31, 0] = 9
    usage = CodeUsage(1, 16)
    usage.add(replace(batch(item(0, 2)), codes_BCTQ=codes_BCTQ))
    assert usage.summary()["armeni"]["used"] == [2 / 16]
