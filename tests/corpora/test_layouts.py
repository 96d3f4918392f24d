"""Recordings found by their names."""

import logging

from megxl.corpora.layouts import find_recordings
from tests.corpora.making import touch

PATTERN = "sub-*/meg/*_meg.fif"


def ids(root, needs=("sub", "task")):
    return [file.id for file in find_recordings("toy", root, PATTERN, needs)]


def test_recordings_come_in_natural_order(tmp_path):
    touch(tmp_path, *(f"sub-1/meg/sub-1_task-a_run-{number}_meg.fif" for number in (10, 2, 1)))
    assert ids(tmp_path) == [f"sub-1_task-a_run-{number}" for number in (1, 2, 10)]


def test_levels_are_those_of_the_name(tmp_path):
    touch(tmp_path, "sub-1/meg/sub-1_ses-2_task-a_run-3_meg.fif")
    (file,) = find_recordings("toy", tmp_path, PATTERN)
    assert (file.corpus, file.subject, file.session, file.task, file.run) == ("toy", "sub-1", "ses-2", "a", "run-3")
    assert file.path == tmp_path / "sub-1/meg/sub-1_ses-2_task-a_run-3_meg.fif"
    assert file.root == tmp_path


def test_empty_rooms_are_no_recordings(tmp_path):
    touch(
        tmp_path,
        "sub-1/meg/sub-1_task-emptyroom_meg.fif",
        "sub-1/meg/sub-1_task-noise_meg.fif",
        "sub-emptyroom/meg/sub-emptyroom_task-a_meg.fif",
        "sub-1/meg/sub-1_task-noiseless_meg.fif",
    )
    assert ids(tmp_path) == ["sub-1_task-noiseless"]


def test_hidden_copies_are_no_recordings(tmp_path, caplog):
    touch(tmp_path, "sub-1/meg/._sub-1_task-a_meg.fif", "sub-1/meg/sub-1_task-a_meg.fif")
    assert ids(tmp_path) == ["sub-1_task-a"]
    assert not caplog.records


def test_a_split_recording_is_found_once(tmp_path):
    touch(tmp_path, *(f"sub-1/meg/sub-1_task-a_split-0{number}_meg.fif" for number in (1, 2, 3)))
    (file,) = find_recordings("toy", tmp_path, PATTERN)
    assert file.path.name == "sub-1_task-a_split-01_meg.fif"
    assert file.id == "sub-1_task-a"


def test_names_that_do_not_fit_are_told(tmp_path, caplog):
    touch(tmp_path, "sub-1/meg/sub-1_task-a_meg.fif", "sub-1/meg/sub-1_meg.fif", "sub-1/meg/another_meg.fif")
    with caplog.at_level(logging.WARNING, logger="megxl"):
        assert ids(tmp_path) == ["sub-1_task-a"]
    assert "toy: 2 left out" in caplog.text
    assert "another_meg.fif" in caplog.text
