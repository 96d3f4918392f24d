"""Which files are wanted: patterns part by part, subjects, and the folders that need not be looked into."""

from dataclasses import dataclass

import pytest

from megxl.corpora.fetching.selection import Choice
from megxl.errors import InputError


@dataclass(frozen=True)
class File:
    path: str


FILES = [
    File(path)
    for path in (
        "README",
        "sub-10/meg/a.ds/a.meg4",
        "sub-2/meg/b.fif",
        "sub-2/anat/t1.nii.gz",
        "sub-2/meg",
        "derivatives/sub-2/meg/c.fif",
        "Sherlock1/derivatives/events/sub-0_ses-1_events.tsv",
    )
]


def names(**options):
    return [file.path for file in Choice(**options).of(FILES)]


def test_patterns_match_part_by_part():
    assert names(patterns=("sub-*/meg/**",)) == ["README", "sub-2/meg/b.fif", "sub-10/meg/a.ds/a.meg4"]
    assert names(patterns=("sub-*/*/*.fif",)) == ["README", "sub-2/meg/b.fif"]


def test_subjects_stand_in_folders_or_names():
    assert names(patterns=("**",), subjects=["sub-10"]) == ["README", "sub-10/meg/a.ds/a.meg4"]
    assert names(patterns=("*/derivatives/**",), subjects=["sub-0"])[-1].startswith("Sherlock1")


def test_an_unknown_subject_is_refused_with_those_there_are():
    with pytest.raises(InputError, match="no subject 'sub-3'; there are: sub-2, sub-10"):
        names(patterns=("sub-*/meg/**",), subjects=["sub-2", "sub-3"])


def test_a_pattern_without_files_is_refused():
    with pytest.raises(InputError, match="No file matches sub-\\*/eeg/\\*\\*"):
        names(patterns=("sub-*/eeg/**",))


def test_folders_that_hold_nothing_wanted_are_not_looked_into():
    choice = Choice(patterns=("sub-A*/meg/**",), subjects=["sub-A1"])
    looked = [
        "sub-A1",
        "sub-A2",
        "sub-V1",
        "sub-A1/meg",
        "sub-A1/anat",
        "sub-A1/meg/x.ds",
        "sub-A1/meg/x.ds/y",
        "stimuli",
    ]
    assert [folder for folder in looked if choice.descend(folder)] == [
        "sub-A1",
        "sub-A1/meg",
        "sub-A1/meg/x.ds",
        "sub-A1/meg/x.ds/y",
    ]
    # a subject that was seen and not looked into is still known to exist
    with pytest.raises(InputError, match="there are: sub-A1, sub-A2, sub-V1"):
        choice = Choice(patterns=("sub-*/meg/**",), subjects=["sub-A9"])
        for folder in looked:
            choice.descend(folder)
        choice.of([File("README")])
