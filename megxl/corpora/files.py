"""The `files` corpus: any recordings that MNE reads, with words from a table, TextGrid, annotations or triggers.

Its root is a folder that is searched for recordings, with their words beside them under the same name; or a table
(`recordings.tsv`) with one row a recording, whose columns say where everything lies.
"""

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from megxl.corpora.choosing import check_sensors, chosen_sensors, montage_file
from megxl.corpora.collector import SILENCES
from megxl.corpora.corpus import UNKNOWN_SUBJECT, Corpus, RecordingFile, Selection, WordTable
from megxl.corpora.folders import ENDINGS, LEVELS, WORD_ENDINGS, is_recording, levels_of, stem, words_beside
from megxl.corpora.layouts import in_order
from megxl.corpora.names import entity
from megxl.corpora.parts import parts_of
from megxl.corpora.tables import Row, read_table
from megxl.corpora.transcript_words import (
    UNITS,
    Columns,
    on_one_clock,
    read_transcript,
    words_of_table,
    words_of_textgrid,
)
from megxl.corpora.trigger_words import trigger_onsets, words_after_triggers, words_at_triggers, words_of_annotations
from megxl.errors import InputError

if TYPE_CHECKING:
    import mne

logger = logging.getLogger("megxl")

_CHOICES = {
    "words_kind": ("auto", "table", "textgrid", "annotations", "triggers", "none"),
    "trigger_marks": ("word", "audio"),
    "time_unit": tuple(UNITS),
}


@dataclass(frozen=True, kw_only=True)
class FoundRecording(RecordingFile):
    """A recording with its own words file and its own options: a row of a table may differ from the others."""

    words_path: Path | None = None
    options: "Files"


