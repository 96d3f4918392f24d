"""Which files of a BIDS data set are recordings: none is left out without a word."""

import logging
import os

import pytest

from megxl.corpora.bids import BIDS
from megxl.corpora.corpus import CORPORA, PUBLISHED_NAMES
from megxl.data.preparing import Request, prepare_corpus
from megxl.errors import InputError
from tests.corpora.making import touch


def found(root, **options):
    return [file.path.name for file in BIDS(**options).recordings(root)]


def test_a_task_may_be_called_noise(tmp_path):
    touch(
        tmp_path,
        "sub-1/meg/sub-1_task-noise_meg.fif",
        "sub-1/meg/sub-1_task-emptyroom_meg.fif",
        "sub-emptyroom/ses-2020/meg/sub-emptyroom_ses-2020_task-noise_meg.fif",
    )
    assert found(tmp_path) == ["sub-1_task-noise_meg.fif"]


def test_folders_of_4d_packed_files_and_capital_endings_are_recordings(tmp_path):
    touch(
        tmp_path,
        "sub-1/meg/sub-1_task-a_meg/config",
        "sub-2/meg/sub-2_task-a_meg.fif.gz",
        "sub-3/eeg/sub-3_task-a_eeg.EDF",
    )
    assert found(tmp_path) == ["sub-1_task-a_meg", "sub-2_task-a_meg.fif.gz", "sub-3_task-a_eeg.EDF"]


def test_what_cannot_be_read_is_told(tmp_path, caplog):
    touch(
        tmp_path,
        "sub-1/meg/sub-1_task-a_split-02_meg.fif",
        "sub-2/eeg/sub-2_task-a_eeg.cnt",
        "sub-3/eeg/sub-3_task-a_eeg.vhdr",
        "sub-3/eeg/sub-3_task-a_eeg.vmrk",
        "sub-3/eeg/sub-3_task-a_eeg.json",
    )
    with caplog.at_level(logging.WARNING, logger="megxl"):
        assert found(tmp_path) == ["sub-3_task-a_eeg.vhdr"]
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 2
    assert "1 left out" in said[0] and "sub-2_task-a_eeg.cnt" in said[0]
    assert "the first part (split-01) is missing (first: sub-1_task-a_split-02_meg.fif)" in said[1]


def test_broken_links_fail_with_what_mends_them(tmp_path):
    folder = tmp_path / "bids" / "sub-1" / "meg"
    folder.mkdir(parents=True)
    os.symlink("../../.git/annex/objects/gone.fif", folder / "sub-1_task-a_meg.fif")  # noqa: PTH211
    request = Request(corpus=BIDS(), root=tmp_path / "bids", store=tmp_path / "store", workers=0)
    (failed,) = prepare_corpus(request).failed
    assert failed.key == "bids/sub-1_task-a" and not failed.unexpected
    assert "sub-1_task-a_meg.fif is a link to content that is not here" in failed.reason
    assert "datalad get" in failed.reason


@pytest.mark.parametrize(
    ("names", "remedy"),
    [
        (("sub-1_task-a_acq-x_meg.fif", "sub-1_task-a_acq-y_meg.fif"), "choose one by acquisition"),
        (("sub-1_task-a_meg.fif", "sub-1_task-a_proc-x_meg.fif"), "choose one by processing"),
        (("sub-1_task-a_meg.fif", "sub-1_task-a_meg.con"), "move one of them out of the data set"),
    ],
)
def test_two_versions_are_refused_with_what_helps(tmp_path, names, remedy):
    touch(tmp_path, *(f"sub-1/meg/{name}" for name in names))
    with pytest.raises(InputError, match=f"are two versions of sub-1_task-a: {remedy}"):
        found(tmp_path)


def test_meg_and_eeg_of_a_task_are_chosen_by_datatype(tmp_path):
    touch(tmp_path, "sub-1/meg/sub-1_task-a_meg.fif", "sub-1/eeg/sub-1_task-a_eeg.set")
    with pytest.raises(InputError, match="choose one by datatype"):
        found(tmp_path)
    assert found(tmp_path, datatype="eeg") == ["sub-1_task-a_eeg.set"]


@pytest.mark.parametrize("name", [name for name in (*CORPORA, *PUBLISHED_NAMES) if name != "bids"])
def test_the_name_of_another_corpus_is_refused(name):
    with pytest.raises(InputError, match=f"dataset = '{name}' is the name of another corpus"):
        BIDS(dataset=name)
