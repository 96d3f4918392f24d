"""Recordings in folders of any layout: who was measured, and which files are recordings of their own."""

import logging
import os

import pytest

from megxl.corpora.corpus import UNKNOWN_SUBJECT
from megxl.corpora.files import Files
from megxl.corpora.folders import levels_of
from megxl.errors import InputError
from tests.corpora.making import touch
from tests.small import short_recording


@pytest.mark.parametrize(
    ("place", "levels"),
    [
        ("P01/run1.fif", ("P01", None, None, "run1")),
        ("P01/day 2/run1.fif", ("P01", "day-2", None, "run1")),
        ("data/sub-01/ses-2/story_meg.fif", ("sub-01", "data-ses-2", None, "story_meg")),
        ("sub-01/story_meg.fif", ("sub-01", None, None, "story_meg")),
        ("x/sub-01_ses-2_task-a_run-3_meg.fif", ("sub-01", "ses-2", "a", "run-3")),
        ("story.fif", (UNKNOWN_SUBJECT, None, None, "story")),
    ],
)
def test_a_place_tells_who_was_measured(tmp_path, place, levels):
    assert tuple(levels_of(tmp_path / place, tmp_path).values()) == levels


def test_recordings_of_a_person_have_one_subject_and_keys_of_their_own(tmp_path):
    touch(tmp_path, "P01/run1.fif", "P01/run2.fif", "sub-02/story_meg.fif", "sub-02/music_meg.fif")
    files = Files().select(tmp_path)
    assert [file.subject for file in files] == ["P01", "P01", "sub-02", "sub-02"]
    assert [file.id for file in files] == ["P01_run1", "P01_run2", "sub-02_music_meg", "sub-02_story_meg"]


def test_recordings_of_nobody_in_particular_count_as_one_person_and_it_is_said(tmp_path, caplog):
    touch(tmp_path, "a.fif", "b.fif")
    with caplog.at_level(logging.WARNING, logger="megxl"):
        files = Files().select(tmp_path)
    assert [(file.key, file.subject) for file in files] == [("files/a", "unknown"), ("files/b", "unknown")]
    assert "who was measured in 2 of 2 recordings (first: a.fif)" in caplog.text


def test_a_second_recording_is_not_taken_for_a_part_of_the_first(tmp_path):
    for name in ("story.fif", "story-2.fif"):
        short_recording(6.0, n_triplets=1).save(tmp_path / name, verbose="ERROR")
    assert [file.id for file in Files().select(tmp_path)] == ["story", "story-2"]


def test_a_table_names_subjects_and_the_files_name_runs(tmp_path):
    touch(tmp_path, "a/x.fif", "a/y.fif")
    (tmp_path / "r.tsv").write_text("recording\tsubject\na/x.fif\tP01\na/y.fif\tP01\n")
    assert [file.id for file in Files().select(tmp_path / "r.tsv")] == ["P01_x", "P01_y"]


@pytest.mark.parametrize("name", ["Jane Roe", "a/b", ".a"])
def test_names_that_are_no_names_of_folders_are_refused_with_their_row(tmp_path, name):
    touch(tmp_path, "x.fif")
    (tmp_path / "r.tsv").write_text(f"recording\tsubject\nx.fif\t{name}\n")
    with pytest.raises(InputError, match=rf"r.tsv, row 2: subject = '{name}'; allowed: letters"):
        Files().select(tmp_path / "r.tsv")


def test_a_delay_with_a_decimal_comma_in_a_table(tmp_path):
    touch(tmp_path, "x.fif")
    (tmp_path / "r.tsv").write_text("recording\tsubject\taudio_delay_s\tallow_maxshield\nx.fif\tP01\t0,04\tno\n")
    (file,) = Files().select(tmp_path / "r.tsv")
    assert Files().options_of(file)["audio_delay_s"] == 0.04 and Files().options_of(file)["allow_maxshield"] is False


def test_the_file_of_a_montage_is_a_source(tmp_path):
    touch(tmp_path, "P01/x.set", "P01/x.fdt", "places.sfp")
    corpus = Files(montage=str(tmp_path / "places.sfp"))
    (file,) = corpus.select(tmp_path)
    assert [path.name for path in corpus.sources(file)] == ["x.set", "x.fdt", "places.sfp"]
    assert [path.name for path in Files(montage="biosemi32").sources(file)][-1] == "places.sfp"


def test_a_broken_link_is_found_and_fails_when_it_is_read(tmp_path):
    (tmp_path / "P01").mkdir()
    os.symlink("nowhere", tmp_path / "P01" / "x.fif")  # noqa: PTH211
    (file,) = Files().select(tmp_path)
    assert Files().sources(file) == [tmp_path / "P01" / "x.fif"]
