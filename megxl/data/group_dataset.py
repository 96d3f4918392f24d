"""From word groups to items: one read of the spanned signal each, one gather of its word windows.

Letters: C sensors, T samples, W words.
"""

import hashlib
from collections.abc import Mapping
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from megxl.data.channels import ChannelOrder
from megxl.data.dataset import Draw, Item, Layout
from megxl.data.groups import WordGroup, WordGroupSet, tape
from megxl.data.rows import CodeReader, RowReader
from megxl.data.seeds import seed_of
from megxl.errors import InputError


class WordGroupDataset(Dataset):
    """Word groups as items. Holds no open file; safe under fork, spawn and forkserver.

    On a tape each word's window is one block of the normalisation (`Batch.normalized` with the window's length), as
    published; a contiguous group is normalised like a window of pre-training.

    Parameters
    ----------
    groups : WordGroupSet
    seed : int
        Of the training; with the epoch it decides the items' seeds.
    bads, channels
        As in `RowReader`.
    codes : CodeReader, optional
        Where the groups' cached codes are.
    signal : bool
        Whether items hold the signal; without it `codes` is needed.
    """

    def __init__(
        self,
        groups: WordGroupSet,
        *,
        seed: int,
        bads: Literal["mask", "keep"] = "mask",
        channels: Literal["file", "canonical"] | Mapping[str, ChannelOrder] = "file",
        codes: CodeReader | None = None,
        signal: bool = True,
    ) -> None:
        if codes is None and not signal:
            raise InputError("An item without a signal needs codes: give codes=..., or signal=True.")
        theirs = getattr(codes, "grid", groups.grouping)
        if theirs != groups.grouping:
            raise InputError(f"The codes are those of {theirs}; these groups need those of {groups.grouping}.")
        self.groups = groups
        self.seed = seed
        self.rows = RowReader(groups.recordings, bads=bads, channels=channels)
        self._codes = codes
        self._signal = signal

    def __len__(self) -> int:
        return len(self.groups)

    def __getitem__(self, index: int | Draw) -> Item:
        """Read an item; a plain number means epoch 0."""
        index, epoch, repeated = Draw.of(index, len(self))
        group = self.groups.groups[index]
        stored = self.groups.recordings[group.recording]
        sensors, mask_C = self.rows.sensors(group.recording)
        place = group.recording, group.start, group.stop
        return Item(
            signal_CT=self._gathered(group) if self._signal else None,
            codes_CTQ=None if self._codes is None else self.rows.codes(self._codes, *place),
            sensors=sensors,
            sensor_mask_C=mask_C,
            sfreq_hz=stored.sfreq_hz,
            corpus=stored.corpus,
            key=stored.key,
            start_s=group.start / stored.sfreq_hz,
            stop_s=group.stop / stored.sfreq_hz,
            seed=seed_of("group", self.seed, epoch, stored.key, group.number),
            repeated=repeated,
            words=group.texts,
            word_starts_W=torch.from_numpy(word_starts(group, self.groups.grouping.layout)),
        )

    def _gathered(self, group: WordGroup) -> Tensor:
        signal_CT = self.rows.signal(group.recording, group.start, group.stop)
        if self.groups.grouping.layout == "contiguous":
            return signal_CT
        return signal_CT.index_select(1, torch.from_numpy(tape(group)))  # a quarter of the time of signal_CT[:, ...]

    @property
    def layout(self) -> Layout:
        """What a sampler needs to know."""
        recordings = [group.recording for group in self.groups]
        counts_R = [self.rows.n_sensors(recording) for recording in range(len(self.groups.recordings))]
        told = [str(self.groups.grouping), self.rows.identity]
        told += [f"{r.key} {r.n_samples} {r.signal_sha256}" for r in self.groups.recordings]
        told += [f"{group.recording} {group.starts} {group.stops} {group.texts}" for group in self.groups]
        return Layout(
            recording_N=np.array(recordings, dtype=np.int64),
            sensors_N=np.array(counts_R, dtype=np.int64)[recordings],
            fingerprint=hashlib.sha256("\n".join(told).encode()).hexdigest()[:16],
        )


def word_starts(group: WordGroup, layout: Literal["tape", "contiguous"]) -> np.ndarray:
    """Sample of the item at which each word's window begins (int64, shape (W,))."""
    starts_W = np.array(group.starts, dtype=np.int64)
    if layout == "contiguous":
        return starts_W - group.start
    lengths_W = np.array(group.stops, dtype=np.int64) - starts_W
    return np.cumsum(lengths_W) - lengths_W
