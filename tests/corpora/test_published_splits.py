"""The published splits: who is in them, and that the parts of those without a stated leak share nothing."""

from itertools import combinations
from pathlib import Path

import pytest

from megxl.corpora.corpus import RecordingFile, Selection, corpus_named

UNIVERSE = {
    "camcan": (
        tuple(f"sub-CC{n}" for n in (110033, 110101, 120065, 999001)),
        ("ses-rest", "ses-smt"),
        ("rest",),
        (None,),
    ),
    "mous": (tuple(f"sub-A{n}" for n in (2002, 2120, 2121, 2122)), (None,), ("auditory",), (None,)),
    "smn4lang": (("sub-01", "sub-02"), (None,), ("RDR",), tuple(f"run-{n}" for n in range(1, 61))),
    "armeni": (("sub-001", "sub-002"), tuple(f"ses-{n:03d}" for n in range(1, 11)), ("compr",), (None,)),
    "meg_masc": (tuple(f"sub-{n:02d}" for n in range(1, 28)), ("ses-0", "ses-1"), ("0", "1"), (None,)),
    "libribrain": (
        ("sub-0",),
        tuple(f"ses-{n}" for n in range(1, 16)),
        ("Sherlock1", "Sherlock2"),
        ("run-1", "run-2"),
    ),
}
SPLITS = [(name, split) for name in UNIVERSE for split in corpus_named(name).splits]


def everybody(name):
    subjects, sessions, tasks, runs = UNIVERSE[name]
    return [
        RecordingFile(corpus=name, path=Path(), root=Path(), subject=s, session=e, task=t, run=r)
        for s in subjects for e in sessions for t in tasks for r in runs
    ]  # fmt: skip


@pytest.mark.parametrize(("name", "split_name"), SPLITS)
def test_parts_are_disjoint_but_for_a_wider_training_part_or_a_stated_leak(name, split_name):
    split = corpus_named(name).splits[split_name]
    parts = {
        part: {file.id for file in everybody(name) if selection.matches(file)}
        for part in ("train", "validation", "test")
        if (selection := getattr(split, part)) is not None
    }
    assert all(parts.values())
    assert split.source
    parts["train"] -= parts["validation"] | parts.get("test", set())
    assert parts["train"]
    shared = [pair for pair in combinations(parts, 2) if parts[pair[0]] & parts[pair[1]]]
    assert shared == ([("validation", "test")] if split.leak else [])


@pytest.mark.parametrize(
    ("name", "split_name", "part", "selection"),
    [
        (
            "camcan",
            "published-validation",
            "validation",
            {"subjects": ["sub-CC110033", "sub-CC120065", "sub-CC110101"]},
        ),
        ("mous", "published-validation", "validation", {"subjects": ["sub-A2120", "sub-A2121", "sub-A2122"]}),
        ("smn4lang", "published-validation", "validation", {"runs": [f"run-{n}" for n in (56, 57, 58, 59, 60)]}),
        ("armeni", "published-validation", "validation", {"sessions": ["ses-010"]}),
        ("armeni", "published-sessions", "train", {"sessions": [f"ses-00{n}" for n in range(1, 9)]}),
        ("armeni", "published-sessions", "validation", {"sessions": ["ses-009"]}),
        ("armeni", "published-sessions", "test", {"sessions": ["ses-010"]}),
        ("meg_masc", "published-subjects", "validation", {"subjects": ["sub-03", "sub-11"]}),
        ("meg_masc", "published-sessions", "train", {"sessions": ["ses-0"]}),
        ("meg_masc", "published-sessions", "validation", {"sessions": ["ses-1"]}),
        ("meg_masc", "published-sessions", "test", {"sessions": ["ses-1"]}),
        ("libribrain", "published-validation", "validation", {"sessions": ["ses-2"], "tasks": ["Sherlock1"]}),
        ("libribrain", "published-sessions", "train", {"sessions": [f"ses-{n}" for n in range(1, 9)]}),
        ("libribrain", "published-sessions", "validation", {"sessions": ["ses-9"]}),
        ("libribrain", "published-sessions", "test", {"sessions": ["ses-10"]}),
    ],
)
def test_parts_are_those_of_the_published_configurations(name, split_name, part, selection):
    assert getattr(corpus_named(name).splits[split_name], part) == Selection(**selection)


def test_the_leak_of_meg_masc_is_stated():
    assert "Validation and test are the same" in corpus_named("gwilliams").splits["published-sessions"].leak
