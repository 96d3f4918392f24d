"""The SMN4Lang corpus (OpenNeuro ds004078): six hours of Chinese stories a listener."""

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from megxl.corpora.corpus import Corpus, RecordingFile, Selection, Split, Word, WordTable
from megxl.corpora.event_words import seconds
from megxl.corpora.layouts import find_recordings
from megxl.corpora.names import beside
from megxl.corpora.simulation import mark_simulated
from megxl.corpora.tables import clean, read_table
from megxl.errors import InputError

if TYPE_CHECKING:
    import mne

SCANNER_LEAD_S = 10.65
"""Seconds from the start of an fMRI scan to that of its sound (8 of blank screen, 2.65 of instruction).

The README of ds004078 says that they were added to the times of all words, to align them with the scans.
"""
# how far the last word may end from the story's marked end before a note asks to look: a chosen value
_END_TOLERANCE_S = 2.0


@dataclass(frozen=True)
class SMN4Lang(Corpus):
    """Twelve listeners to sixty stories, Neuromag 306 (Wang et al. 2022).

    Parameters
    ----------
    allow_maxshield : bool
        Take raw MaxShield data as they are.
    """

    name: ClassVar[str] = "smn4lang"
    citation: ClassVar[str] = (
        "Wang, Zhang, Zhang and Zong 2022, A synchronized multimodal neuroimaging dataset for studying brain language "
        "processing, Scientific Data 9, 590, doi:10.1038/s41597-022-01708-5; OpenNeuro ds004078"
    )
    licence: ClassVar[str] = "CC0"
    tasks: ClassVar[tuple[str, ...]] = ("RDR",)
    layout: ClassVar[str] = "Looked for: sub-*/meg/sub-*_task-*_run-*_meg.fif."
    splits: ClassVar[Mapping[str, Split]] = {
        "published-validation": Split(
            train=Selection(),
            validation=Selection(runs=tuple(f"run-{number}" for number in range(56, 61))),
            source="The runs that MEG-XL's pre-training was monitored on; here they are left out of training.",
        )
    }

    allow_maxshield: bool = False

    def recordings(self, root: str | Path) -> list[RecordingFile]:
        """Find the raw recordings; those below derivatives are others."""
        return find_recordings(self.name, root, "sub-*/meg/*_meg.fif", needs=("sub", "task", "run"))

    def read(self, file: RecordingFile) -> "mne.io.BaseRaw":
        """Open a recording without reading its samples."""
        from megxl.signals.reading import open_recording

        return mark_simulated(open_recording(file.path, allow_maxshield=self.allow_maxshield), file.root)

    def events(self, file: RecordingFile) -> Path:
        """Say where the table is that marks the beginning and end of the story."""
        return beside(file.path, "_events.tsv")

    def words(self, file: RecordingFile) -> WordTable:
        """Read the words of the run's story (run-7 is story 7) and place them after the mark of its beginning."""
        times, marks = _alignment(file), self.events(file)
        missing = [path.name for path in (times, marks) if not path.is_file()]
        if missing:
            return WordTable(notes=(f"The words need {' and '.join(missing)}, missing.",))
        begin_s, end_s = _marks(marks)
        words, n_punctuation = _story(times, begin_s - SCANNER_LEAD_S, f"story {(file.run or '').removeprefix('run-')}")
        notes = []
        if n_punctuation:
            total = len(words) + n_punctuation
            notes.append(f"{n_punctuation} of {total} rows of words left out, punctuation: {times.name}.")
        last_s = max((word.onset_s + (word.duration_s or 0.0) for word in words), default=end_s)
        if abs(last_s - end_s) > _END_TOLERANCE_S:
            notes.append(
                f"{marks.name} marks the story's end {end_s - last_s:.1f} s after its last word: look at both."
            )
        return WordTable(words=tuple(sorted(words, key=lambda word: word.onset_s)), notes=tuple(notes))

    def sources(self, file: RecordingFile) -> list[Path]:
        """Recording, marks and times of words."""
        times = _alignment(file)
        return super().sources(file) + ([times] if times.is_file() else [])


def _alignment(file: RecordingFile) -> Path:
    folder = file.root / "derivatives" / "annotations" / "time_align" / "word-level"
    return folder / f"story_{(file.run or '').removeprefix('run-')}_word_time.mat"


def _marks(path: Path) -> tuple[float, float]:
    """Beginning and end of the story, in seconds of the recording."""
    rows = [row for _, row in read_table(path, ("onset", "trial_type")).rows]
    onsets = {name: [seconds(row, "onset") for row in rows if row["trial_type"] == name] for name in ("Beg", "End")}
    for name, found in onsets.items():
        if len(found) != 1:
            raise InputError(f"{path.name} has {len(found)} rows of trial_type {name!r}; one story has one of them.")
    return onsets["Beg"][0], onsets["End"][0]


def _story(path: Path, shift_s: float, story: str) -> tuple[list[Word], int]:
    """Words of a file of ``start``, ``end`` and ``word``, and the number of punctuation marks among them."""
    from scipy.io import loadmat

    try:
        table = loadmat(path)
        starts_W, ends_W = (np.asarray(table[name], dtype=np.float64).ravel() for name in ("start", "end"))
        texts = [clean(str(np.asarray(text).item())) for text in np.ravel(table["word"])]
        rows = list(zip(texts, starts_W, ends_W, strict=True))
    except (ValueError, KeyError, TypeError, OSError, NotImplementedError) as error:
        raise InputError(f"{path.name} holds no 'start', 'end' and 'word' of equal length ({error}).") from error
    words = [
        Word(
            text=text,
            onset_s=float(start + shift_s),
            duration_s=float(end - start),
            sentence=None,
            story=story,
        )
        for text, start, end in rows
        if not _is_punctuation(text)
    ]
    return words, len(rows) - len(words)


def _is_punctuation(text: str) -> bool:
    return all(unicodedata.category(letter).startswith(("P", "S", "Z")) for letter in text)
