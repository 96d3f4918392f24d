"""The corpus of Armeni et al.: ten hours of stories a listener."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from megxl.corpora.corpus import Corpus, RecordingFile, Selection, Split, Word, WordTable
from megxl.corpora.event_words import duration, read_words, seconds
from megxl.corpora.layouts import find_recordings
from megxl.corpora.names import beside
from megxl.corpora.tables import Row

if TYPE_CHECKING:
    import mne


@dataclass(frozen=True)
class Armeni(Corpus):
    """Three listeners, ten hours of Sherlock Holmes each, CTF 275 (Armeni et al. 2022)."""

    name: ClassVar[str] = "armeni"
    citation: ClassVar[str] = (
        "Armeni, Güçlü, van Gerven and Schoffelen 2022, A 10-hour within-participant magnetoencephalography narrative "
        "dataset to test models of language comprehension, Scientific Data 9, 278, doi:10.1038/s41597-022-01382-7"
    )
    licence: ClassVar[str] = "Radboud University data use agreement RU-DI-HD-1.0 (on registration: https://data.ru.nl)"
    tasks: ClassVar[tuple[str, ...]] = ("compr",)
    layout: ClassVar[str] = "Looked for: sub-*/ses-*/meg/sub-*_ses-*_task-*_meg.ds."
    splits: ClassVar[Mapping[str, Split]] = {
        "published-validation": Split(
            train=Selection(),
            validation=Selection(sessions=("ses-010",)),
            source="The session that MEG-XL's pre-training was monitored on.",
        ),
        "published-sessions": Split(
            train=Selection(sessions=tuple(f"ses-{number:03d}" for number in range(1, 9))),
            validation=Selection(sessions=("ses-009",)),
            test=Selection(sessions=("ses-010",)),
            source="MEG-XL's word decoding with its session split.",
        ),
    }

    def recordings(self, root: str | Path) -> list[RecordingFile]:
        """Find the recordings; the empty room is none."""
        return find_recordings(self.name, root, "sub-*/ses-*/meg/*_meg.ds", needs=("sub", "ses", "task"))

    def channels(self, raw: "mne.io.BaseRaw") -> list[str]:
        """Name the gradiometers of the helmet; references begin with other letters."""
        return [name for name in super().channels(raw) if name.startswith("M")]

    def events(self, file: RecordingFile) -> Path:
        """Say where the table of words is."""
        return beside(file.path, "_events.tsv")

    def words(self, file: RecordingFile) -> WordTable:
        """Read the words; a story is one of the parts in which the session's story was played (``ses-001/01``)."""
        return read_words(
            self.events(file), lambda row: _word(row, file.session), ("onset", "type", "value"), silences=("sp",)
        )


def _word(row: Row, session: str | None) -> Word | None:
    if not row["type"].startswith("word_onset"):
        return None
    part = row["type"].removeprefix("word_onset").strip("_")
    return Word(
        text=row["value"],
        onset_s=seconds(row, "onset"),
        duration_s=duration(row),
        story=f"{session}/{part}" if part else None,  # parts are numbered anew in each session
    )
