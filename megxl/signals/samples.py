"""The samples of a recording, a few channels at a time over its whole length, though its file is read only once.

Letters: C sensors, T samples, K channels of one block.
"""

import shutil
import tempfile
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import mne
import numpy as np

from megxl.errors import InputError
from megxl.signals.messages import refusal_of_system, repeatable

BLOCK_BYTES = 256 * 2**20
BLOCK_CHANNELS = 32
CHUNK_BYTES = 64 * 2**20

_Reader = Callable[[slice], np.ndarray]


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
        with _space_for(raw, len(picks)) as file:
            try:
                _copy_in_time_order(raw, picks, file)
            except RuntimeWarning:
                yield from_recording
            else:
                # mapped afresh each time: pages of a long-lived map would count as this process's memory
                yield lambda rows: np.array(np.load(file, mmap_mode="r")[rows])


@contextmanager
def _space_for(raw: mne.io.BaseRaw, channels: int) -> Iterator[Path]:
    """Name a file in a temporary folder that has enough space for the samples of so many channels."""
    place = tempfile.gettempdir()
    needed, free = 8 * channels * raw.n_times, shutil.disk_usage(place).free
    if needed > free:
        raise InputError(
            f"{channels} channels of {raw.n_times / raw.info['sfreq'] / 60:.0f} min need {needed / 1e9:.1f} GB on disk "
            f"while they are prepared, and {place} has {free / 1e9:.1f} GB free. Make space, or name another folder in "
            "the environment variable TMPDIR."
        )
    with tempfile.TemporaryDirectory(prefix="megxl-") as folder:
        yield Path(folder, "samples.npy")


def _copy_in_time_order(raw: mne.io.BaseRaw, picks: np.ndarray, file: Path) -> None:
    """Copy the samples piece by piece; RuntimeWarning if MNE reads these channels right only over the whole length."""
    np.lib.format.open_memmap(file, mode="w+", dtype=np.float64, shape=(len(picks), int(raw.n_times)))
    # all channels count: readers take them apart even where few are picked
    samples = max(1, CHUNK_BYTES // (8 * len(raw.ch_names)))
    with warnings.catch_warnings():
        # EDF, BDF, GDF: channels of a lower rate are brought to the highest one, wrongly at the edges of each piece
        warnings.filterwarnings("error", ".*mixed sampling frequencies", RuntimeWarning)
        for start in range(0, raw.n_times, samples):
            stop = min(start + samples, raw.n_times)
            np.load(file, mmap_mode="r+")[:, start:stop] = _read(raw, picks, start, stop)


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
