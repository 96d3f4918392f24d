"""Tables as they come: quotes, short rows, encodings and line ends do what they must, and no more."""

import csv
import io

import pytest

from megxl.corpora.tables import clean, number, read_table, read_text
from megxl.errors import InputError


def table(tmp_path, text, name="words.tsv", encoding="utf-8"):
    path = tmp_path / name
    path.write_bytes(text.encode(encoding))
    return path


def rows(path, *needed, **options):
    return [row for _, row in read_table(path, needed, **options).rows]


@pytest.mark.parametrize("separator", ["\t", ",", ";"])
def test_what_the_csv_module_writes_is_read_back(tmp_path, separator):
    cells = ["a", "", "don't", 'say "hi"', '"', '""', '"""a"""', "a, b", "c;d", " e ", "ü", "{'word': \"don't\"}"]
    buffer = io.StringIO()
    csv.writer(buffer, delimiter=separator).writerows([("n", "text"), *enumerate(cells)])
    path = table(tmp_path, buffer.getvalue(), "a.tsv" if separator == "\t" else "a.csv")
    assert [row["text"] for row in rows(path)] == cells


def test_between_tabs_a_quote_that_is_not_paired_is_a_letter(tmp_path):
    cells = ['"', '"w3', 'w4"', 'c"d', '"a" and "b"', "plain"]
    path = table(tmp_path, "text\tn\n" + "".join(f"{cell}\t{n}\n" for n, cell in enumerate(cells)))
    read = read_table(path)
    assert [row["text"] for _, row in read.rows] == cells
    assert read.malformed == ()


def test_a_quote_reaches_no_further_than_its_line_in_csv_either(tmp_path):
    read = read_table(table(tmp_path, 'n,text\n1,a\n2,"b\n3,c\n4,"d"e\n5,f\n', "a.csv"))
    assert [(line, row["text"]) for line, row in read.rows] == [(2, "a"), (4, "c"), (6, "f")]
    assert [line for line, _ in read.malformed] == [3, 5]
    assert all("quotes do not pair up" in reason for _, reason in read.malformed)
    with pytest.raises(InputError, match=r"a\.csv, line 3: its quotes do not pair up"):
        read.whole()


def test_last_cells_may_be_missing_where_no_column_there_is_needed(tmp_path):
    path = table(tmp_path, "name\ttype\tstatus\nA\tEEG\tbad\nB\tEEG\nC\nD\tEEG\tgood\t\t\nE\tEEG\tgood\tmore\n")
    read = read_table(path, ("name", "type"))
    assert [row["status"] for _, row in read.rows] == ["bad", "", "good"]
    assert read.malformed == ((4, "1 cells instead of 3"), (6, "4 cells instead of 3"))


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_end_where_they_end_and_nowhere_else(tmp_path, end):
    text = "word\tn\n" + "".join(f"a{letter}b\t1\n" for letter in "\u2028\x85\x0b\x0c\x1c") + "\n  \t\nlast\t2"
    read = read_table(table(tmp_path, text.replace("\n", end)))
    assert [row["word"] for _, row in read.rows] == [*(f"a{letter}b" for letter in "\u2028\x85\x0b\x0c\x1c"), "last"]
    assert read.rows[-1][0] == 9


def test_text_in_another_encoding_is_named_with_its_line_and_a_remedy_that_exists(tmp_path):
    path = table(tmp_path, "onset\tword\n1\ta\n2\tföhn\n", encoding="latin-1")
    with pytest.raises(InputError, match=r"words.tsv, line 3: not utf-8 text \(byte 0xf6\)\. Save it as UTF-8\.$"):
        read_table(path)
    with pytest.raises(InputError, match=r"Save it as UTF-8, or say what it is with encoding=latin-1"):
        read_table(path, encoding="utf-8")
    assert rows(path, encoding="latin-1")[1]["word"] == "föhn"
    with pytest.raises(InputError, match="'klingon'"):
        read_text(path, "klingon")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig"])
def test_a_byte_order_mark_overrules_the_encoding(tmp_path, encoding):
    assert rows(table(tmp_path, "word\nföhn\n", encoding=encoding), encoding="latin-1") == [{"word": "föhn"}]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "is empty"),
        ("\n1\ta\n", "is empty, or its first line is"),
        ("word\tn\tword\na\t1\tb\n", "two columns called 'word'"),
        ("onset,word\n1,a\n", r"in a \.tsv tabs separate cells, here commas or semicolons do"),
        ("onset\tvalue\n1\ta\n", "has no column 'word'; its columns are: onset, value"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_name(tmp_path, text, problem):
    with pytest.raises(InputError, match=rf"words\.tsv.*{problem}"):
        read_table(table(tmp_path, text), ("word",))


def test_a_table_made_by_hand_has_rows(tmp_path):
    with pytest.raises(InputError, match="a line of names, but no row"):
        read_table(table(tmp_path, "word\n\n")).whole()


def test_a_link_to_nothing_and_a_missing_file_are_told(tmp_path):
    (tmp_path / "a.tsv").symlink_to(tmp_path / "annex")
    with pytest.raises(InputError, match=r"^a\.tsv is a link to nothing: get its content first"):
        read_text(tmp_path / "a.tsv")
    with pytest.raises(InputError, match=r"^b\.tsv cannot be read: No such file"):
        read_text(tmp_path / "b.tsv")


def test_numbers_have_a_point_or_a_comma():
    assert [number(cell) for cell in ("1.5", " 1,5 ", "-2e-1")] == [1.5, 1.5, -0.2]
    assert [number(cell) for cell in ("", "n/a", "nan", "inf", "1,000.5", "a")] == [None] * 6


def test_quotes_and_blanks_at_the_ends_are_no_part_of_a_word():
    assert [clean(text) for text in (' "x" ', '"""was"""', "'tis", 'a"b', '"')] == ["x", "was", "'tis", 'a"b', ""]
