"""Words out of event tables: what is a word, what is not, and how it is told."""

import pytest

from megxl.corpora.corpus import Word
from megxl.corpora.event_words import duration, read_words, seconds, value
from megxl.corpora.tables import MalformedRowError
from megxl.errors import InputError
from tests.corpora.making import write_table

HEADER = ("onset", "duration", "kind", "text")


def of_row(row):
    return Word(text=row["text"], onset_s=seconds(row, "onset")) if row["kind"] == "word" else None


def read(path, **options):
    return read_words(path, of_row, HEADER, **options)


def texts(path, **options):
    return [word.text for word in read(path, **options)]


def test_words_that_look_like_missing_values_are_words(tmp_path):
    said = ["None", "null", "NA", "nan", "NULL", "NaN", "N/A", "inf", "true", "1"]
    path = write_table(tmp_path / "e.tsv", HEADER, [(k, 0, "word", text) for k, text in enumerate(said)])
    assert texts(path) == said


def test_quotes_and_blanks_are_taken_off_and_letters_kept(tmp_path):
    cells = ['"Alice"', '"""was"""', " to ", '""" get """', "don't", "'tis", 'a"b']
    path = write_table(tmp_path / "e.tsv", HEADER, [(k, 0, "word", cell) for k, cell in enumerate(cells)])
    assert texts(path) == ["Alice", "was", "to", "get", "don't", "'tis", 'a"b']


def test_silences_and_empty_texts_are_left_out_and_counted(tmp_path):
    cells = ["a", "sp", "SP", '"sp"', "", '""', "n/a", "spa"]
    path = write_table(tmp_path / "e.tsv", HEADER, [(k, 0, "word", cell) for k, cell in enumerate(cells)])
    table = read(path, silences=("sp",))
    assert [word.text for word in table] == ["a", "spa"]
    assert table.notes == (
        "3 of 8 rows of words left out, silence (sp): e.tsv.",
        "3 of 8 rows of words left out, word without a text: e.tsv.",
    )


def test_words_are_sorted_by_onset_and_keep_their_order_at_one_onset(tmp_path):
    rows = [(2, 0, "word", "d"), (1, 0, "word", "b"), (1, 0, "word", "c"), (-1, 0, "word", "a")]
    assert texts(write_table(tmp_path / "e.tsv", HEADER, rows)) == ["a", "b", "c", "d"]


def test_rows_that_are_no_words_need_not_be_complete(tmp_path):
    path = write_table(tmp_path / "e.tsv", HEADER, [("n/a", "", "phoneme", ""), (1, 0, "word", "a")])
    table = read(path)
    assert [word.text for word in table] == ["a"]
    assert not table.notes


@pytest.mark.parametrize("onset", ["n/a", "nan", "inf", "", "1,5"])
def test_a_word_without_a_time_is_malformed_and_told_with_its_line(tmp_path, onset):
    path = write_table(
        tmp_path / "e.tsv", HEADER, [(1, 0, "word", "a"), (onset, 0, "word", "b"), ("x", 0, "word", "c")]
    )
    table = read(path)
    assert [word.text for word in table] == ["a"]
    assert table.notes == (f"2 of 3 rows of words left out, malformed: e.tsv, first in line 3, onset is {onset!r}.",)


def test_rows_of_another_length_are_malformed(tmp_path):
    path = write_table(tmp_path / "e.tsv", HEADER, [(1, 0, "word"), (2, 0, "word", "b", "more"), (3, 0, "word", "c")])
    table = read(path)
    assert [word.text for word in table] == ["c"]
    assert table.notes == ("2 of 3 rows of words left out, malformed: e.tsv, first in line 2, 3 cells instead of 4.",)


def test_a_lone_quote_swallows_no_row(tmp_path):
    said = [f"w{n}" for n in range(60)]
    rows = [(n, 0, "word", f'"{text}' if n == 3 else text) for n, text in enumerate(said)]
    table = read(write_table(tmp_path / "e.tsv", HEADER, rows))
    assert [word.text for word in table] == said
    assert table.notes == ()


def test_a_table_without_any_word_says_so(tmp_path):
    table = read(write_table(tmp_path / "e.tsv", HEADER, [(1, 0, "phoneme", "a"), (2, 0, "phoneme", "b")]))
    assert table.notes == ("None of 2 rows is a word: e.tsv.",)


def test_a_link_to_nothing_is_no_missing_table(tmp_path):
    (tmp_path / "e.tsv").symlink_to(tmp_path / "annex" / "e.tsv")
    with pytest.raises(InputError, match=r"e\.tsv is a link to nothing: get its content first \(datalad get"):
        read(tmp_path / "e.tsv")


def test_a_missing_column_is_refused_with_those_that_are_there(tmp_path):
    path = write_table(tmp_path / "e.tsv", ("onset", "value"), [(1, "a")])
    with pytest.raises(InputError, match=r"e\.tsv has no column 'duration', 'kind', 'text'; .* onset, value"):
        read(path)


def test_a_missing_table_is_a_note_and_no_crash(tmp_path):
    table = read(tmp_path / "e.tsv")
    assert len(table) == 0
    assert table.notes == ("There is no table of words: e.tsv.",)


def test_durations():
    assert duration({"duration": "0.25"}) == 0.25
    assert duration({"duration": "n/a"}) is None
    assert duration({}) is None
    with pytest.raises(MalformedRowError):
        duration({"duration": "-1"})


def test_values_that_are_not_given():
    assert value({"a": " x "}, "a") == "x"
    assert value({"a": "n/a"}, "a") is None
    assert value({}, "a") is None
    assert value({"a": "x"}, None) is None
