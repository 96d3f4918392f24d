"""Which files hold a recording."""

import os
from pathlib import Path

import mne
import numpy as np

from megxl.corpora.parts import parts_of
from tests.small import short_recording


def names(path: Path) -> list[str]:
    return [part.name for part in parts_of(path)]


def test_all_parts_of_a_split_recording_in_the_order_of_time(tmp_path):
    for name in ("a_meg.fif", "a_meg-1.fif", "a_meg-10.fif", "a_meg-2.fif", "a_meg-eve.fif", "aa_meg-1.fif"):
        (tmp_path / name).touch()
    assert names(tmp_path / "a_meg.fif") == ["a_meg.fif", "a_meg-1.fif", "a_meg-2.fif", "a_meg-10.fif"]


def test_all_parts_of_a_recording_split_as_bids_does(tmp_path):
    for name in ("a_run-1_split-01_meg.fif", "a_run-1_split-02_meg.fif", "a_run-2_split-02_meg.fif"):
        (tmp_path / name).touch()
    assert names(tmp_path / "a_run-1_split-01_meg.fif") == ["a_run-1_split-01_meg.fif", "a_run-1_split-02_meg.fif"]


def test_brackets_in_a_name_are_letters(tmp_path):
    for name in ("a[1].fif", "a[1]-1.fif", "a1-1.fif"):
        (tmp_path / name).touch()
    assert names(tmp_path / "a[1].fif") == ["a[1].fif", "a[1]-1.fif"]


def test_a_fif_file_says_itself_which_parts_are_its_own(tmp_path):
    long = mne.io.RawArray(np.zeros((3, 400_000)), mne.create_info(3, 100.0, "mag"), verbose="ERROR")
    long.save(tmp_path / "story.fif", split_size="3MB", verbose="ERROR")
    short_recording(6.0, n_triplets=1).save(tmp_path / "story-7.fif", verbose="ERROR")
    short_recording(6.0, n_triplets=1).save(tmp_path / "music.fif", verbose="ERROR")
    short_recording(6.0, n_triplets=1).save(tmp_path / "music-2.fif", verbose="ERROR")
    assert names(tmp_path / "story.fif") == ["story.fif", "story-1.fif", "story-2.fif"]  # not story-7
    assert names(tmp_path / "music.fif") == ["music.fif"]


def test_samples_and_marks_of_brainvision_are_those_that_its_header_names(tmp_path):
    (tmp_path / "a.vhdr").write_text("[Common Infos]\nDataFile=old.eeg\nMarkerFile = $b.vmrk\nDataFormat=BINARY\n")
    for name in ("old.eeg", "a.vmrk", "a.eeg"):
        (tmp_path / name).touch()
    assert names(tmp_path / "a.vhdr") == ["a.vhdr", "old.eeg", "a.vmrk"]


def test_samples_of_eeglab_also_under_an_old_name(tmp_path):
    for name in ("a.set", "a.fdt", "b.set", "old.fdt"):
        (tmp_path / name).touch()
    assert names(tmp_path / "a.set") == ["a.set", "a.fdt"]
    assert names(tmp_path / "b.set") == ["b.set", "old.fdt"]


def test_a_broken_link_is_a_part(tmp_path):
    (tmp_path / "a.set").touch()
    os.symlink("nowhere", tmp_path / "a.fdt")  # noqa: PTH211
    assert names(tmp_path / "a.set") == ["a.set", "a.fdt"]
