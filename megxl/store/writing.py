"""Write an entry so that it is whole or not there at all, whatever ends the writer.

Order: signal under a hidden name, recording.json under a hidden name, signal to its name, recording.json to its name
(the commit), then what the entry does not name goes.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from megxl import __version__
from megxl.errors import InputError
from megxl.store.chunks import SignalFile, write_signal
from megxl.store.entry import RecordingFacts, StoredRecording
from megxl.store.keys import Damaged, refused_to_write, split_key
from megxl.store.record import HIDDEN_RECORDING, RECORDING, commit, read_recording, sync, write_hidden
from megxl.store.sources import Fingerprint

if TYPE_CHECKING:
    from megxl.signals.preparation import PreparedRecording

_HIDDEN_SIGNAL = ".signal.npy.partial"


@dataclass(frozen=True)
class EntryWriter:
    """Writes one entry; comes from `Store.writing`, which holds its lock."""

    key: str
    folder: Path

    def write(
        self,
        prepared: "PreparedRecording",
        *,
        facts: RecordingFacts,
        words: Iterable[Mapping[str, Any]] = (),
        word_notes: Iterable[str] = (),
        source: Mapping[str, Fingerprint],
        licence: str | None = None,
        preparation: Mapping[str, Any] | None = None,
    ) -> StoredRecording:
        """Put a recording into the store, in the place of an older one.

        Parameters
        ----------
        prepared : PreparedRecording
            Signal, sensors, notes, quality, provenance.
        facts : RecordingFacts
            Which recording it is.
        words : iterable of mapping
            Plain rows, in the order of time.
        word_notes : iterable of str
            What was left out of the words.
        source : mapping
            ``{"signal": fingerprint(...), "words": fingerprint(...)}``, taken before the files were read.
        licence : str, optional
            Of the data.
        preparation : mapping, optional
            What decided about the signal besides ``prepared.provenance["preparation"]``, for `Store.stale`.

        Raises
        ------
        InputError
            A signal that is empty, does not fit its sensors or is not finite; rows that JSON does not hold.
        StoreFull
            No space is left, or the store can only be read.
        """
        _refuse_unfit(self.key, prepared, facts)
        provenance = dict(prepared.provenance)
        settings = provenance.pop("preparation", {}) | dict(preparation or {})
        with _writable(self.key):
            self.folder.mkdir(parents=True, exist_ok=True)
            signal = write_signal(
                self.folder / _HIDDEN_SIGNAL, prepared.signal_CT, prepared.sensors.names, prepared.sfreq_hz
            )
        recording = StoredRecording(
            key=self.key,
            facts=facts,
            sensors=prepared.sensors,
            bads=tuple(prepared.bads),
            sfreq_hz=float(prepared.sfreq_hz),
            n_samples=prepared.signal_CT.shape[1],
            words=[dict(word) for word in words],
            word_notes=list(word_notes),
            notes=list(prepared.notes),
            quality=prepared.quality.to_json(),
            preparation=settings,
            source=_known_parts(source),
            provenance=provenance,
            licence=licence,
            megxl=__version__,
            signal=SignalFile(key=self.key, folder=self.folder, facts=signal),
        )
        with _writable(self.key):
            write_hidden(recording)
            (self.folder / _HIDDEN_SIGNAL).replace(self.folder / signal.file)
            sync(self.folder)
            commit(self.folder)
        return read_recording(self.folder, self.key)

    def rewrite(
        self,
        *,
        words: Iterable[Mapping[str, Any]] | None = None,
        word_notes: Iterable[str] | None = None,
        source: Mapping[str, Fingerprint] | None = None,
        preparation: Mapping[str, Any] | None = None,
    ) -> StoredRecording:
        """Change what is said about a stored recording without touching its signal; None leaves it as it is.

        Parameters
        ----------
        words, word_notes : iterable, optional
            As in `write`.
        source : mapping, optional
            New fingerprints of "signal", "words" or both.
        preparation : mapping, optional
            Settings that take the place of those of the same name.

        Raises
        ------
        Damaged
            There is no such entry, or it is damaged.
        """
        recording = read_recording(self.folder, self.key)
        recording = replace(
            recording,
            words=recording.words if words is None else [dict(word) for word in words],
            word_notes=recording.word_notes if word_notes is None else list(word_notes),
            source=recording.source | _known_parts(source or {}),
            preparation=recording.preparation | dict(preparation or {}),
        )
        with _writable(self.key):
            write_hidden(recording)
            commit(self.folder)
        return read_recording(self.folder, self.key)


def sweep_entry(folder: Path, key: str) -> list[Path]:
    """Remove what killed writers left in an entry; its lock must be held.

    Signals that recording.json does not name go, unless recording.json is missing or unreadable: such an entry is
    damaged and stays to be seen, until it is written again or removed.

    Returns
    -------
    list of Path
        What was removed.
    """
    named = _named(folder, key)
    orphans = [path for path in _signals(folder) if path.name not in named]
    # the hidden recording.json goes last: it tells that a signal beside it was never committed
    gone = [path for path in (*orphans, folder / _HIDDEN_SIGNAL, folder / HIDDEN_RECORDING) if path.exists()]
    for path in gone:
        path.unlink()
    with suppress(OSError):
        folder.rmdir()  # if nothing is left in it
    return gone


def is_entry(folder: Path) -> bool:
    """Say whether a folder holds an entry, whole or damaged; what was never committed is none."""
    if (folder / RECORDING).exists():
        return True
    if not (_signals(folder) or (folder / "codes").exists()) or (folder / HIDDEN_RECORDING).exists():
        return False
    # a signal without recording.json: it was lost, or was put in place since the first look
    return (folder / RECORDING).exists() or bool(_signals(folder) or (folder / "codes").exists())


@contextmanager
def _writable(key: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise refused_to_write(key, error) from error


def _signals(folder: Path) -> list[Path]:
    return sorted(folder.glob("signal-*.npy"))


def _named(folder: Path, key: str) -> set[str]:
    """Names of the signals to keep."""
    if not (folder / RECORDING).exists() and (folder / HIDDEN_RECORDING).exists():
        return set()
    try:
        return {read_recording(folder, key).signal.facts.file}
    except Damaged:
        return {path.name for path in _signals(folder)}


def _known_parts(source: Mapping[str, Fingerprint]) -> dict[str, Fingerprint]:
    unknown = set(source) - {"signal", "words"}
    if unknown:
        raise InputError(f"source has the parts {', '.join(sorted(unknown))}; allowed: signal, words.")
    return dict(source)


def _refuse_unfit(key: str, prepared: "PreparedRecording", facts: RecordingFacts) -> None:
    corpus, _ = split_key(key)
    if facts.corpus != corpus:
        raise InputError(f"{key}: the recording belongs to the corpus {facts.corpus!r}.")
    shape = prepared.signal_CT.shape
    if len(shape) != 2 or shape[0] != len(prepared.sensors):
        raise InputError(f"{key}: a signal of the shape {shape} does not fit {len(prepared.sensors)} sensors.")
    if shape[1] == 0:
        raise InputError(f"{key}: the recording has no samples.")
