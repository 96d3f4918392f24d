"""Times of words that cannot be those of the recording."""

import pytest

from megxl.corpora.corpus import Word, WordTable
from megxl.corpora.word_times import count_overlaps, within
from megxl.errors import InputError


def words(*onsets_s, **options):
    return WordTable(words=tuple(Word(text="a", onset_s=float(onset_s), **options) for onset_s in onsets_s))


def test_words_outside_the_recording_are_told_and_kept():
    table = within(words(-1, 0, 5, 29.99, 30, 31), 30.0, "e.tsv")
    assert len(table) == 6
    assert table.notes == ("3 of 6 words lie outside the recording: they begin at -1.00 to 31.00 s, it has 30.00 s.",)
    assert within(words(0, 29.9), 30.0, "e.tsv").notes == ()
    assert within(WordTable(), 30.0, "e.tsv") == WordTable()


def test_most_words_outside_the_recording_are_refused():
    said = r"e\.tsv: 4 of 6 words lie outside the recording \(they begin at 1\.00 to 36\.00 s, it has 30\.00 s\)"
    with pytest.raises(InputError, match=said):
        within(words(1, 2, 33, 34, 35, 36), 30.0, "e.tsv")
    assert "2 of 3 words" in within(words(1, 33, 34), 30.0, "e.tsv").notes[0]  # too few to judge


def test_milliseconds_are_noticed_even_if_the_recording_is_long():
    with pytest.raises(InputError, match=r"would be 400 s.*seconds after the first sample"):
        within(words(*range(0, 24_000, 400)), 30_000.0, "e.tsv")
    with pytest.raises(InputError, match=r"would be 0\.0004 s"):
        within(words(*(n * 4e-4 for n in range(20))), 30.0, "e.tsv")


def test_words_overlap_only_with_the_one_before_in_the_same_story():
    assert count_overlaps(words(0, 1, 2, duration_s=1.5)) == 2
    assert count_overlaps(words(0, 1, 2, duration_s=1.0)) == 0
    assert (
        count_overlaps([Word(text="a", onset_s=0, duration_s=9, story="x"), Word(text="b", onset_s=1, story="y")]) == 0
    )
