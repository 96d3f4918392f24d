"""Tables and texts as corpora, people and spreadsheets write them, read in one way: lines, cells, what is malformed."""

import csv
import io
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from megxl.errors import InputError

Row = dict[str, str]
"""Cells by the names of their columns; every cell is text, "NA" and "None" too."""


class MissingColumnError(InputError):
    """A table lacks a column; the message says which, and names those that it has."""


class MalformedRowError(ValueError):
    """A row of a table that cannot be understood; the message says why, in a few words."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table with a line of names on top.

    Parameters
    ----------
    path : Path
    columns : tuple of str
    rows : tuple of (int, Row)
        Number of the line, and the row; blank lines are none.
    malformed : tuple of (int, str)
        Number of the line, and why it is no row.
    """

    path: Path
    columns: tuple[str, ...]
    rows: tuple[tuple[int, Row], ...]
    malformed: tuple[tuple[int, str], ...] = ()

    def whole(self) -> "Table":
        """Return the table if it has rows and all of them could be read: what is made by hand can be mended by hand.

        Raises
        ------
        InputError
            No row; a malformed row, with its line.
        """
        for line, reason in self.malformed:
            raise InputError(f"{self.path.name}, line {line}: {reason}.")
        if not self.rows:
            raise InputError(f"{self.path.name} has a line of names, but no row.")
        return self


def read_table(path: Path, needed: Sequence[str] = (), *, encoding: str | None = None) -> Table:
    """Read a table.

    Cells of .tsv are separated by tabs, others by commas, semicolons or tabs, whichever the first line has most of.
    Between tabs a quote is a letter, unless quotes surround a whole cell; no quote reaches beyond its line. A row may
    lack its last cells where none of these columns is needed: editors drop them when they are empty.

    Parameters
    ----------
    path : Path
    needed : sequence of str
        Columns that the table must have.
    encoding : str, optional
        See `read_text`.

    Raises
    ------
    InputError
        An empty file, two columns of one name, a needed column that is not there, wrong encoding.
    """
    # only these end a line: str.splitlines would also break at characters that may stand in a text
    lines = [line.rstrip("\n") for line in io.StringIO(read_text(path, encoding), newline=None)]
    if not lines or not lines[0].strip():
        raise InputError(f"{path.name} is empty, or its first line is: it must name the columns.")
    separator = "\t" if path.suffix.lower() == ".tsv" else max(",;\t", key=lines[0].count)
    columns = _columns(path, lines[0], separator)
    _refuse_missing(path, columns, needed)
    fewest = max((columns.index(column) for column in needed), default=0) + 1
    rows, malformed = [], []
    for number, line in enumerate(lines[1:], start=2):
        try:
            cells = _cells(line, separator)
            if any(cell.strip() for cell in cells):
                rows.append((number, _row(cells, columns, fewest)))
        except MalformedRowError as error:
            malformed.append((number, str(error)))
    return Table(path=path, columns=columns, rows=tuple(rows), malformed=tuple(malformed))


def read_text(path: Path, encoding: str | None = None) -> str:
    """Read a text file; a byte order mark overrules the encoding.

    Parameters
    ----------
    path : Path
    encoding : str, optional
        None: UTF-8, and the user cannot choose another.

    Raises
    ------
    InputError
        No such file, an unknown encoding, bytes that it does not allow.
    """
    if path.is_symlink() and not path.exists():
        raise InputError(f"{path.name} is a link to nothing: get its content first (datalad get, git annex get).")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path.name} cannot be read: {error.strerror}.") from error
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        actual = "utf-16"
    elif content.startswith(b"\xef\xbb\xbf"):
        actual = "utf-8-sig"
    else:
        actual = encoding or "utf-8"
    try:
        return content.decode(actual)
    except LookupError as error:
        raise InputError(f"encoding = {encoding!r}: Python knows none of that name; usual: utf-8, latin-1.") from error
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        choice = ", or say what it is with encoding=latin-1 (or another)" if encoding else ""
        raise InputError(
            f"{path.name}, line {line}: not {actual} text (byte {content[error.start]:#04x}). Save it as UTF-8{choice}."
        ) from error


def clean(text: str) -> str:
    """Take quotes and blanks off the ends of a text."""
    return text.strip().strip('"').strip()


def number(cell: str) -> float | None:
    """Read a finite number, with a point or a comma as many spreadsheets write it (``0,04``); None if it is none."""
    try:
        read = float(cell.strip().replace(",", "."))
    except ValueError:
        return None
    return read if math.isfinite(read) else None


def _cells(line: str, separator: str) -> list[str]:
    if separator == "\t":
        return [_unquoted(cell) for cell in line.split("\t")]
    try:
        return next(csv.reader([line], delimiter=separator, strict=True), [])
    except csv.Error as error:
        raise MalformedRowError(f"its quotes do not pair up ({error})") from error


def _unquoted(cell: str) -> str:
    """Undo the quotes that some programs put around a cell, doubling those within; others are letters."""
    within = cell[1:-1]
    quoted = len(cell) > 1 and cell[0] == cell[-1] == '"' and '"' not in within.replace('""', "")
    return within.replace('""', '"') if quoted else cell


def _columns(path: Path, line: str, separator: str) -> tuple[str, ...]:
    try:
        columns = tuple(cell.strip() for cell in _cells(line, separator))
    except MalformedRowError as error:
        raise InputError(f"{path.name}, line 1: {error}.") from error
    # columns without a name are what spreadsheets leave at the end, and indices at the beginning
    if double := [name for name, count in Counter(columns).items() if name and count > 1]:
        raise InputError(f"{path.name} has two columns called {double[0]!r}.")
    return columns


def _row(cells: list[str], columns: tuple[str, ...], fewest: int) -> Row:
    surplus = any(cell.strip() for cell in cells[len(columns) :])
    if len(cells) < fewest or surplus:
        raise MalformedRowError(f"{len(cells)} cells instead of {len(columns)}")
    padded = cells[: len(columns)] + [""] * (len(columns) - len(cells))
    return dict(zip(columns, padded, strict=True))


def _refuse_missing(path: Path, columns: tuple[str, ...], needed: Sequence[str]) -> None:
    missing = [column for column in needed if column not in columns]
    if not missing:
        return
    if path.suffix.lower() == ".tsv" and len(columns) == 1 and any(separator in columns[0] for separator in ",;"):
        raise InputError(
            f"{path.name}: in a .tsv tabs separate cells, here commas or semicolons do: save it with tabs."
        )
    there = ", ".join(columns)
    raise MissingColumnError(f"{path.name} has no column {', '.join(map(repr, missing))}; its columns are: {there}.")
