"""One stored recording: what is known about it, and its signal to read from.

Letters: C sensors, T samples.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from megxl.errors import InputError
from megxl.signals.coils import ELECTRODE
from megxl.signals.sensors import SensorArray
from megxl.store.chunks import SignalFile


@dataclass(frozen=True, kw_only=True)
class RecordingFacts:
    """Which recording this is; None where the corpus has no such level."""

    corpus: str
    subject: str
    session: str | None = None
    task: str | None = None
    run: str | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class StoredRecording:
    """A prepared recording in the store. Holds no open file and can be pickled."""

    key: str
    """Corpus and id: ``armeni/sub-001_ses-001_task-compr``."""
    facts: RecordingFacts
    sensors: SensorArray
    """One sensor a row of the signal."""
    bads: tuple[str, ...]
    """Sensors that should take no part."""
    sfreq_hz: float
    """Samples a second."""
    n_samples: int
    words: Sequence[dict[str, Any]]
    """Plain rows, as the corpus gave them, in the order of time; read when they are first asked for."""
    word_notes: list[str]
    """What was left out of the words."""
    notes: list[str]
    """What a person should know about the recording and its preparation."""
    quality: dict[str, Any]
    """What `megxl.signals.quality.QualityReport.to_json` gave."""
    preparation: dict[str, Any]
    """Settings and versions."""
    source: dict[str, Any]
    """Fingerprints of the files it was made from: ``{"signal": ..., "words": ...}``."""
    provenance: dict[str, Any]
    """What the recording was before; names nobody."""
    licence: str | None
    """Under which the data may be used."""
    megxl: str
    """Version of the package that wrote it."""
    signal: SignalFile

    @property
    def corpus(self) -> str:
        """Name of the corpus."""
        return self.facts.corpus

    @property
    def id(self) -> str:
        """Name within the corpus."""
        return self.key.partition("/")[2]

    @property
    def subject(self) -> str:
        """Subject, as the corpus names it."""
        return self.facts.subject

    @property
    def session(self) -> str | None:
        """Session, if the corpus has them."""
        return self.facts.session

    @property
    def task(self) -> str | None:
        """Task, if the corpus has them."""
        return self.facts.task

    @property
    def run(self) -> str | None:
        """Run, if the corpus has them."""
        return self.facts.run

    @property
    def folder(self) -> Path:
        """Folder of the entry."""
        return self.signal.folder

    @property
    def duration_s(self) -> float:
        """Seconds."""
        return self.n_samples / self.sfreq_hz

    @property
    def reference(self) -> str | None:
        """What electrodes were to be referred to, "average" or "recorded"; None: there are only MEG sensors."""
        if not (self.sensors.kinds_C == ELECTRODE).any():
            return None
        # entries that do not say are older than the choice
        return self.preparation.get("reference", "recorded")

    @property
    def signal_sha256(self) -> str:
        """SHA-256 of the signal's file."""
        return self.signal.facts.sha256

    def read(self, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Read samples. A minute that is touched for the first time by this object is checked against its checksum.

        Parameters
        ----------
        start, stop : int
            First sample, and the sample after the last (by default the end).

        Returns
        -------
        array, shape (C, stop - start), float32
            SI units; a transposed view of what lies on disk.

        Raises
        ------
        Damaged
            The signal is missing or not what was written.
        InputError
            Samples that the recording does not have, or a file that cannot be read.
        """
        stop = self.n_samples if stop is None else stop
        if not 0 <= start <= stop <= self.n_samples:
            raise InputError(f"{self.key} has the samples 0 to {self.n_samples}; {start} to {stop} are asked for.")
        return self.signal.read(start, stop).T

    def check(self) -> None:
        """Raise `Damaged` if the signal is missing or has another size; its content is not read."""
        self.signal.check()

    def verify(self) -> None:
        """Raise `Damaged` if any byte of the signal is not what was written."""
        self.signal.verify()
