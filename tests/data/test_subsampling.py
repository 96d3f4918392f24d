"""Less data: as much as was asked for, and less always a part of more."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from megxl.data.subsampling import published_subsample, subsample
from megxl.errors import InputError


@dataclass(frozen=True)
class Recording:
    key: str
    duration_s: float = 1800.0

    @property
    def corpus(self) -> str:
        return self.key.split("/")[0]


def recordings(n=10, corpus="a", duration_s=1800.0):
    return [Recording(f"{corpus}/{number}", duration_s) for number in range(n)]


@given(
    durations=st.lists(st.integers(60, 7200), min_size=2, max_size=12),
    seed=st.integers(0, 99),
    share=st.floats(0.05, 1),
    fewer=st.integers(1, 12),
)
def test_less_is_a_part_of_more_however_it_is_said(durations, seed, share, fewer):
    made = [Recording(f"a/{n}", duration) for n, duration in enumerate(durations)]
    hours = sum(durations) / 3600
    choices = [
        subsample(made, seed=seed, proportion=share),
        subsample(made, seed=seed, number=min(fewer, len(made))),
        subsample(made, seed=seed, hours=share * hours),
        subsample(made, seed=seed, hours=share * hours / 2),
    ]
    choices.sort(key=len)
    for less, more in pairwise(choices):
        assert {r.key for r in less} <= {r.key for r in more}
    assert all([made.index(r) for r in some] == sorted(made.index(r) for r in some) for some in choices)


@given(durations=st.lists(st.integers(60, 7200), min_size=1, max_size=12), share=st.floats(0.01, 1))
def test_hours_are_reached_and_no_recording_is_taken_beyond(durations, share):
    made = [Recording(f"a/{n}", duration) for n, duration in enumerate(durations)]
    wanted_s = share * sum(durations)
    taken = subsample(made, seed=1, hours=wanted_s / 3600)
    reached_s = [sum(r.duration_s for r in subsample(made, seed=1, number=n)) for n in range(1, len(taken) + 1)]
    assert reached_s[-1] >= wanted_s - 1e-3
    assert len(taken) == 1 or reached_s[-2] < wanted_s


def test_a_proportion_is_rounded_and_never_nothing():
    assert len(subsample(recordings(10), seed=0, proportion=0.26)) == 3
    assert len(subsample(recordings(10), seed=0, proportion=0.001)) == 1
    assert subsample(recordings(10), seed=0, proportion=1.0) == recordings(10)


def test_the_seed_and_the_names_decide_not_the_company():
    assert len({tuple(subsample(recordings(), seed=seed, number=3)) for seed in range(10)}) > 5
    alone = subsample(recordings(), seed=0, number=3)
    beside = subsample([*recordings(5, "b"), *recordings()[::-1]], seed=0, number=3, per_corpus=True)
    assert {r for r in beside if r.corpus == "a"} == set(alone)


def test_each_corpus_can_give_its_part():
    both = [*recordings(10, "a"), *recordings(4, "b")]
    taken = subsample(both, seed=0, proportion=0.5, per_corpus=True)
    assert sum(r.corpus == "a" for r in taken) == 5 and sum(r.corpus == "b" for r in taken) == 2
    with pytest.raises(InputError, match="4 recordings of b"):
        subsample(both, seed=0, number=5, per_corpus=True)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "here by none"),
        ({"number": 0}, "number = 0; allowed: a whole number above 0"),
        ({"number": 2.5}, r"number = 2\.5; allowed: a whole number"),
        ({"number": True}, "number = True"),
        ({"proportion": float("nan")}, "proportion = nan"),
        ({"hours": float("inf")}, "hours = inf"),
        ({"hours": "10"}, "hours = '10'"),
        ({"number": 2, "hours": 1}, "here by number and hours"),
        ({"number": 11}, "number = 11: there are 10"),
        ({"number": -1}, "number = -1"),
        ({"proportion": 1.1}, "proportion = 1.1"),
        ({"hours": 5.1}, r"hours = 5.1: the 10 recordings last 5\.000 h"),
        ({"hours": -1}, "hours = -1"),
        ({"proportion": -0.5}, "proportion = -0.5"),
    ],
)
def test_amounts_that_cannot_be_are_refused(options, words):
    with pytest.raises(InputError, match=words):
        subsample(recordings(), seed=0, **options)


@pytest.mark.parametrize("proportion", [0.05, 0.29, 1.0])
def test_the_published_rule_is_numpy_s_choice(proportion):
    generator = np.random.RandomState(42)
    places = generator.choice(np.arange(10), size=max(1, int(proportion * 10)), replace=False)
    taken = published_subsample(recordings(), proportion, seed=42)
    assert {r.key for r in taken} == {f"a/{place}" for place in places}
    with pytest.raises(InputError, match="at most 1"):
        published_subsample(recordings(), 1.5, seed=42)
