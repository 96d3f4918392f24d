"""The signal on disk: a .npy file, time-major, with a checksum for each stretch of a minute.

Letters: C sensors, T samples.

A read opens the file, reads at a position and closes it. That is as fast as a memory map here, and nothing needs care:
no descriptor stays open for a recording, none crosses a fork, and a file that is cut short raises no signal.
"""

import hashlib
import io
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from megxl.errors import InputError
from megxl.store.keys import Damaged

CHUNK_S = 60.0
_DTYPE = np.dtype("<f4")


@dataclass(frozen=True, kw_only=True)
class SignalFacts:
    """What is known about a signal file; it stands in recording.json."""

    file: str
    """Its name, which holds the beginning of its SHA-256."""
    sha256: str
    """Of the whole file."""
    shape: tuple[int, int]
    """Samples, sensors."""
    dtype: str
    """Of its numbers."""
    offset: int
    """Bytes before the first sample."""
    chunk_s: float
    """Seconds in a chunk."""
    chunk_samples: int
    """Samples in a chunk; the last may be shorter."""
    checksums: tuple[str, ...]
    """BLAKE2b (128 bits) of each chunk; the first covers the bytes before the first sample too."""

    def to_json(self) -> dict[str, Any]:
        """Return what JSON holds."""
        return asdict(self)

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> "SignalFacts":
        """Rebuild what `to_json` gave."""
        known: dict[str, Any] = fields | {"shape": tuple(fields["shape"]), "checksums": tuple(fields["checksums"])}
        return cls(**known)

    @property
    def n_bytes(self) -> int:
        """Size of the file."""
        return self.offset + self.shape[0] * self.shape[1] * _DTYPE.itemsize

    def span(self, chunk: int) -> tuple[int, int]:
        """First byte of a chunk, and the byte after its last."""
        step = self.chunk_samples * self.shape[1] * _DTYPE.itemsize
        start = 0 if chunk == 0 else self.offset + chunk * step
        return start, min(self.offset + (chunk + 1) * step, self.n_bytes)


def write_signal(path: Path, signal_CT: np.ndarray, names: Sequence[str], sfreq_hz: float) -> SignalFacts:
    """Write a signal and force it to the disk; memory for one chunk is needed.

    Parameters
    ----------
    path : Path
        Where to put it for now; the result says what it is to be called.
    signal_CT : array, shape (C, T)
        SI units, finite.
    names : sequence of str
        The sensors, for errors.
    sfreq_hz : float
        Samples a second.

    Raises
    ------
    InputError
        A number that is not finite as float32.
    """
    n_sensors, n_samples = signal_CT.shape
    chunk_samples = max(1, round(CHUNK_S * sfreq_hz))
    header = _header((n_samples, n_sensors))
    whole, checksums = hashlib.sha256(header), []
    with path.open("wb") as file:
        file.write(header)
        for start in range(0, n_samples, chunk_samples):
            chunk_TC = np.ascontiguousarray(signal_CT[:, start : start + chunk_samples].T, dtype=_DTYPE)
            _refuse_nonfinite(chunk_TC, names, start, sfreq_hz)
            whole.update(chunk_TC.data)
            checksums.append(_checksum(header if start == 0 else b"", chunk_TC.data))
            file.write(chunk_TC.data)
        file.flush()
        os.fsync(file.fileno())
    return SignalFacts(
        file=f"signal-{whole.hexdigest()[:16]}.npy",
        sha256=whole.hexdigest(),
        shape=(n_samples, n_sensors),
        dtype="float32",
        offset=len(header),
        chunk_s=CHUNK_S,
        chunk_samples=chunk_samples,
        checksums=tuple(checksums),
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class SignalFile:
    """A signal to read from; holds no open file, so it can be pickled, and forked at any time."""

    key: str
    folder: Path
    facts: SignalFacts
    _verified: set[tuple[int, int, int]] = field(default_factory=set, repr=False)
    """Inode, time and chunk: what was read from another or a changed file does not count."""

    def read(self, start: int, stop: int) -> np.ndarray:
        """Read samples; chunks that are touched for the first time are checked whole.

        Returns
        -------
        array, shape (T, C), float32

        Raises
        ------
        Damaged
            The file is missing, has another size, or other content.
        """
        samples = self.facts.chunk_samples
        row_bytes = self.facts.shape[1] * _DTYPE.itemsize
        signal_TC = np.empty((stop - start, self.facts.shape[1]), dtype=_DTYPE)
        with self._opened() as file:
            self._verify(file, range(start // samples, -(-stop // samples)))
            self._fill(file, self.facts.offset + start * row_bytes, signal_TC)
        return signal_TC

    def check(self) -> None:
        """Raise `Damaged` if the file is missing or has another size; its content is not read."""
        with self._opened():
            pass

    def verify(self) -> None:
        """Raise `Damaged` if any byte is not what was written; what was checked before is read again."""
        self._verified.clear()
        with self._opened() as file:
            self._verify(file, range(len(self.facts.checksums)))

    @contextmanager
    def _opened(self) -> Iterator[BinaryIO]:
        try:
            file = (self.folder / self.facts.file).open("rb", buffering=0)
        except FileNotFoundError as error:
            raise Damaged(
                self.key, f"{self.facts.file} is missing (deleted, or made anew since this entry was opened)"
            ) from error
        except OSError as error:
            raise InputError(f"{self.key}: {self.facts.file} cannot be opened ({error.strerror}).") from error
        with file:
            found = os.fstat(file.fileno()).st_size
            if found != self.facts.n_bytes:
                raise Damaged(self.key, f"{self.facts.file} has {found:,} bytes instead of {self.facts.n_bytes:,}")
            yield file

    def _verify(self, file: BinaryIO, chunks: range) -> None:
        status = os.fstat(file.fileno())
        for chunk in chunks:
            seen = (status.st_ino, status.st_mtime_ns, chunk)
            if seen in self._verified:
                continue
            start, stop = self.facts.span(chunk)
            content = np.empty(stop - start, dtype=np.uint8)
            self._fill(file, start, content)
            if _checksum(content.data) != self.facts.checksums[chunk]:
                from_s, to_s = chunk * self.facts.chunk_s, (chunk + 1) * self.facts.chunk_s
                raise Damaged(self.key, f"{self.facts.file} has changed between {from_s:g} and {to_s:g} s")
            self._verified.add(seen)

    def _fill(self, file: BinaryIO, start: int, target: np.ndarray) -> None:
        """Read bytes into an array, from a position on."""
        todo = memoryview(target.reshape(-1).view(np.uint8).data)
        try:
            file.seek(start)
            while todo:
                n_read = file.readinto(todo)  # type: ignore[attr-defined]
                if not n_read:
                    raise Damaged(self.key, f"{self.facts.file} was cut short while it was read")
                todo = todo[n_read:]
        except OSError as error:
            raise InputError(f"{self.key}: {self.facts.file} cannot be read ({error.strerror}).") from error


def _header(shape: tuple[int, int]) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": _DTYPE.str, "fortran_order": False, "shape": shape})
    return buffer.getvalue()


def _checksum(*parts: bytes | memoryview) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


def _refuse_nonfinite(chunk_TC: np.ndarray, names: Sequence[str], start: int, sfreq_hz: float) -> None:
    finite_TC = np.isfinite(chunk_TC)
    if finite_TC.all():
        return
    sample, row = np.argwhere(~finite_TC)[0]
    raise InputError(
        f"Sensor {names[row]!r} holds NaN or infinite numbers, the first at {(start + sample) / sfreq_hz:.3f} s: "
        "nothing is stored that a model cannot take. Mark the sensor bad, or leave it out."
    )
