"""The MEG-MASC corpus."""

import csv

import pytest

from megxl.corpora.corpus import corpus_named
from tests.corpora.making import touch, write_table

CORPUS = corpus_named("meg_masc")
STEM = "sub-01/ses-0/meg/sub-01_ses-0_task-0"


def words_of(root, *events):
    """Read the words of a table whose rows have these texts as trial_type, one a second."""
    touch(root, f"{STEM}_meg.con")
    rows = [(second, 0.5, event) for second, event in enumerate(events)]
    write_table(root / f"{STEM}_events.tsv", ("onset", "duration", "trial_type"), rows)
    (file,) = CORPUS.select(root)
    return CORPUS.words(file)


def test_a_word_with_all_that_is_said_of_it(tmp_path):
    event = {
        "story": "lw1", "sound_id": 2.0, "kind": "word", "start": 77.0, "sequence_id": 3.0, "condition": "word_list",
        "pronounced": 0.0, "word": "None",
    }  # fmt: skip
    (word,) = words_of(tmp_path, "{'kind': 'phoneme', 'phoneme': 'a'}", event)
    assert word.to_row() == {
        "text": "None",
        "onset_s": 1.0,
        "duration_s": 0.5,
        "sentence": "2-3",
        "story": "0-lw1",
        "labels": {"condition": "word_list", "pronounced": False},
    }


def test_a_bare_nan_costs_only_its_own_value(tmp_path):
    table = words_of(tmp_path, "{'kind': 'word', 'word': 'sky', 'pronounced': nan, 'sequence_id': nan}")
    assert [word.to_row() for word in table] == [{"text": "sky", "onset_s": 0.0, "duration_s": 0.5, "story": "0"}]


def test_an_apostrophe_changes_the_quotes_of_the_row(tmp_path):
    event = '"' + repr({"kind": "word", "word": "don't"}).replace('"', '""') + '"'
    assert [word.text for word in words_of(tmp_path, event)] == ["don't"]


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        ("{'kind': 'word', 'word': nan}", "the event has no word"),
        ("{'kind': 'word', 'condition': 'sentence'}", "the event has no word"),
        ("{'kind': 'word', 'word': 3}", "its word is 3"),
        ("{'kind': 'word', 'word': 'a'", "trial_type is no dict"),
        ("{'kind': 'word', 'word': open('x')}", "trial_type is no dict"),
        ("['word', 'a']", "trial_type is no dict"),
        ("word", "trial_type is no dict"),
        ("n/a", "trial_type is no dict"),
    ],
)
def test_malformed_rows_are_counted_and_told(tmp_path, event, reason):
    table = words_of(tmp_path, "{'kind': 'word', 'word': 'a'}", event, event)
    assert [word.text for word in table] == ["a"]
    (note,) = table.notes
    assert "2 of 3 rows of words left out, malformed: " in note and "first in line 3, " in note
    assert reason in note


def test_every_word_of_a_real_table_is_read(shared, tmp_path):
    real = shared / "realdata" / "word_timing"
    touch(tmp_path, f"{STEM}_meg.con")
    (tmp_path / f"{STEM}_events.tsv").write_bytes((real / "megmasc_cable_spool_fort_events.tsv").read_bytes())
    (file,) = CORPUS.select(tmp_path)
    table = CORPUS.words(file)
    with (real / "megmasc_cable_spool_fort_annotations.csv").open(newline="", encoding="utf-8") as annotations:
        rows = [row for row in csv.DictReader(annotations) if row["kind"] == "word"]
    assert not table.notes
    assert [word.text for word in table] == [row["word"] for row in rows]
    assert [word.onset_s for word in table] == [float(row["onset"]) for row in rows]
    assert [word.labels["condition"] for word in table] == [row["condition"] for row in rows]
    assert [word.labels["pronounced"] for word in table] == [row["pronounced"] == "1.0" for row in rows]
    assert {word.story for word in table} == {"0-cable_spool_fort"}


def test_mini_recordings_are_read(mini):
    files = CORPUS.select(mini / "meg_masc")
    assert [file.id for file in files] == [
        f"{person}_task-{task}" for person in ("sub-01_ses-0", "sub-01_ses-1", "sub-03_ses-0") for task in (0, 1)
    ]
    for file in files:
        raw = CORPUS.read(file)
        assert len(CORPUS.channels(raw)) == 157
        table = CORPUS.words(file)
        malformed = 2 if file is files[0] else 0
        assert len(table) == CORPUS.events(file).read_text().count("'kind': 'word'") - malformed
        assert len(table.notes) == bool(malformed)
    assert "2 of 442 rows of words left out, malformed" in CORPUS.words(files[0]).notes[0]
    assert CORPUS.words(files[5]).words[0].onset_s == 0.2


def test_mini_sessions_have_the_same_words_a_moment_later(mini):
    first, second = (
        [(word.text, word.onset_s) for word in CORPUS.words(file) if word.onset_s < 59]
        for file in (CORPUS.recordings(mini / "meg_masc")[k] for k in (1, 3))
    )
    count = min(len(first), len(second))
    assert count > 100
    for (text, onset_s), (later_text, later_s) in zip(first[:count], second[:count], strict=True):
        assert text == later_text
        assert later_s - onset_s == pytest.approx(0.137, abs=1e-9)
