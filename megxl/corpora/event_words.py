"""Words out of the event tables of corpora: each corpus says what a row tells; what is left out is counted here."""

import math
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from megxl.corpora.collector import NO_VALUE, Collector
from megxl.corpora.corpus import Word, WordTable
from megxl.corpora.tables import MalformedRowError, Row, clean, read_table


def read_words(
    path: Path, word_of: Callable[[Row], Word | None], columns: Sequence[str], silences: Collection[str] = ()
) -> WordTable:
    """Read the words of an event table (tab-separated, with a header).

    Parameters
    ----------
    path : Path
        The table; if it is missing the result has no words and a note that says so.
    word_of : callable
        Makes the word of a row (its text is cleaned afterwards), None if the row tells of something else; raises
        `MalformedRowError`.
    columns : sequence of str
        Columns that the table must have.
    silences : collection of str
        Texts, in lower case, that stand for silence.

    Returns
    -------
    WordTable
        Sorted by onset; rows of one onset keep their order.

    Raises
    ------
    InputError
        A file that is no such table, or lacks a column.
    """
    if not path.is_file() and not path.is_symlink():
        return WordTable(notes=(f"There is no table of words: {path.name}.",))
    table = read_table(path, columns)
    collector = Collector(path.name, silences)
    for line, reason in table.malformed:
        collector.refuse(line, reason)
    for line, row in table.rows:
        try:
            word = word_of(row)
        except MalformedRowError as error:
            collector.refuse(line, str(error))
            continue
        if word is not None:
            collector.add(word)
    words = collector.table()
    if not words and not words.notes:
        return WordTable(notes=(f"None of {len(table.rows)} rows is a word: {path.name}.",))
    return words


def seconds(row: Row, column: str) -> float:
    """Read a time.

    Raises
    ------
    MalformedRowError
        It is no finite number.
    """
    try:
        time_s = float(row[column])
    except ValueError:
        time_s = math.nan
    if not math.isfinite(time_s):
        raise MalformedRowError(f"{column} is {row[column]!r}")
    return time_s


def duration(row: Row, column: str = "duration") -> float | None:
    """Read a duration in seconds, None where the table has none."""
    if value(row, column) is None:
        return None
    length_s = seconds(row, column)
    if length_s < 0:
        raise MalformedRowError(f"{column} is {row[column]!r}")
    return length_s


def value(row: Row, column: str | None) -> str | None:
    """Read a text, None where the table has none (or there is no such column)."""
    text = clean(row.get(column, "")) if column else ""
    return None if text in NO_VALUE else text
