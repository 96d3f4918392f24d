"""The `bids` corpus: any data set of MEG or EEG in the layout of the Brain Imaging Data Structure."""

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from megxl.corpora.bids_files import DATATYPES, datatype_of, find_bids_recordings
from megxl.corpora.bids_sidecars import apply_channels, apply_electrodes, electrode_files, sidecar
from megxl.corpora.choosing import check_sensors, chosen_sensors, montage_file, place_by_template
from megxl.corpora.corpus import CORPORA, PUBLISHED_NAMES, Corpus, RecordingFile, Word, WordTable
from megxl.corpora.event_words import duration, read_words, seconds, value
from megxl.corpora.simulation import mark_simulated
from megxl.corpora.tables import MissingColumnError, Row, read_table, read_text
from megxl.errors import InputError

if TYPE_CHECKING:
    import mne


@dataclass(frozen=True)
class BIDS(Corpus):
    """Any BIDS data set; words are the rows of its ``events.tsv`` that a rule chooses.

    Parameters
    ----------
    dataset : str
        Short name under which the recordings are stored; two data sets in one store need two names.
    datatype : {"meg", "eeg"}, optional
        None: both, for data sets that have one of them.
    sensors : {"auto", "meg", "mag", "grad", "eeg", "meg+eeg"}, optional
        Which sensors; None: those of the datatype, MEG or else electrodes.
    exclude : sequence of str
        Channels to leave out wherever a recording has them. As text: ``VEOG,HEOG``.
    montage : str, optional
        Positions for recordings in which neither ``electrodes.tsv`` nor the file gives any: a file, or a name that MNE
        knows (``standard_1005``).
    acquisition, processing : str, optional
        Value of ``acq-`` or ``proc-`` in the names of recordings, where there are several versions of each.
    words_column : str, optional
        Column of ``events.tsv`` that holds the text of words; None: no words.
    words_where : mapping of str to str or sequence of str
        Which rows are words: values that a column may have, ``*`` standing for anything. As text:
        ``trial_type:word`` or ``type:word_onset*,word``.
    onset_column, duration_column : str
        Columns of times in seconds.
    sentence_column, story_column : str, optional
        Columns that say to which sentence or story a word belongs; a story has one name in all recordings.
    label_columns : sequence of str
        Columns to keep as labels of words. As text: ``condition,speaker``.
    silences : sequence of str
        Texts that stand for silence, in lower case.
    allow_maxshield : bool
        Take raw MaxShield data as they are.
    """

    name: ClassVar[str] = "bids"
    layout: ClassVar[str] = (
        "Looked for: sub-*/[ses-*/]meg/sub-*_task-*_meg.{fif,fif.gz,ds,con,sqd} and eeg/..._eeg.{set,vhdr,edf,bdf}."
    )

    word_options: ClassVar[frozenset[str]] = frozenset(
        {"words_column", "words_where", "onset_column", "duration_column", "sentence_column", "story_column"}
        | {"label_columns", "silences"}
    )

    later_options: ClassVar[frozenset[str]] = frozenset({"sensors", "exclude", "montage"})

    dataset: str = "bids"
    datatype: str | None = None
    sensors: str | None = None
    exclude: Sequence[str] = ()
    montage: str | None = None
    acquisition: str | None = None
    processing: str | None = None
    words_column: str | None = None
    words_where: Mapping[str, str | Sequence[str]] = field(default_factory=dict, hash=False)
    onset_column: str = "onset"
    duration_column: str = "duration"
    sentence_column: str | None = None
    story_column: str | None = None
    label_columns: Sequence[str] = ()
    silences: Sequence[str] = ("sp", "sil", "silence")
    allow_maxshield: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", self.dataset):
            raise InputError(f"dataset = {self.dataset!r}; allowed: letters, digits, '-' and '_'.")
        if self.dataset != "bids" and self.dataset in (*CORPORA, *PUBLISHED_NAMES):
            raise InputError(f"dataset = {self.dataset!r} is the name of another corpus; choose one of your own.")
        if self.datatype not in (None, *DATATYPES):
            raise InputError(f"datatype = {self.datatype!r}; allowed: {', '.join(DATATYPES)}, or nothing for both.")
        check_sensors(self.sensors)
        if self.words_column is None and self.words_where:
            raise InputError("words_where says which rows are words; words_column must say where their text stands.")
        # recordings of different data sets must not meet in one folder of the store
        object.__setattr__(self, "name", self.dataset)
        object.__setattr__(self, "words_where", _rule(self.words_where))

    def recordings(self, root: str | Path) -> list[RecordingFile]:
        """Find the recordings below the subjects' folders; derivatives, empty rooms and calibrations are none.

        Raises
        ------
        InputError
            Names that differ only by other entities than subject, session, task and run, or by their endings.
        """
        datatypes = (self.datatype,) if self.datatype else DATATYPES
        return find_bids_recordings(
            self.name, Path(root), datatypes, acquisition=self.acquisition, processing=self.processing
        )

    def read(self, file: RecordingFile) -> "mne.io.BaseRaw":
        """Open a recording without reading its samples; bad channels, kinds and positions of electrodes are BIDS'."""
        from megxl.signals.reading import open_recording

        raw = open_recording(file.path, allow_maxshield=self.allow_maxshield)
        notes = apply_channels(raw, sidecar(file, "channels.tsv"))
        if datatype_of(file) == "eeg":
            notes += apply_electrodes(raw, *electrode_files(file))
        notes += place_by_template(raw, self.montage, file.path.name)
        raw.info["temp"]["megxl_notes"] += notes
        return mark_simulated(raw, file.root)

    def channels(self, raw: "mne.io.BaseRaw") -> list[str]:
        """Name the MEG sensors, or electrodes, or what `sensors` asks for."""
        return chosen_sensors(raw, self.sensors or self.datatype, self.exclude)

    def events(self, file: RecordingFile) -> Path | None:
        """Find the recording's ``events.tsv``, which may stand on a higher level."""
        return sidecar(file, "events.tsv")

    def words(self, file: RecordingFile) -> WordTable:
        """Read the words by the rule of the options.

        Raises
        ------
        InputError
            A column that the table does not have, with those that it has.
        """
        if self.words_column is None:
            return WordTable(
                notes=("No words were looked for: say in which column of events.tsv they stand (words_column=...).",)
            )
        table = self.events(file)
        if table is None:
            return WordTable(notes=("There is no events.tsv.",))
        optional = (self.sentence_column, self.story_column)
        columns = (
            self.onset_column,
            self.words_column,
            *self.words_where,
            *filter(None, optional),
            *self.label_columns,
        )
        try:
            words = read_words(table, self._word, columns, self.silences)
        except MissingColumnError as error:
            raise InputError(
                f"{error} Tasks in which no words are told are prepared apart, without words_column."
            ) from error
        return words if words or not self.words_where else self._none_fits(table, words)

    def sources(self, file: RecordingFile) -> list[Path]:
        """Recording, events, channels, electrodes and the file of a montage."""
        others = (sidecar(file, "channels.tsv"), *electrode_files(file), montage_file(self.montage))
        return super().sources(file) + [path for path in others if path is not None]

    def licence_of(self, file: RecordingFile) -> str | None:
        """Say what ``dataset_description.json`` gives as the licence."""
        description = file.root / "dataset_description.json"
        if not description.is_file() and not description.is_symlink():
            return None
        try:
            licence = json.loads(read_text(description)).get("License")
        except (ValueError, AttributeError) as error:
            raise InputError(f"{description.name} is no object in JSON: {error}.") from error
        return licence or None

    def _fits(self, row: Row) -> bool:
        return all(
            any(row[column] == pattern or fnmatchcase(row[column], pattern) for pattern in allowed)
            for column, allowed in self.words_where.items()
        )

    def _none_fits(self, table: Path, words: WordTable) -> WordTable:
        """Say which values there are, if not a single row fits the rule."""
        rows = [row for _, row in read_table(table).rows]
        if any(map(self._fits, rows)):
            return words
        there = []
        for column in self.words_where:
            values = Counter(row[column] for row in rows).most_common(8)
            listed = ", ".join(f"{text!r} ({count})" for text, count in values) or "nothing"
            there.append(f"{column} has {listed}")
        return WordTable(notes=(*words.notes, f"No row fits words_where: {table.name}, {'; '.join(there)}."))

    def _word(self, row: Row) -> Word | None:
        if not self._fits(row):
            return None
        return Word(
            text=row[self.words_column or ""],
            onset_s=seconds(row, self.onset_column),
            duration_s=duration(row, self.duration_column),
            sentence=value(row, self.sentence_column),
            story=value(row, self.story_column),
            labels={column: text for column in self.label_columns if (text := value(row, column)) is not None},
        )


def _rule(where: Mapping[str, str | Sequence[str]]) -> dict[str, tuple[str, ...]]:
    """Bring ``{"trial_type": "word,noun"}`` into the form ``{"trial_type": ("word", "noun")}``."""
    return {
        column: tuple(name.strip() for name in values.split(",")) if isinstance(values, str) else tuple(values)
        for column, values in where.items()
    }
