"""Words out of tables and TextGrids that people made: what is taken, what is counted, what is refused with a reason."""

import pytest

from megxl.corpora.corpus import Word, WordTable
from megxl.corpora.transcript_words import (
    Columns,
    on_one_clock,
    read_transcript,
    words_of_table,
    words_of_textgrid,
)
from megxl.errors import InputError

LONG = """File type = "ooTextFile"
Object class = "TextGrid"

xmin = 0
xmax = 2.5
tiers? <exists>
size = 2
item []:
    item [1]:
        class = "IntervalTier"
        name = "Words"
        xmin = 0
        xmax = 2.5
        intervals: size = 4
        intervals [1]:
            xmin = 0
            xmax = 0.5
            text = ""
        intervals [2]:
            xmin = 0.5
            xmax = 0.75
            text = "None"
        intervals [3]:
            xmin = 0.75
            xmax = 1.25
            text = "sp"
        intervals [4]:
            xmin = 1.25
            xmax = 2.5
            text = "fög ""so"" x"
    item [2]:
        class = "IntervalTier"
        name = "Words 2"
        xmin = 0
        xmax = 2.5
        intervals: size = 1
        intervals [1]:
            xmin = 0
            xmax = 2.5
            text = "b"
"""
SHORT = """File type = "ooTextFile"
Object class = "TextGrid"

0
2.5
<exists>
1
"IntervalTier"
"Words"
0
2.5
4
0
0.5
""
0.5
0.75
"None"
0.75
1.25
"sp"
1.25
2.5
"fög ""so"" x"
"""


def table(tmp_path, text, name="words.tsv", encoding="utf-8"):
    path = tmp_path / name
    path.write_bytes(text.encode(encoding))
    return path


def listed(words):
    return [(word.text, word.onset_s, word.duration_s) for word in words]


def test_words_that_look_like_missing_values_are_words_and_silences_are_counted(tmp_path):
    path = table(
        tmp_path, 'onset\tduration\tword\n2.0\tn/a\tNA\n1.0\t0.5\t"None"\n1.5\t0.1\tsp\n3\t0.2\tnull\nn/a\t1\tx\n'
    )
    words = words_of_table(path, Columns())
    assert listed(words) == [("None", 1.0, 0.5), ("NA", 2.0, None), ("null", 3.0, 0.2)]
    assert words.notes == (
        "1 of 5 rows of words left out, silence (sp): words.tsv.",
        "1 of 5 rows of words left out, malformed: words.tsv, first in line 6, onset is 'n/a'.",
    )


def test_a_lone_quote_in_tsv_swallows_no_rows(tmp_path):
    path = table(tmp_path, 'onset\tword\n1\t"\n2\tb\n3\tc"d\n')
    assert [word.text for word in words_of_table(path, Columns())] == ["b", 'c"d']


@pytest.mark.parametrize("text", ['onset,word\n1.5,"a, b"\n', "onset;word\n1,5;a, b\n"])
def test_commas_and_semicolons_separate_cells_of_csv(tmp_path, text):
    assert listed(words_of_table(table(tmp_path, text, "words.csv"), Columns())) == [("a, b", 1.5, None)]


def test_columns_can_have_other_names_and_times_can_be_milliseconds(tmp_path):
    path = table(tmp_path, "start\tlength\ttoken\n250\t40\ta\n650\t80\tb\n")
    words = words_of_table(path, Columns(onset="start", duration="length", word="token"), unit="ms")
    assert listed(words) == [("a", pytest.approx(0.25), pytest.approx(0.04)), ("b", pytest.approx(0.65), 0.08)]


def test_a_missing_column_is_named_with_those_there_are(tmp_path):
    path = table(tmp_path, "start\tword\n1\ta\n")
    with pytest.raises(InputError, match=r"words.tsv has no column 'onset'; its columns are: start, word"):
        words_of_table(path, Columns())


def test_milliseconds_taken_for_seconds_are_suspected(tmp_path):
    rows = "".join(f"{310 * n}\tw{n}\n" for n in range(20))
    path = table(tmp_path, "onset\tword\n" + rows)
    with pytest.raises(InputError, match=r"would be 310 s.*time_unit=ms"):
        words_of_table(path, Columns())
    assert words_of_table(path, Columns(), unit="ms").words[1].onset_s == pytest.approx(0.31)


def test_seconds_taken_for_milliseconds_are_suspected(tmp_path):
    path = table(tmp_path, "onset\tword\n" + "".join(f"{0.31 * n}\tw{n}\n" for n in range(20)))
    with pytest.raises(InputError, match="leave out time_unit=ms"):
        words_of_table(path, Columns(), unit="ms")


