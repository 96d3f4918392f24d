"""The LibriBrain corpus in both of its layouts."""

import json
import shutil

import numpy as np
import pytest

from megxl.corpora.corpus import Selection, corpus_named
from megxl.corpora.libribrain import SENSORS
from megxl.signals.sensors import SensorArray
from tests.corpora.making import touch, write_table
from tests.corpora.reference import reference_words

CORPUS = corpus_named("libribrain")
RAW = "sub-0_{}_task-{}_run-1_proc-bads+headpos+sss+notch+bp+ds_meg.h5"
HEADER = ("idx", "wavfile", "kind", "segment", "sentenceidx", "timemeg", "duration")


@pytest.mark.parametrize("prefix", ["", "serialized/"])
def test_both_layouts_hold_the_same_recordings(tmp_path, prefix):
    touch(
        tmp_path,
        *(
            f"{prefix}{book}/derivatives/serialised/{RAW.format(session, book)}"
            for book, session in (("Sherlock1", "ses-10"), ("Sherlock1", "ses-2"), ("Sherlock2", "ses-2"))
        ),
        f"{prefix}Sherlock1/derivatives/serialised/train_data.h5",
    )
    assert [file.key for file in CORPUS.select(tmp_path)] == [
        "libribrain/sub-0_ses-2_task-Sherlock1_run-1",
        "libribrain/sub-0_ses-2_task-Sherlock2_run-1",
        "libribrain/sub-0_ses-10_task-Sherlock1_run-1",
    ]


def test_words_come_with_sentence_and_story(tmp_path):
    touch(tmp_path, "Sherlock1/derivatives/serialised/" + RAW.format("ses-1", "Sherlock1"))
    rows = [
        (0, "a.wav", "word", "Null", 3, 1.5, 0.25),
        (1, "a.wav", "phoneme", "AH0", 3, 1.5, 0.03),
        (2, "a.wav", "silence", "silence", 3, 1.75, 0.25),
        (3, "b.wav", "word", "silence", 4, 2.0, 0.5),
        (4, "b.wav", "word", "NA", 4, 1.25, 0.5),
    ]
    write_table(tmp_path / "Sherlock1/derivatives/events/sub-0_ses-1_task-Sherlock1_run-1_events.tsv", HEADER, rows)
    (file,) = CORPUS.recordings(tmp_path)
    table = CORPUS.words(file)
    assert [word.to_row() for word in table] == [
        {"text": "NA", "onset_s": 1.25, "duration_s": 0.5, "sentence": "4", "story": "Sherlock1/b.wav"},
        {"text": "Null", "onset_s": 1.5, "duration_s": 0.25, "sentence": "3", "story": "Sherlock1/a.wav"},
    ]
    assert [note.partition(": ")[0] for note in table.notes] == ["1 of 3 rows of words left out, silence (silence)"]
    assert [path.name.rpartition("_")[2] for path in CORPUS.sources(file)] == ["meg.h5", "events.tsv"]


@pytest.mark.parametrize("folder", ["libribrain", "libribrain_public"])
def test_mini_recordings_are_read(mini, folder):
    files = CORPUS.select(mini / folder)
    assert [file.id for file in files] == [
        "sub-0_ses-1_task-Sherlock1_run-1",
        "sub-0_ses-1_task-Sherlock2_run-1",
        "sub-0_ses-2_task-Sherlock1_run-1",
    ]
    raw = CORPUS.read(files[0])
    listed = json.loads((mini / folder / SENSORS).read_text())
    assert CORPUS.channels(raw) == [entry["ch_name"] for entry in listed]
    assert (raw.info["sfreq"], raw.info["highpass"], raw.info["lowpass"]) == (250.0, 0.1, 125.0)
    sensors = SensorArray.from_info(raw.info, CORPUS.channels(raw))
    np.testing.assert_allclose(sensors.positions_C3, [entry["loc"][:3] for entry in listed], atol=1e-7)
    assert np.isfinite(raw.get_data(stop=100)).all()
    assert (mini / folder / SENSORS) in CORPUS.sources(files[0])


def test_mini_geometry_without_the_list_is_close_to_that_with_it(mini, tmp_path):
    book = mini / "libribrain_public" / "Sherlock2"
    shutil.copytree(book, tmp_path / "Sherlock2")
    (file,) = CORPUS.select(tmp_path)
    ours = SensorArray.from_info(CORPUS.read(file).info)
    theirs = SensorArray.from_info(CORPUS.read(CORPUS.recordings(mini / "libribrain_public")[1]).info)
    np.testing.assert_allclose(ours.positions_C3, theirs.positions_C3, atol=1e-6)
    np.testing.assert_array_equal(ours.kinds_C, theirs.kinds_C)


def test_mini_words_are_those_of_the_reference(mini, shared):
    for file, texts, onsets_s in reference_words(CORPUS, mini / "libribrain", shared):
        words = [word for word in CORPUS.words(file) if word.text not in ("null", "NA")][: len(texts)]
        assert [word.text.lower() for word in words] == texts
        assert [word.onset_s for word in words] == onsets_s


def test_mini_words_null_and_na_are_kept_and_the_silence_is_not(mini):
    table = CORPUS.words(CORPUS.recordings(mini / "libribrain")[0])
    assert [table.words[k].text for k in (24, 89)] == ["null", "NA"]  # the silence was number 12
    assert "silence" not in {word.text for word in table}
    assert len(table.notes) == 1


def test_the_official_partition_is_that_of_pnpl():
    defaults = pytest.importorskip("pnpl.datasets.libribrain2025.remote_constants").DEFAULT_CONSTANTS
    split = CORPUS.splits["official"]
    for selection, name in ((split.validation, "VALIDATION_RUN_KEYS"), (split.test, "TEST_RUN_KEYS")):
        (key,) = defaults[name]
        subject, session, task, run = key
        assert selection == Selection(
            subjects=(f"sub-{subject}",), sessions=(f"ses-{session}",), tasks=(task,), runs=(f"run-{run}",)
        )