@dataclass(frozen=True, kw_only=True)
class Files(Corpus):
    """Any recordings that MNE reads, with their words.

    A table of recordings may have a column for each of these options but `sensors` and `exclude`, which then holds for
    that row.

    Parameters
    ----------
    words_kind : {"auto", "table", "textgrid", "annotations", "triggers", "none"}
        Where words come from. "auto": from the .tsv, .csv or .TextGrid beside the recording, if there is one.
    onset_column, duration_column, word_column, segment_column : str
        Columns of a table of words; `segment_column` tells audio files or chapters apart (see `trigger_marks`).
    time_unit : {"s", "ms"}
        Of the times in a table of words.
    tier : str
        Tier of a TextGrid; ``*`` stands for anything.
    annotation_pattern : str
        Annotations that are words; the ``*`` stands for the word.
    trigger_channel : str, optional
        None: the only trigger channel of the recording, or its annotations if it has none, as in BrainVision, EDF+
        and EEGLAB; "annotations": these in any case.
    trigger_codes : sequence of str
        Values that count; empty: all. As text: "1,2". Of annotations, their descriptions or the numbers that these end
        in: "1" is ``Stimulus/S  1``.
    trigger_marks : {"word", "audio"}
        What a trigger says: "word": the next word of the transcript (.txt, or the word column of a table) begins;
        "audio": the next audio file begins, and the table or TextGrid times its words from there.
    audio_delay_s : float
        Seconds, added to all onsets: what the sound took from the trigger, or from the start of the audio file, to
        the ear. `megxl check-words` shows whether it fits.
    silences : sequence of str, optional
        Texts that stand for silence; upper and lower case are the same. None: what aligners write (sp, sil, silence,
        <sil>, <eps>), but nothing in a transcript that triggers time. As text: "sp,pause", or "," if every text is a
        word.
    encoding : str
        Of tables and transcripts.
    sensors : {"auto", "meg", "mag", "grad", "eeg", "meg+eeg"}, optional
        Which sensors of all recordings; None: MEG, or else electrodes.
    exclude : sequence of str
        Channels to leave out wherever a recording has them. As text: "VEOG,HEOG".
    montage : str, optional
        Electrode positions: a file, or a name that MNE knows.
    allow_maxshield : bool
        Take raw MaxShield data as they are.
    data_licence : str, optional
        Under which the recordings may be used; recorded in the store.
    """

    name: ClassVar[str] = "files"
    layout: ClassVar[str] = (
        f"Recordings end in {', '.join(ENDINGS)}; "
        "the words of story.fif are looked for in story.tsv, .csv or .TextGrid."
    )

    word_options: ClassVar[frozenset[str]] = frozenset(
        {"words_kind", "onset_column", "duration_column", "word_column", "segment_column", "time_unit", "tier"}
        | {
            "annotation_pattern",
            "trigger_channel",
            "trigger_codes",
            "trigger_marks",
            "audio_delay_s",
            "encoding",
            "silences",
        }
    )

    later_options: ClassVar[frozenset[str]] = frozenset({"sensors", "exclude"})

    words_kind: str = "auto"
    onset_column: str = "onset"
    duration_column: str = "duration"
    word_column: str = "word"
    segment_column: str = "segment"
    time_unit: str = "s"
    tier: str = "words"
    annotation_pattern: str = "word/*"
    trigger_channel: str | None = None
    trigger_codes: Sequence[str] = ()
    trigger_marks: str = "word"
    audio_delay_s: float = 0.0
    silences: Sequence[str] | None = None
    encoding: str = "utf-8"
    sensors: str | None = None
    exclude: Sequence[str] = ()
    montage: str | None = None
    allow_maxshield: bool = False
    data_licence: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_sensors(self.sensors)
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise InputError(f"{name} = {getattr(self, name)!r}; allowed: {', '.join(choices)}.")
        if not abs(self.audio_delay_s) < 60.0:
            raise InputError(
                f"audio_delay_s = {self.audio_delay_s:g}; allowed: less than a minute. Is it in milliseconds?"
            )

    def select(self, root: str | Path, selection: Selection | None = None) -> list[RecordingFile]:
        """Find recordings below a folder, or those of a table, and keep those of a selection."""
        root = Path(root)
        if not root.is_file():
            return super().select(root, selection)
        return (selection or Selection()).of(self.recordings(root))

    def recordings(self, root: str | Path) -> list[RecordingFile]:
        """Find the recordings below a folder by their endings, or list those of a table (.tsv or .csv)."""
        root = Path(root)
        found = self._listed_in(root) if root.is_file() else self._found_below(root)
        unknown = [file.path.name for file in found if file.subject == UNKNOWN_SUBJECT]
        if unknown:
            logger.warning(
                "%s: nothing tells who was measured in %d of %d recordings (first: %s); they count as one subject. "
                "Put each person's into a folder, or give a table with the columns recording and subject.",
                self.name,
                len(unknown),
                len(found),
                unknown[0],
            )
        return found

    def read(self, file: RecordingFile) -> "mne.io.BaseRaw":
        """Open a recording without reading its samples."""
        from megxl.signals.reading import open_recording

        options = _own(file).options
        return open_recording(file.path, allow_maxshield=options.allow_maxshield, montage=options.montage)

    def channels(self, raw: "mne.io.BaseRaw") -> list[str]:
        """Name the MEG sensors, or electrodes, or what `sensors` asks for."""
        return chosen_sensors(raw, self.sensors, self.exclude)

    def words(self, file: RecordingFile) -> WordTable:
        """Read the words of a recording, in its own time.

        Raises
        ------
        InputError
            Words that were asked for and are not there, or cannot be right; it says how to mend it.
        """
        own = _own(file)
        kind = own.options.words_kind
        if kind == "auto":
            kind = _kind_of(own.words_path)
        if kind == "none":
            return WordTable(notes=(f"No table or TextGrid lies beside the recording: {file.path.name} has no words.",))
        return on_one_clock(own.options._read_words(own, kind), own.options.audio_delay_s)

    def events(self, file: RecordingFile) -> Path | None:
        """Say which file holds the words."""
        return _own(file).words_path

    def sources(self, file: RecordingFile) -> list[Path]:
        """Recording, words and the file of electrode positions."""
        montage = montage_file(_own(file).options.montage)
        return super().sources(file) + ([montage] if montage else [])

    def options_of(self, file: RecordingFile) -> dict[str, Any]:
        """Options of the recording's row in a table of recordings, or else the corpus's own."""
        return asdict(_own(file).options)

    def licence_of(self, file: RecordingFile) -> str | None:
        """Say under which licence a recording may be used, if it was told."""
        return _own(file).options.data_licence

    def _read_words(self, file: "FoundRecording", kind: str) -> WordTable:
        silences = SILENCES if self.silences is None else self.silences
        if kind == "annotations":
            return words_of_annotations(self.read(file), self.annotation_pattern, silences)
        path = file.words_path
        if path is None:
            raise InputError(
                f"{file.path.name}: no words lie beside it (words_kind={kind}); looked for "
                f"{', '.join(stem(file.path) + ending for ending in WORD_ENDINGS)}."
            )
        if kind == "textgrid":
            return words_of_textgrid(path, self.tier, silences)
        if kind == "table":
            columns = Columns(
                onset=self.onset_column,
                duration=self.duration_column,
                word=self.word_column,
                segment=self.segment_column,
            )
            return words_of_table(path, columns, unit=self.time_unit, encoding=self.encoding, silences=silences)
        onsets_s = trigger_onsets(self.read(file), self.trigger_channel, self.trigger_codes)
        if self.trigger_marks == "word":
            texts = read_transcript(path, self.word_column, self.encoding)
            return words_at_triggers(texts, onsets_s, path.name, self.silences or ())
        return words_after_triggers(self._read_words(file, _kind_of(path)), onsets_s, path.name)

    def _found_below(self, root: Path) -> list[RecordingFile]:
        paths = sorted(path for path in root.rglob("*") if is_recording(path, root))
        later = {part for path in paths for part in parts_of(path)[1:]}
        return in_order(self._found(root, path) for path in paths if path not in later)

    def _listed_in(self, table: Path) -> list[RecordingFile]:
        row_of: dict[str, int] = {}
        found = []
        for number, row in self._rows(table):
            file = self._listed(table, number, row)
            if (other := row_of.setdefault(file.id, number)) != number:
                raise InputError(
                    f"{table.name}: rows {other} and {number} would both be stored as {file.key}; give them different "
                    "subjects, sessions, tasks or runs."
                )
            found.append(file)
        return found

    def _rows(self, path: Path) -> Sequence[tuple[int, Row]]:
        table = read_table(path, ("recording",), encoding=self.encoding).whole()
        # sensors are chosen for all recordings alike
        known = {"recording", "words", *LEVELS, *(option.name for option in fields(self))} - {"sensors", "exclude"}
        if unknown := [column for column in table.columns if column and column not in known]:
            raise InputError(
                f"{path.name} has the column {unknown[0]!r}, which means nothing here; "
                f"allowed: {', '.join(sorted(known))}."
            )
        return table.rows

    def _listed(self, table: Path, number: int, row: Mapping[str, str]) -> FoundRecording:
        cells = {column: cell.strip() for column, cell in row.items() if column and cell.strip() not in ("", "n/a")}
        place = table.parent
        path = place / cells.pop("recording", "")
        if path == place or not (path.exists() or path.is_symlink()):
            raise InputError(f"{table.name}, row {number}: there is no recording {row['recording']!r} below {place}.")
        words_path = place / cells.pop("words") if "words" in cells else None
        if words_path is not None and not words_path.is_file():
            raise InputError(f"{table.name}, row {number}: there is no file {row['words']!r} below {place}.")
        levels: dict[str, Any] = {level: cells.pop(level) for level in LEVELS if level in cells}
        for level, name in levels.items():
            if not re.fullmatch(r"\w[\w.-]*", name):
                raise InputError(
                    f"{table.name}, row {number}: {level} = {name!r}; allowed: letters, digits, '.', '_' and '-'."
                )
        options: Any = cells
        try:
            own = replace(self, **options)
        except InputError as error:
            raise InputError(f"{table.name}, row {number}: {error}") from error
        found = own._found(place, path)
        if entity(path.name, "sub") is None:  # an empty cell says that there is no such level
            levels = {level: None for level in ("session", "task", "run") if level in row} | levels
        return replace(found, words_path=words_path or found.words_path, **levels)

    def _found(self, root: Path, path: Path) -> FoundRecording:
        levels: Any = levels_of(path, root)
        return FoundRecording(
            corpus=self.name, path=path, root=root, words_path=words_beside(path), options=self, **levels
        )


def _own(file: RecordingFile) -> FoundRecording:
    if not isinstance(file, FoundRecording):
        raise InputError(f"{file.path.name}: ask the corpus for its recordings; this one does not know its words.")
    return file


def _kind_of(words: Path | None) -> str:
    if words is None:
        return "none"
    if words.suffix == ".txt":
        raise InputError(f"{words.name} has no times: use words_kind=triggers, or a table with onsets.")
    return "textgrid" if words.suffix.lower() == ".textgrid" else "table"
