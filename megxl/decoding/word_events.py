"""Where the words of one recording are: in a table or TextGrid, in the recording's own marks, or in its store."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from megxl.corpora.corpus import UNKNOWN_SUBJECT, Word, WordTable, corpus_named
from megxl.corpora.files import Files, FoundRecording
from megxl.corpora.tables import number, read_table
from megxl.corpora.transcript_words import UNITS, on_one_clock
from megxl.corpora.trigger_words import trigger_onsets
from megxl.corpora.word_times import within
from megxl.errors import InputError
from megxl.store.entry import StoredRecording

ANNOTATIONS, TRIGGERS, STORED = "annotations", "triggers", "stored"
"""What can be said in place of a file: marks of the recording itself, or what its store knows."""
ALLOWED = (
    "a table with onsets (.tsv, .csv), a .TextGrid, a transcript (.txt) that triggers time, "
    f"{ANNOTATIONS}, {TRIGGERS}, or {STORED} for a recording of a store"
)


def word_reader(options: Mapping[str, Any]) -> Files:
    """Check the options of the `files` corpus that say how words are written (``word_column``, ``trigger_codes``...).

    Raises
    ------
    InputError
        An option or value that there is not.
    """
    strange = sorted(set(options) - Files.word_options)
    if strange:
        raise InputError(
            f"--set {strange[0]}: no option of how words are written; allowed: {', '.join(sorted(Files.word_options))}."
        )
    corpus = corpus_named("files", options)
    assert isinstance(corpus, Files)
    return corpus


def words_of_file(source: str, path: Path, reader: Files) -> WordTable:
    """Read words or bare onsets for a recording that lies in a file.

    Parameters
    ----------
    source : str
        `ALLOWED`.
    path : Path
        The recording; it is opened again where its own marks are asked for.
    reader : Files
        How words are written; knows the montage too.

    Returns
    -------
    WordTable
        In the order of time; the text of a word that nobody told is empty.

    Raises
    ------
    InputError
        No such file, no word in it, times that cannot be right.
    """
    if source == STORED:
        raise InputError(f"--words {STORED} is for a recording of a store; {path.name} is a file: give {ALLOWED}.")
    events = None if source in (ANNOTATIONS, TRIGGERS) else _existing(source)
    found = FoundRecording(
        corpus="files", path=path, root=path.parent, subject=UNKNOWN_SUBJECT, words_path=events, options=reader
    )
    if source == TRIGGERS:
        onsets_s = trigger_onsets(reader.read(found), reader.trigger_channel, reader.trigger_codes)
        table = _bare(onsets_s, "Triggers alone", reader)
    elif events is not None and _has_no_words(events, reader):
        table = _bare(_onsets_of_table(events, reader), f"No column {reader.word_column!r} (word_column)", reader)
    else:
        kind = {ANNOTATIONS: ANNOTATIONS, ".txt": TRIGGERS}.get(source if events is None else events.suffix.lower())
        table = reader.words(replace(found, options=replace(reader, words_kind=kind or reader.words_kind)))
    return _each_once(table)


def words_of_stored(source: str, recording: StoredRecording, reader: Files) -> WordTable:
    """Read words for a recording of a store: those that the store has, or a file of words with times.

    Raises
    ------
    InputError
        The store has none; marks of the recording are asked for, which a store does not keep.
    """
    if source == STORED:
        return WordTable(words=tuple(map(Word.from_row, recording.words)), notes=tuple(recording.word_notes))
    if (
        source in (ANNOTATIONS, TRIGGERS)
        or source.lower().endswith(".txt")
        or reader.words_kind not in ("auto", "table", "textgrid")
    ):
        raise InputError(
            f"{recording.key} lies in a store, which keeps no annotations or triggers: give --words {STORED} for its "
            "own words, a table with onsets, or a .TextGrid."
        )
    return words_of_file(source, recording.folder, reader)


def words_inside(table: WordTable, duration_s: float, name: str) -> WordTable:
    """Refuse words that are no words of a recording of this length; some outside are told in a note.

    Raises
    ------
    InputError
        No word, or none or few inside of the recording.
    """
    if not table:
        raise InputError(f"{name} holds no word of this recording.{' '.join(('', *table.notes))}")
    checked = within(table, duration_s, name)
    if not any(0 <= word.onset_s < duration_s for word in table):
        first_s, last_s = table.words[0].onset_s, table.words[-1].onset_s
        raise InputError(
            f"{name}: all {len(table)} onsets ({first_s:.2f} to {last_s:.2f} s) lie outside the recording of "
            f"{duration_s:.2f} s. They must be seconds after its first sample."
        )
    return checked


def _existing(source: str) -> Path:
    path = Path(source)
    if not path.is_file() and not path.is_symlink():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise InputError(f"--words {source} {what}; allowed: {ALLOWED}.")
    if path.suffix.lower() not in (".tsv", ".csv", ".textgrid", ".txt"):
        raise InputError(f"--words {path.name} has no ending of words; allowed: {ALLOWED}.")
    return path


def _has_no_words(events: Path, reader: Files) -> bool:
    """Whether a table has onsets and no column of words, and triggers are not asked to time it."""
    if events.suffix.lower() not in (".tsv", ".csv") or reader.words_kind not in ("auto", "table"):
        return False
    columns = read_table(events, encoding=reader.encoding).columns
    # a name that was asked for must be there; the usual one may be absent
    return reader.word_column == Files().word_column and reader.word_column not in columns


def _onsets_of_table(events: Path, reader: Files) -> list[float]:
    table = read_table(events, (reader.onset_column,), encoding=reader.encoding).whole()
    onsets = [(line, number(row[reader.onset_column])) for line, row in table.rows]
    wrong = [line for line, onset in onsets if onset is None]
    if wrong:
        raise InputError(
            f"{events.name}, line {wrong[0]}: {reader.onset_column} is no number (so in {len(wrong)} of {len(onsets)} "
            "rows); each row needs the onset of a word."
        )
    return [onset * UNITS[reader.time_unit] for _, onset in onsets if onset is not None]


def _bare(onsets_s: list[float], why: str, reader: Files) -> WordTable:
    """Words of which only the onset is known."""
    note = f"{why}: which words were said is not known, and nothing can be counted as right or wrong."
    words = tuple(Word(text="", onset_s=onset_s) for onset_s in onsets_s)
    return on_one_clock(WordTable(words=words, notes=(note,)), reader.audio_delay_s)


def _each_once(table: WordTable) -> WordTable:
    """Leave out a word that stands twice at the same time."""
    first: dict[tuple[float, str], Word] = {}
    for word in table:
        first.setdefault((word.onset_s, word.text.lower()), word)
    if len(first) == len(table):
        return table
    note = f"{len(table) - len(first)} rows repeat a word at the same time; each is taken once."
    return WordTable(words=tuple(first.values()), notes=(*table.notes, note))
