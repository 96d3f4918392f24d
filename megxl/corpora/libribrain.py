"""The LibriBrain corpus: more than fifty hours of one listener."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from megxl.corpora.corpus import Corpus, RecordingFile, Selection, Split, Word, WordTable
from megxl.corpora.event_words import duration, read_words, seconds, value
from megxl.corpora.layouts import find_recordings, in_order
from megxl.corpora.simulation import mark_simulated
from megxl.corpora.tables import Row

if TYPE_CHECKING:
    import mne

SENSORS = "meg_sensors_information.json"
_LAYOUTS = ("serialized/*/derivatives/serialised/*_meg.h5", "*/derivatives/serialised/*_meg.h5")


def _run(session: str, run: str = "run-2") -> Selection:
    return Selection(subjects=("sub-0",), sessions=(session,), tasks=("Sherlock1",), runs=(run,))


@dataclass(frozen=True)
class LibriBrain(Corpus):
    """One listener to all of Sherlock Holmes, Neuromag 306, cleaned and at 250 Hz (Özdogan et al. 2025).

    Sessions are numbered anew in each book, so a recording's name needs its task (the book).
    """

    name: ClassVar[str] = "libribrain"
    citation: ClassVar[str] = (
        "Özdogan, Landau, Elvers, Jayalath, Somaiya, Mantegna, Woolrich and Parker Jones 2025, LibriBrain: Over 50 "
        "hours of within-subject MEG to improve speech decoding methods at scale, arXiv:2506.02098"
    )
    licence: ClassVar[str] = "CC BY-NC 4.0"
    layout: ClassVar[str] = (
        "Looked for: BOOK/derivatives/serialised/sub-*_ses-*_task-BOOK_run-*_*_meg.h5, also below serialized/."
    )
    splits: ClassVar[Mapping[str, Split]] = {
        "official": Split(
            train=Selection(),
            validation=_run("ses-11"),
            test=_run("ses-12"),
            source="pnpl 0.2.0, datasets/libribrain2025/remote_constants.py: VALIDATION_RUN_KEYS, TEST_RUN_KEYS.",
        ),
        "published-validation": Split(
            train=Selection(),
            validation=Selection(sessions=("ses-2",), tasks=("Sherlock1",)),
            source="MEG-XL's pre-training, which leaves ses-2 of the other books out of training as well.",
        ),
        "published-sessions": Split(
            train=Selection(sessions=tuple(f"ses-{number}" for number in range(1, 9))),
            validation=Selection(sessions=("ses-9",)),
            test=Selection(sessions=("ses-10",)),
            source="MEG-XL's word decoding with its session split, in all books.",
        ),
    }

    def recordings(self, root: str | Path) -> list[RecordingFile]:
        """Find the recordings in the published layout and in that of the public release."""
        needs = ("sub", "ses", "task", "run")
        return in_order(file for layout in _LAYOUTS for file in find_recordings(self.name, root, layout, needs))

    def read(self, file: RecordingFile) -> "mne.io.BaseRaw":
        """Open a recording without reading its samples; positions are those of the corpus's list, or Neuromag's own."""
        from megxl.corpora.hdf5 import RawLibriBrain, read_sensors

        return mark_simulated(RawLibriBrain(file.path, read_sensors(file.root / SENSORS)), file.root)

    def channels(self, raw: "mne.io.BaseRaw") -> list[str]:
        """Name the MEG sensors."""
        return [name for name in super().channels(raw) if name.startswith("MEG")]

    def events(self, file: RecordingFile) -> Path:
        """Say where the table of words is."""
        stem = file.path.name.partition("_proc-")[0].removesuffix("_meg.h5")
        return file.path.parents[1] / "events" / f"{stem}_events.tsv"

    def words(self, file: RecordingFile) -> WordTable:
        """Read the words with their sentences; a story is a sound file of its book (``Sherlock1/FILE``)."""
        return read_words(
            self.events(file), lambda row: _word(row, file.task), ("kind", "segment", "timemeg"), silences=("silence",)
        )

    def sources(self, file: RecordingFile) -> list[Path]:
        """Recording, words and the list of sensors."""
        sensors = file.root / SENSORS
        return super().sources(file) + ([sensors] if sensors.is_file() else [])


def _word(row: Row, book: str | None) -> Word | None:
    if row["kind"] != "word":
        return None
    return Word(
        text=row["segment"],
        onset_s=seconds(row, "timemeg"),
        duration_s=duration(row),
        sentence=value(row, "sentenceidx"),
        story=f"{book}/{sound}" if (sound := value(row, "wavfile")) else None,
    )
