"""Splits: explicit, disjoint by a check that can fail, kept in files, leaks refused."""

from dataclasses import dataclass
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from megxl.corpora.corpus import Corpus, Selection, Split
from megxl.data.recording_split import PARTS
from megxl.data.splits import apply_selections, published_split, split_by_fraction
from megxl.errors import InputError


@dataclass(frozen=True)
class Recording:
    """What a split needs to know of a stored recording."""

    subject: str
    run: str | None = None
    corpus: str = "a"
    session: str | None = None
    task: str | None = None

    @property
    def key(self) -> str:
        return f"{self.corpus}/{self.subject}_{self.run}"


def recordings(subjects=4, runs=3) -> list[Recording]:
    return [Recording(f"sub-{s}", f"run-{r}") for s in range(subjects) for r in range(runs)]


def keys(*names) -> set[str]:
    return {f"a/sub-{s}_run-{r}" for s, r in names}


def test_what_is_held_out_is_taken_out_of_a_wider_train_selection():
    held_out = Split(train=Selection(), validation=Selection(subjects=("sub-3",)), test=Selection(runs=("run-2",)))
    with pytest.raises(InputError, match=r"validation and test share 1 recording \(first: a/sub-3_run-2\)"):
        apply_selections(recordings(), held_out)
    apart = Split(
        train=Selection(),
        validation=Selection(subjects=("sub-3",)),
        test=Selection(subjects=("sub-0",), runs=("run-2",)),
    )
    split = apply_selections(recordings(), apart)
    assert set(split.validation) == keys((3, 0), (3, 1), (3, 2)) and set(split.test) == keys((0, 2))
    assert set(split.train) == {r.key for r in recordings()} - set(split.validation) - set(split.test)


def test_persons_in_two_parts_are_refused_where_it_is_asked_for():
    rule = Split(train=Selection(), validation=Selection(runs=("run-2",)))
    apply_selections(recordings(), rule)
    with pytest.raises(InputError, match=r"train and validation share 4 subjects \(first: a/sub-0\)"):
        apply_selections(recordings(), rule, disjoint="subject")


LEAKY = Split(train=Selection(), validation=Selection(subjects=("sub-1",)), source="the paper", leak="Train holds all.")


def test_a_known_leak_is_refused_and_kept_as_it_is_where_it_is_allowed():
    with pytest.raises(InputError, match=r"the paper: this split leaks: Train holds all\. .*allow_leak=True"):
        apply_selections(recordings(), LEAKY)
    split = apply_selections(recordings(), LEAKY, allow_leak=True)
    assert split.leak == "Train holds all." and set(split.validation) < set(split.train)
    assert len(split.train) == 12


class Published(Corpus):
    name: ClassVar = "a"
    splits: ClassVar = {"paper": LEAKY, "clean": Split(train=Selection(), test=Selection(runs=("run-0",)))}


def test_published_splits_go_by_name():
    assert len(published_split(recordings(), Published, "clean").test) == 4
    assert published_split(recordings(), Published, "clean").source == "a: clean"
    assert len(published_split(recordings(), Published, "paper", allow_leak=True).validation) == 3
    with pytest.raises(InputError, match=r"no split 'papr'; there are: 'paper', 'clean'"):
        published_split(recordings(), Published, "papr")
    with pytest.raises(InputError, match="leaks"):
        published_split(recordings(), Published, "paper")


def test_names_that_are_not_there_are_refused_or_noted():
    rule = Split(train=Selection(), validation=Selection(subjects=("sub-1", "sub-8", "sub-9")))
    with pytest.raises(
        InputError, match=r"validation: the split names 2 subject\(s\) .* \(first: sub-8; there are: sub-"
    ):
        apply_selections(recordings(), rule)
    split = apply_selections(recordings(), rule, partial=True)
    assert set(split.validation) == keys((1, 0), (1, 1), (1, 2))
    assert split.notes == (
        "validation: the split names 2 subject(s) that are not there "
        f"(first: sub-8; there are: {', '.join(sorted({r.subject for r in recordings()}))}).",
    )


def test_an_empty_part_is_refused():
    with pytest.raises(InputError, match="no recording for train"):
        apply_selections(recordings(), Split(train=Selection(subjects=("sub-1",)), test=Selection(subjects=("sub-1",))))
    with pytest.raises(InputError, match="no recording for test"):
        nobody = Selection(subjects=("sub-1",), runs=("run-9",))
        apply_selections(recordings(), Split(train=Selection(), test=nobody), partial=True)
    with pytest.raises(InputError, match=r"2 subject\(s\) make no test and train and validation by subject"):
        split_by_fraction(recordings(subjects=2), validation=0.4, test=0.4)
    with pytest.raises(InputError, match="use by='recording'"):
        split_by_fraction(recordings(subjects=1))
    assert len(split_by_fraction(recordings(subjects=1), by="recording").validation) == 1


@pytest.mark.parametrize("fraction", [float("nan"), float("inf"), "0.1", -0.1, 1.0])
def test_a_fraction_that_cannot_be_is_refused(fraction):
    with pytest.raises(InputError, match=r"validation = .*allowed: 0 and more, together below 1"):
        split_by_fraction(recordings(), validation=fraction)


@given(
    subjects=st.integers(3, 9),
    runs=st.integers(1, 4),
    validation=st.floats(0, 0.4),
    test=st.floats(0, 0.3),
    by=st.sampled_from(["recording", "subject"]),
    seed=st.integers(0, 99),
    shuffle=st.randoms(),
)
def test_drawn_parts_are_disjoint_complete_and_a_matter_of_names_alone(
    subjects, runs, validation, test, by, seed, shuffle
):
    made = recordings(subjects, runs)
    split = split_by_fraction(made, validation=validation, test=test, by=by, seed=seed)
    parts = [set(getattr(split, name)) for name in PARTS]
    assert set.union(*parts) == {r.key for r in made} and sum(map(len, parts)) == len(made)
    persons = [{key.split("_")[0] for key in part} for part in parts]
    if by == "subject":
        assert sum(map(len, persons)) == subjects
    units = subjects if by == "subject" else len(made)
    for part, fraction in zip((parts if by == "recording" else persons)[1:], (validation, test), strict=True):
        assert len(part) == (max(1, round(fraction * units)) if fraction else 0)
    shuffle.shuffle(made)
    again = split_by_fraction(made, validation=validation, test=test, by=by, seed=seed)
    assert [set(getattr(again, name)) for name in PARTS] == parts


def test_the_seed_of_a_split_decides_who_is_drawn():
    drawn = {split_by_fraction(recordings(9, 1), validation=0.2, seed=seed).validation for seed in range(10)}
    assert len(drawn) > 3


@pytest.mark.parametrize("options", [{"validation": 0.5, "test": 0.5}, {"validation": -0.1}, {"by": "session"}])
def test_fractions_that_cannot_be_are_refused(options):
    with pytest.raises(InputError, match="allowed"):
        split_by_fraction(recordings(), **options)
