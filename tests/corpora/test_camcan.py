"""The Cam-CAN corpus."""

import logging

import pytest

from megxl.corpora.camcan import CamCAN
from megxl.corpora.corpus import Selection, corpus_named
from megxl.errors import InputError
from tests.corpora.making import neuromag_raw, touch

CORPUS = corpus_named("camcan")
NAME = "{0}/sub-CC{1}/ses-{0}/meg/sub-CC{1}_ses-{0}_task-{0}_meg.fif"


def test_usual_tasks_without_derivatives_and_empty_rooms(tmp_path):
    touch(
        tmp_path,
        *(NAME.format(task, subject) for task in ("rest", "smt", "passive") for subject in (120065, 110033)),
        "derivatives_rest/sub-CC110033/ses-rest/meg/sub-CC110033_ses-rest_task-rest_meg.fif",
        "emptyroom/sub-CC110033/ses-rest/meg/sub-CC110033_ses-rest_task-emptyroom_meg.fif",
    )
    assert [file.id for file in CORPUS.select(tmp_path)] == [
        f"sub-CC{subject}_ses-{task}_task-{task}" for subject in (110033, 120065) for task in ("rest", "smt")
    ]
    assert len(CORPUS.select(tmp_path, Selection(tasks=("passive",)))) == 2


def test_a_file_in_the_folder_of_another_task_is_told(tmp_path, caplog):
    touch(tmp_path, NAME.format("rest", 1), "smt/sub-CC1/ses-smt/meg/sub-CC1_ses-smt_task-rest_meg.fif")
    with caplog.at_level(logging.WARNING, logger="megxl"):
        assert len(CORPUS.recordings(tmp_path)) == 1
    assert "1 left out, the folder is that of another task" in caplog.text


def test_all_sensors_are_taken_with_bad_ones(tmp_path):
    path = tmp_path / NAME.format("rest", 1)
    path.parent.mkdir(parents=True)
    raw = neuromag_raw()
    raw.info["bads"] = ["MEG 2443"]
    raw.save(path, verbose="ERROR")
    (file,) = CORPUS.select(tmp_path)
    assert CORPUS.channels(CORPUS.read(file)) == raw.ch_names


def test_raw_maxshield_is_refused_unless_asked_for(tmp_path):
    path = tmp_path / NAME.format("rest", 1)
    path.parent.mkdir(parents=True)
    raw = neuromag_raw()
    with raw.info._unlock():
        raw.info["maxshield"] = True
    raw.save(path, verbose="ERROR")
    (file,) = CORPUS.select(tmp_path)
    with pytest.raises(InputError, match="MaxShield"):
        CORPUS.read(file)
    assert len(CamCAN(allow_maxshield=True).read(file).times) == 200


def test_a_split_recording_has_all_parts_as_sources(tmp_path):
    name = NAME.format("rest", 1)
    touch(tmp_path, name, name.replace("_meg.fif", "_meg-1.fif"))
    (file,) = CORPUS.select(tmp_path)
    assert [path.name[-10:] for path in CORPUS.sources(file)] == ["st_meg.fif", "_meg-1.fif"]


def test_mini_recordings_are_read(mini):
    files = CORPUS.select(mini / "camcan")
    assert [file.id for file in files] == [
        f"sub-CC{subject}_ses-{task}_task-{task}"
        for subject in ("110033", "120065", "999001")
        for task in ("rest", "smt")
    ]
    assert all(len(CORPUS.channels(CORPUS.read(file))) == 306 for file in files)
    assert CORPUS.read(files[2]).info["bads"] == ["MEG 2443"]
    assert len(CORPUS.words(files[0])) == 0
