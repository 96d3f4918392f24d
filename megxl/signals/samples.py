"""The samples of a recording, a few channels at a time over its whole length, though its file is read only once.

Letters: C sensors, T samples, K channels of one block.
"""

import io
import os
import shutil
import tempfile
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import mne
import numpy as np

from megxl.errors import InputError
from megxl.signals.messages import refusal_of_system, repeatable

BLOCK_BYTES = 256 * 2**20
BLOCK_CHANNELS = 32
# larger arrays are given back to the system and asked for again, page by page, at every piece
CHUNK_BYTES = 16 * 2**20

_Reader = Callable[[slice], np.ndarray]


class MixedRatesError(Exception):
    """MNE reads these channels right only over the whole length at once."""


def read_blocks(raw: mne.io.BaseRaw, names: Sequence[str]) -> Generator[tuple[Sequence[str], np.ndarray], None, None]:
    """Hand out the samples of the named channels, block by block.

    A recording that is in memory is taken from there, one of up to `BLOCK_BYTES` is read whole. The samples of a
    longer one are first copied, in the order of time, into a temporary file that goes with this iterator.

    Parameters
    ----------
    raw : mne.io.BaseRaw
        The recording; left as it is.
    names : sequence of str
        The channels, in order.

    Yields
    ------
    names : sequence of str
        At most `BLOCK_CHANNELS` of them, one if it takes `BLOCK_BYTES`.
    data_KT : array, shape (K, T)
        float64, exactly what MNE reads; the caller's own.

    Raises
    ------
    InputError
        Samples that cannot be read, no space for the temporary file.
    """
    picks = picks_of(raw.info, names)
    size = max(1, min(BLOCK_CHANNELS, BLOCK_BYTES // (8 * max(1, raw.n_times))))
    with _reader(raw, picks) as read:
        for start in range(0, len(names), size):
            rows = slice(start, start + size)
            yield names[rows], read(rows)


def picks_of(info: mne.Info, names: Sequence[str]) -> np.ndarray:
    """Return the numbers of the named channels."""
    rows = {name: row for row, name in enumerate(info.ch_names)}
    return np.array([rows[name] for name in names])


def in_time_order(raw: mne.io.BaseRaw, picks: np.ndarray) -> Generator[np.ndarray, None, None]:
    """Read the picked channels piece by piece; the next piece is read while the caller works on this one.

    Parameters
    ----------
    raw : mne.io.BaseRaw
        The recording; left as it is.
    picks : array of int
        Numbers of the channels.

    Yields
    ------
    data_CT : array, shape (C, any)
        float64, whole seconds as far as `CHUNK_BYTES` allow; the caller's own.

    Raises
    ------
    InputError
        Samples that cannot be read.
    MixedRatesError
        EDF, BDF, GDF: channels of a lower rate are brought to the highest one, wrongly at the edges of each piece.
    """
    # all channels count: readers take them apart even where few are picked
    samples = max(1, CHUNK_BYTES // (8 * len(raw.ch_names)))
    second = max(1, round(raw.info["sfreq"]))
    samples = max(samples // second * second, min(samples, second))

    def piece(start: int) -> np.ndarray:
        with warnings.catch_warnings():
            warnings.filterwarnings("error", ".*mixed sampling frequencies", RuntimeWarning)
            try:
                return _read(raw, picks, start, min(start + samples, raw.n_times))
            except RuntimeWarning as warning:
                raise MixedRatesError(str(warning)) from warning

    with ThreadPoolExecutor(max_workers=1) as reader:
        ahead = reader.submit(piece, 0)
        for start in range(samples, raw.n_times, samples):
            data_CT = ahead.result()
            ahead = reader.submit(piece, start)
            yield data_CT
        yield ahead.result()


class Scratch:
    """Samples by channel that are written in the order of time: in memory, or in a file that `scratch` takes away.

    The file holds piece after piece, read and written without a map: mapped pages would count as this process's memory.
    """

    def __init__(self, channels: int, samples: int, file: io.FileIO | None) -> None:
        self._file = file
        self._signal_CT = np.empty((channels, samples if file is None else 0))
        self._shape = (channels, samples)
        self._edges = [0]

    def append(self, signal_CT: np.ndarray) -> None:
        """Write what follows."""
        start, stop = self._edges[-1], self._edges[-1] + signal_CT.shape[1]
        self._edges.append(stop)
        if self._file is None:
            self._signal_CT[:, start:stop] = signal_CT
        else:
            self._write(signal_CT.astype(np.float64).ravel().view(np.uint8).data, self._file)

    def _write(self, data: memoryview, file: io.FileIO) -> None:
        try:
            while len(data):  # the system may take a part
                data = data[file.write(data) :]
        except OSError as error:
            raise InputError(
                f"The temporary file in {tempfile.gettempdir()} cannot be written, the operating system says "
                f"{os.strerror(error.errno or 0)!r}. Make space, or name another folder in the environment variable "
                "TMPDIR."
            ) from error

    def rows(self, rows: slice) -> np.ndarray:
        """Read some channels over the whole length; the caller's own."""
        if self._file is None:
            return self._signal_CT[rows].copy()
        channels, samples = self._shape
        first, stop, _ = rows.indices(channels)
        signal_KT = np.empty((stop - first, samples))
        for start, end in pairwise(self._edges):
            wanted = 8 * (stop - first) * (end - start)
            offset = 8 * (channels * start + first * (end - start))
            # threads share the file: each read names its place
            part = np.frombuffer(os.pread(self._file.fileno(), wanted, offset))
            signal_KT[:, start:end] = part.reshape(stop - first, end - start)
        return signal_KT


@contextmanager
def scratch(channels: int, samples: int, duration_s: float) -> Iterator[Scratch]:
    """Make room for so many samples of so many channels: in memory up to `BLOCK_BYTES`, else in a temporary file."""
    if 8 * channels * samples <= BLOCK_BYTES:
        yield Scratch(channels, samples, None)
        return
    place = tempfile.gettempdir()
    needed, free = 8 * channels * samples, shutil.disk_usage(place).free
    if needed > free:
        raise InputError(
            f"{channels} channels of {duration_s / 60:.0f} min need {needed / 1e9:.1f} GB on disk "
            f"while they are prepared, and {place} has {free / 1e9:.1f} GB free. Make space, or name another folder in "
            "the environment variable TMPDIR."
        )
    with (
        tempfile.TemporaryDirectory(prefix="megxl-") as folder,
        Path(folder, "samples").open("wb+", buffering=0) as file,
    ):
        yield Scratch(channels, samples, file)


@contextmanager
def _reader(raw: mne.io.BaseRaw, picks: np.ndarray) -> Iterator[_Reader]:
    """Give the fastest way to the samples of some of the picked channels over the whole length."""

    def from_recording(rows: slice) -> np.ndarray:
        return _read(raw, picks[rows])

    if raw.preload:
        yield from_recording
    elif 8 * len(picks) * raw.n_times <= BLOCK_BYTES:
        signal_CT = _read(raw, picks)
        yield lambda rows: signal_CT[rows]
    else:
        with scratch(len(picks), raw.n_times, raw.n_times / raw.info["sfreq"]) as copy:
            try:
                for data_CT in in_time_order(raw, picks):
                    copy.append(data_CT)
            except MixedRatesError:
                yield from_recording
            else:
                yield copy.rows


def _read(raw: mne.io.BaseRaw, picks: np.ndarray, start: int = 0, stop: int | None = None) -> np.ndarray:
    try:
        return np.asarray(raw.get_data(picks=picks, start=start, stop=stop))
    except RuntimeWarning:
        raise
    except Exception as error:  # readers trust the header; samples that are not there make them stumble anyhow
        file = next((name.name for name in raw.filenames if name is not None), "the recording")
        raise InputError(
            refusal_of_system(error, file)
            or f"The samples of {file} cannot be read, it may have been cut short: {repeatable(error)}"
        ) from error