def test_words_that_overlap_are_counted(tmp_path):
    path = table(tmp_path, "onset\tduration\tword\n1\t0.5\ta\n1.4\t0.1\tb\n1.5\t0.1\tc\n")
    words = on_one_clock(words_of_table(path, Columns()), 0.0)
    assert words.notes == ("1 of 3 words begin before the one before has ended.",)


@pytest.mark.parametrize("text", ["Silence", "sp", "sil"])
def test_a_word_that_aligners_use_for_silence_can_be_kept(tmp_path, text):
    path = table(tmp_path, f"onset\tword\n1\tthe\n2\t{text}\n")
    words = words_of_table(path, Columns())
    assert [word.text for word in words] == ["the"]
    assert words.notes == (f"1 of 2 rows of words left out, silence ({text.lower()}): words.tsv.",)
    assert [word.text for word in words_of_table(path, Columns(), silences=())] == ["the", text]
    assert [word.text for word in words_of_table(path, Columns(), silences=("THE",))] == [text]


def test_durations_that_cannot_be_are_unknown_and_counted(tmp_path):
    path = table(tmp_path, "onset\tduration\tword\n1\t-0.5\ta\n2\t0,25\tb\n3\tn/a\tc\n4\tlong\td\n5\t\te\n")
    words = words_of_table(path, Columns())
    assert [word.duration_s for word in words] == [None, 0.25, None, None, None]
    assert words.notes == ("2 of 5 durations are no positive number, taken as unknown: words.tsv.",)


def test_a_malformed_row_is_refused_with_its_line(tmp_path):
    with pytest.raises(InputError, match=r"words.tsv, line 3: 1 cells instead of 2"):
        words_of_table(table(tmp_path, "onset\tword\n1\ta\n2\n"), Columns())


def test_segments_stay_apart_until_they_are_put_on_one_clock(tmp_path):
    path = table(tmp_path, "segment\tonset\tword\n10\t0.1\ta\n9\t0.0\tb\n10\t0.05\tc\n")
    words = words_of_table(path, Columns())
    assert [word.text for word in words] == ["c", "a", "b"]
    assert [word.text for word in on_one_clock(words, 0.0)] == ["b", "c", "a"]


def test_a_transcript_is_words_between_blanks_or_a_column(tmp_path):
    assert read_transcript(table(tmp_path, "the cat\n sat\n", "a.txt"), "word") == ["the", "cat", "sat"]
    assert read_transcript(table(tmp_path, "n\tword\n1\tthe\n2\tcat\n"), "word") == ["the", "cat"]


@pytest.mark.parametrize("text", [LONG, SHORT], ids=["long", "short"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_textgrids_of_both_formats_and_encodings(tmp_path, text, encoding):
    words = words_of_textgrid(table(tmp_path, text, "a.TextGrid", encoding), "words")
    assert listed(words) == [("None", 0.5, 0.25), ('fög "so" x', 1.25, 1.25)]
    assert words.notes == ("1 of 3 rows of words left out, silence (sp): a.TextGrid.",)
    assert [word.text for word in words_of_textgrid(tmp_path / "a.TextGrid", "words", ())][1] == "sp"


def test_points_of_a_textgrid_are_words_without_duration(tmp_path):
    text = '"ooTextFile"\n"TextGrid"\n\n0\n2\n<exists>\n1\n"TextTier"\n"words"\n0\n2\n1\n0.5\n"a"\n'
    assert listed(words_of_textgrid(table(tmp_path, "File type = " + text, "a.TextGrid"), "words")) == [
        ("a", 0.5, None)
    ]


def test_tiers_of_two_speakers_are_a_choice(tmp_path):
    path = table(tmp_path, LONG, "a.TextGrid")
    with pytest.raises(InputError, match=r"2 tiers fit 'words\*'; choose one of: 'Words', 'Words 2'"):
        words_of_textgrid(path, "words*")
    with pytest.raises(InputError, match="no tier is called 'phones'; choose one of: 'Words', 'Words 2'"):
        words_of_textgrid(path, "phones")


@pytest.mark.parametrize("text", ["", "hello", SHORT[:150], LONG[:-60]])
def test_a_damaged_textgrid_is_refused_by_name(tmp_path, text):
    with pytest.raises(InputError, match=r"a\.TextGrid"):
        words_of_textgrid(table(tmp_path, text, "a.TextGrid"), "words 2")


def test_a_delay_is_added_and_told():
    words = on_one_clock(WordTable(words=(Word(text="a", onset_s=1.0),), notes=("First.",)), 0.035)
    assert words.words[0].onset_s == pytest.approx(1.035)
    assert words.notes == ("First.", "+0.035 s added to all onsets (audio delay).")
