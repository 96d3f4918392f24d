"""The MOUS corpus."""

import numpy as np

from megxl.corpora.corpus import Selection, corpus_named
from megxl.corpora.mous import LEFT_OUT
from tests.corpora.making import touch, write_table

CORPUS = corpus_named("mous")


def test_listeners_are_usual_and_readers_and_rest_can_be_asked_for(tmp_path):
    names = ("A2002_task-auditory", "A2002_task-rest", "A2003_task-auditory_run-1", "A2003_task-auditory_run-2")
    touch(tmp_path, *(f"sub-{name[:5]}/meg/sub-{name}_meg.ds" for name in (*names, "V1001_task-visual")))
    assert [file.id for file in CORPUS.select(tmp_path)] == [
        "sub-A2002_task-auditory",
        "sub-A2003_task-auditory_run-1",
        "sub-A2003_task-auditory_run-2",
    ]
    others = CORPUS.select(tmp_path, Selection(tasks=("rest", "visual")))
    assert [file.id for file in others] == ["sub-A2002_task-rest", "sub-V1001_task-visual"]


def test_of_the_whole_array_270_sensors_are_used(shared):
    import mne

    info = mne.io.read_info(shared / "realdata" / "sensor_geometry" / "ctf275-info.fif", verbose="ERROR")
    raw = mne.io.RawArray(np.zeros((len(info["chs"]), 10)), info, verbose="ERROR")
    names = CORPUS.channels(raw)
    assert len(names) == 270
    assert not LEFT_OUT & {name.partition("-")[0] for name in names}
    assert {name for name in raw.ch_names if name.startswith("M")} - set(names) == {
        name for name in raw.ch_names if name.partition("-")[0] in LEFT_OUT
    }


def test_words_of_a_reader(tmp_path):
    touch(tmp_path, "sub-V1001/meg/sub-V1001_task-visual_meg.ds")
    rows = [
        (0, 10, 1, "trial", "n/a"),
        (4.0, "n/a", 4800, "frontpanel trigger", 10),
        (4.0, 0, 4800, "Picture", "ZINNEN"),
        (5.0, 0, 6000, "Picture", "FIX 3948"),
        (6.0, 0, 7200, "Picture", "5 Het 300"),
        (6.6, 0, 7920, "Picture", "6 'gemene 351"),
        (7.0, 0, 8400, "Picture", "5 300"),
        (8.0, 0, 9600, "Picture", "7 null 300"),
        (9.0, 0, 9600, "Picture", "8 two words 300"),
        (9.5, 0, 9600, "Picture", "QUESTION 341"),
        (9.7, 0, 9600, "Response", "1"),
    ]
    path = tmp_path / "sub-V1001/meg/sub-V1001_task-visual_events.tsv"
    write_table(path, ("onset", "duration", "sample", "type", "value"), rows)
    (file,) = CORPUS.select(tmp_path, Selection(tasks=("visual",)))
    table = CORPUS.words(file)
    assert [(word.text, word.onset_s, word.duration_s, word.labels["condition"]) for word in table] == [
        ("Het", 6.0, 0.3, "sentence"),
        ("'gemene", 6.6, 0.351, "sentence"),
        ("null", 8.0, 0.3, "word_list"),
    ]
    assert table.notes[0].startswith("1 of 4 rows of words left out, malformed: ")
    assert "first in line 10, the value" in table.notes[0]


def test_mini_recordings_are_read(mini):
    files = CORPUS.select(mini / "mous")
    assert [file.id for file in files] == [
        "sub-A2002_task-auditory",
        "sub-A2003_task-auditory_run-1",
        "sub-A2003_task-auditory_run-2",
        "sub-A2120_task-auditory",
    ]
    raw = CORPUS.read(files[0])
    names = CORPUS.channels(raw)
    assert len(names) == 270  # of 273: three of the five are there
    assert names == [name for name in raw.ch_names if name in set(names)]
    assert "does not time all words" in CORPUS.words(files[0]).notes[0]
