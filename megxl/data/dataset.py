"""From windows to items: one read of the store each, and every choice a pure function of (seed, epoch, recording).

Letters: C sensors, T samples (or tokens, of codes), Q levels, W words, D width of features, N items.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from torch import Tensor
from torch.utils.data import Dataset

from megxl.data.channels import ChannelOrder
from megxl.data.rows import CodeReader, RowReader
from megxl.data.seeds import seed_of
from megxl.data.windows import WindowSet
from megxl.errors import InputError
from megxl.signals.sensors import SensorArray
from megxl.store.entry import StoredRecording

Channels = Literal["file", "canonical"] | Mapping[str, ChannelOrder]
"""Rows as in the files, in one order a corpus, or in given ones."""


class Draw(NamedTuple):
    """What a batch sampler asks a dataset for."""

    index: int
    epoch: int
    """To which the item's random choices belong."""
    repeated: bool = False
    """Whether the item was in this epoch before, on this rank or another."""

    @classmethod
    def of(cls, index: "int | Draw", n_items: int) -> "Draw":
        """Understand what a dataset of some items is asked for; a plain number means epoch 0."""
        draw = index if isinstance(index, Draw) else cls(int(index), 0)
        if not 0 <= draw.index < n_items:
            raise IndexError(f"item {draw.index} of {n_items}")
        return draw


@dataclass(frozen=True, kw_only=True, eq=False)
class Item:
    """One window or word group of one recording.

    Parameters
    ----------
    signal_CT : Tensor of float32, optional
        Prepared signal in SI units, not yet normalised.
    codes_CTQ : Tensor of uint8 or int32, optional
        Its codes.
    sensors : SensorArray
        Of the rows.
    sensor_mask_C : Tensor of bool, optional
        False where a sensor is bad or missing; None: all are good.
    sfreq_hz : float
    corpus, key : str
        Whence.
    start_s, stop_s : float
        Where in the prepared recording.
    seed : int
        For what chance does to this item in this epoch (masks).
    repeated : bool
        Whether the item was in this epoch before (`Draw.repeated`).
    words : tuple of str, optional
    word_starts_W : Tensor of int64, optional
        Sample of the item at which each word's window begins.
    features_WCD : Tensor of floats, optional
        Features of the words that were computed before.
    """

    signal_CT: Tensor | None
    codes_CTQ: Tensor | None = None
    sensors: SensorArray
    sensor_mask_C: Tensor | None = None
    sfreq_hz: float
    corpus: str
    key: str
    start_s: float
    stop_s: float
    seed: int
    repeated: bool = False
    words: tuple[str, ...] | None = None
    word_starts_W: Tensor | None = None
    features_WCD: Tensor | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Layout:
    """What a sampler needs to know of a dataset.

    Parameters
    ----------
    recording_N : array of int
        Recording of each item; the items of a recording stand together, in the order of time.
    sensors_N : array of int
        Sensors of each item.
    fingerprint : str
        Changes when the items do, or their rows and masks.
    """

    recording_N: np.ndarray
    sensors_N: np.ndarray
    fingerprint: str


class StoredItems(Dataset):
    """What windows and word groups share: how stored samples and codes become an item.

    Parameters
    ----------
    recordings : sequence of StoredRecording
    seed : int
        Of the training; with the epoch it decides what chance decides.
    bads, channels
        As in `RowReader`.
    codes : CodeReader, optional
        Where the items' cached codes are.
    signal : bool
        Whether items hold the signal; without it `codes` is needed.

    Raises
    ------
    InputError
        Neither signal nor codes.
    """

    def __init__(
        self,
        recordings: Sequence[StoredRecording],
        *,
        seed: int,
        bads: Literal["mask", "keep"],
        channels: Channels,
        codes: CodeReader | None,
        signal: bool,
    ) -> None:
        if codes is None and not signal:
            raise InputError("An item without a signal needs codes: give codes=..., or signal=True.")
        self.seed = seed
        self.rows = RowReader(recordings, bads=bads, channels=channels)
        self._codes = codes
        self._signal = signal

    def item(self, recording: int, start: int, stop: int, *, read: bool = True, **more: Any) -> Item:
        """Read the samples from `start` to `stop` of a recording as an item; `more` are its other fields.

        Without `read`, the item has neither signal nor codes, and no file is looked at.
        """
        stored = self.rows.recordings[recording]
        sensors, mask_C = self.rows.sensors(recording)
        codes = self._codes if read else None
        return Item(
            signal_CT=self.rows.signal(recording, start, stop) if self._signal and read else None,
            codes_CTQ=None if codes is None else self.rows.codes(codes, recording, start, stop),
            sensors=sensors,
            sensor_mask_C=mask_C,
            sfreq_hz=stored.sfreq_hz,
            corpus=stored.corpus,
            key=stored.key,
            start_s=start / stored.sfreq_hz,
            stop_s=stop / stored.sfreq_hz,
            **more,
        )

    def layout_of(self, recordings: Sequence[int], told: Sequence[str]) -> Layout:
        """Say what a sampler needs to know of items of these recordings; `told` is what else decides about them."""
        counts_R = [self.rows.n_sensors(recording) for recording in range(len(self.rows.recordings))]
        stored = [f"{r.key} {r.n_samples} {r.signal_sha256}" for r in self.rows.recordings]
        recording_N = np.array(recordings, dtype=np.int64)
        return Layout(
            recording_N=recording_N,
            sensors_N=np.array(counts_R, dtype=np.int64)[recording_N],
            fingerprint=hashlib.sha256("\n".join([self.rows.identity, *stored, *told]).encode()).hexdigest()[:16],
        )


class WindowDataset(StoredItems):
    """Windows of recordings as items. Holds no open file; safe under fork, spawn and forkserver.

    Parameters
    ----------
    windows : WindowSet
    jitter : bool
        Shift the windows of each recording in every epoch (`WindowSet.shifted`).
    seed, bads, channels, codes, signal
        As in `StoredItems`.

    Raises
    ------
    InputError
        Neither signal nor codes; codes of shifted windows, which nobody cached.
    """

    def __init__(
        self,
        windows: WindowSet,
        *,
        seed: int,
        jitter: bool = False,
        bads: Literal["mask", "keep"] = "mask",
        channels: Channels = "file",
        codes: CodeReader | None = None,
        signal: bool = True,
    ) -> None:
        if codes is not None and jitter:
            raise InputError("Codes are cached for windows that stay in place: choose jitter=False, or no codes.")
        super().__init__(windows.recordings, seed=seed, bads=bads, channels=channels, codes=codes, signal=signal)
        self.windows = windows
        self.jitter = jitter

    def __len__(self) -> int:
        return len(self.windows)

    def __getitem__(self, index: int | Draw) -> Item:
        """Read an item; a plain number means epoch 0."""
        index, epoch, repeated = Draw.of(index, len(self))
        fixed = self.windows.windows[index]
        window = self.windows.shifted(index, seed=self.seed, epoch=epoch) if self.jitter else fixed
        key = self.windows.recordings[window.recording].key
        seed = seed_of("item", self.seed, epoch, key, fixed.start)
        return self.item(window.recording, window.start, window.stop, seed=seed, repeated=repeated)

    @property
    def layout(self) -> Layout:
        """What a sampler needs to know."""
        told = [f"windows of {self.windows.window_samples}, jitter {self.jitter}"]
        return self.layout_of([window.recording for window in self.windows.windows], told)
