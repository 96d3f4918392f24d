"""The OMEGA corpus."""

import logging

from megxl.corpora.corpus import corpus_named
from tests.corpora.making import touch

CORPUS = corpus_named("omega")


def ids(root):
    return [file.id for file in CORPUS.select(root)]


def test_noise_is_no_recording(tmp_path):
    touch(tmp_path, *(f"sub-1/ses-1/meg/sub-1_ses-1_task-{task}_run-01_meg.ds" for task in ("rest", "noise")))
    assert ids(tmp_path) == ["sub-1_ses-1_task-rest_run-01"]


def test_the_only_recording_of_a_session_needs_no_run(tmp_path, caplog):
    touch(
        tmp_path,
        "sub-1/ses-1/meg/sub-1_ses-1_task-rest_meg.ds",
        "sub-1/ses-2/meg/sub-1_ses-2_task-rest_run-01_meg.ds",
    )
    assert ids(tmp_path) == ["sub-1_ses-1_task-rest", "sub-1_ses-2_task-rest_run-01"]
    assert not caplog.records


def test_one_without_a_run_beside_numbered_ones_is_left_out_and_told(tmp_path, caplog):
    touch(tmp_path, *(f"sub-1/ses-1/meg/sub-1_ses-1_task-rest{run}_meg.ds" for run in ("", "_run-01")))
    with caplog.at_level(logging.WARNING, logger="megxl"):
        assert ids(tmp_path) == ["sub-1_ses-1_task-rest_run-01"]
    assert "omega: 1 left out, the name has no run" in caplog.text
    assert "sub-1_ses-1_task-rest_meg.ds" in caplog.text


def test_mini_recordings_are_read(mini):
    files = CORPUS.select(mini / "omega")
    assert [file.id for file in files] == [
        "sub-MNI0001_ses-01_task-rest_run-01",
        "sub-MNI0452_ses-02_task-rest_run-02",
        "sub-MNI0452_ses-02_task-rest_run-03",
    ]
    for file in files:
        names = CORPUS.channels(CORPUS.read(file))
        assert len(names) == 273
        assert all(name.startswith("M") for name in names)
