"""Words out of the tables and TextGrids that people keep beside their recordings, and transcripts without times."""

import fnmatch
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

from megxl.corpora.collector import NO_VALUE, SILENCES, Collector
from megxl.corpora.corpus import Word, WordTable
from megxl.corpora.tables import number, read_table, read_text
from megxl.corpora.word_times import count_overlaps, refuse_other_unit
from megxl.errors import InputError

UNITS = {"s": 1.0, "ms": 1e-3}


@dataclass(frozen=True, kw_only=True)
class Columns:
    """Names of the columns of a table of words; `segment` tells the audio files or chapters apart, if there are any."""

    onset: str = "onset"
    duration: str = "duration"
    word: str = "word"
    segment: str = "segment"


def words_of_table(
    path: Path,
    columns: Columns,
    *,
    unit: str = "s",
    encoding: str = "utf-8",
    silences: Collection[str] = SILENCES,
) -> WordTable:
    """Read words from CSV or TSV.

    Parameters
    ----------
    path : Path
        See `tables.read_table`.
    columns : Columns
        The onset and the word are needed, the others are used if there are any.
    unit : {"s", "ms"}
        Of onsets and durations.
    encoding : str
    silences : collection of str
        Texts, in lower case, that stand for silence.

    Returns
    -------
    WordTable
        One segment after the other, which is `Word.story`; rows without a readable onset are counted in its notes.

    Raises
    ------
    InputError
        A column that is not there, a malformed row, no word at all, times that look like another unit, wrong encoding.
    """
    table = read_table(path, (columns.onset, columns.word), encoding=encoding).whole()
    collector, scale, unknown = Collector(path.name, silences), UNITS[unit], 0
    for line, row in table.rows:
        onset = number(row[columns.onset])
        if onset is None:
            collector.refuse(line, f"{columns.onset} is {row[columns.onset]!r}")
            continue
        cell = row.get(columns.duration, "").strip()
        duration = number(cell)
        if duration is None or duration < 0:
            unknown += cell not in NO_VALUE
            duration = None
        duration_s = None if duration is None else duration * scale
        story = row.get(columns.segment) or None
        collector.add(Word(text=row[columns.word], onset_s=onset * scale, duration_s=duration_s, story=story))
    words = collector.table(by_story=True)
    if not words:
        raise InputError(f"{path.name} holds no word. {' '.join(words.notes)}")
    for segment in {word.story for word in words}:
        _refuse_other_unit(path, [word.onset_s for word in words if word.story == segment], unit)
    note = f"{unknown} of {len(table.rows)} durations are no positive number, taken as unknown: {path.name}."
    return replace(words, notes=(*words.notes, note)) if unknown else words


def words_of_textgrid(path: Path, tier: str, silences: Collection[str] = SILENCES) -> WordTable:
    """Read the labelled intervals (or points) of one tier of a Praat TextGrid, in its long or short format.

    Raises
    ------
    InputError
        No such tier, or several tiers that the pattern fits (two speakers overlap: choose one); a damaged file.
    """
    try:
        from praatio import textgrid
        from praatio.utilities.errors import PraatioException
    except ImportError as error:
        raise InputError("Reading a TextGrid needs praatio: pip install 'megxl[corpora]'.") from error
    try:
        grid = textgrid.openTextgrid(str(path), includeEmptyIntervals=False, duplicateNamesMode="rename")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path.name} is neither UTF-8 nor UTF-16: in Praat, set the text writing preferences to UTF-8, save again."
        ) from error
    except (PraatioException, ValueError, IndexError, KeyError) as error:  # what a damaged text makes praatio raise
        raise InputError(f"{path.name} is no TextGrid that can be read: {error}.") from error
    names = [name for name in grid.tierNames if fnmatch.fnmatchcase(name.lower(), tier.lower())]
    if len(names) != 1:
        problem = f"{len(names)} tiers fit {tier!r}" if names else f"no tier is called {tier!r}"
        raise InputError(f"{path.name}: {problem}; choose one of: {', '.join(map(repr, grid.tierNames)) or 'none'}.")
    collector = Collector(path.name, silences)
    for *times_s, text in grid.getTier(names[0]).entries:
        duration_s = times_s[1] - times_s[0] if len(times_s) == 2 else None
        collector.add(Word(text=text, onset_s=float(times_s[0]), duration_s=duration_s))
    if not collector.found:
        raise InputError(f"{path.name}: the tier {names[0]!r} holds no word.")
    return collector.table()


def read_transcript(path: Path, word_column: str, encoding: str = "utf-8") -> list[str]:
    """Read the words of a transcript in their order: a .txt with blanks between words, or the column of a table."""
    if path.suffix.lower() == ".txt":
        return read_text(path, encoding).split()
    return [row[word_column] for _, row in read_table(path, (word_column,), encoding=encoding).whole().rows]


def on_one_clock(words: WordTable, delay_s: float) -> WordTable:
    """Add a delay in seconds to all onsets and put the words of all stories in the order of time; count overlaps."""
    moved = [replace(word, onset_s=word.onset_s + delay_s) for word in words]
    moved.sort(key=lambda word: word.onset_s)
    notes = [*words.notes]
    if delay_s:
        notes.append(f"{delay_s:+g} s added to all onsets (audio delay).")
    if overlaps := count_overlaps(moved):
        notes.append(f"{overlaps} of {len(moved)} words begin before the one before has ended.")
    return WordTable(words=tuple(moved), notes=tuple(notes))


def _refuse_other_unit(path: Path, onsets_s: list[float], unit: str) -> None:
    longer = (
        "If the times are milliseconds, say so with time_unit=ms; if they are samples, divide them by the sampling "
        "rate."
    )
    shorter = "If the times are seconds, leave out time_unit=ms." if unit == "ms" else "Times must be in seconds."
    refuse_other_unit(onsets_s, path.name, longer=longer, shorter=shorter)
