"""A corpus of very short recordings in real FIF files, with a table of words, for tests of what is done to a corpus."""

import os
import signal
from dataclasses import dataclass
from pathlib import Path

import mne
import numpy as np
from mne._fiff.constants import FIFF

from megxl.corpora.corpus import Corpus, RecordingFile, Word, WordTable
from megxl.corpora.layouts import find_recordings
from megxl.corpora.names import beside
from tests.small import short_recording


@dataclass(frozen=True)
class Small(Corpus):
    """FIF files side by side: sub-01_task-rest_meg.fif and sub-01_task-rest_events.tsv."""

    name = "small"
    licence = "CC0"
    layout = "Looked for: sub-*_meg.fif."
    later_s: float = 0.0

    def recordings(self, root) -> list[RecordingFile]:
        return find_recordings(self.name, root, "sub-*_meg.fif")

    def events(self, file: RecordingFile) -> Path:
        return beside(file.path, "_events.tsv")

    def words(self, file: RecordingFile) -> WordTable:
        if not self.events(file).exists():
            return WordTable(notes=("There is no table.",))
        rows = [line.split("\t") for line in self.events(file).read_text().splitlines()]
        return WordTable(words=tuple(Word(text=text, onset_s=float(onset) + self.later_s) for onset, text in rows))


@dataclass(frozen=True)
class Electrodes(Small):
    """The same signals, said to be those of electrodes."""

    def read(self, file: RecordingFile):
        raw = super().read(file)
        for channel in raw.info["chs"]:
            channel.update(kind=FIFF.FIFFV_EEG_CH, coil_type=FIFF.FIFFV_COIL_EEG, unit=FIFF.FIFF_UNIT_V)
        return raw


@dataclass(frozen=True)
class NeverRead(Small):
    """Fails when a recording is read."""

    def read(self, file: RecordingFile):
        raise AssertionError("this recording need not be read")


@dataclass(frozen=True)
class Deadly(Small):
    """Reading sub-02 ends the process, as the system does when memory is short."""

    def read(self, file: RecordingFile):
        if file.subject == "sub-02":
            os.kill(os.getpid(), signal.SIGKILL)
        return super().read(file)


@dataclass(frozen=True)
class Growing(Small):
    """A recording to which somebody still writes while it is read."""

    def read(self, file: RecordingFile):
        raw = super().read(file)
        with file.path.open("ab") as more:
            more.write(b"more")
        return raw


def make_small(root: Path, subjects: int = 3, seconds: float = 2.0) -> Path:
    """Write recordings of different content, each with two words."""
    root.mkdir(parents=True, exist_ok=True)
    for number in range(1, subjects + 1):
        raw = short_recording(seconds=2.0, n_triplets=2).copy()
        raw = mne.concatenate_raws([raw.copy() for _ in range(round(seconds / 2.0))], verbose="ERROR")
        raw = mne.io.RawArray(raw.get_data() * (1 + 0.1 * number), raw.info, verbose="ERROR")
        raw.save(root / f"sub-{number:02d}_task-rest_meg.fif", verbose="ERROR", overwrite=True)
        (root / f"sub-{number:02d}_task-rest_events.tsv").write_text("0.5\tone\n1.0\ttwo\n")
    return root


def spoil(path: Path, how: str) -> None:
    """Do to a file what happens to files."""
    content = bytearray(path.read_bytes())
    if how == "deleted":
        path.unlink()
        return
    if how == "truncated":
        content = content[: len(content) // 2]
    elif how == "flipped":
        content[2 * len(content) // 3] ^= 1
    elif how == "emptied":
        content = bytearray()
    path.write_bytes(content)


def bytes_of(folder: Path) -> dict[str, bytes]:
    """Every visible file below a folder."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    names = {path: path.relative_to(folder).as_posix() for path in files}
    return {name: path.read_bytes() for path, name in names.items() if not name.startswith(".")}


def with_nan(path: Path) -> str:
    """Put one NaN into a recording; return the sensor's name."""
    raw = mne.io.read_raw_fif(path, preload=True, verbose="ERROR")
    raw._data[1, 100] = np.nan
    raw.save(path, overwrite=True, verbose="ERROR")
    return raw.ch_names[1]
