"""From word groups to items: one read of the spanned signal each, one gather of its word windows.

Letters: C sensors, T samples, W words.
"""

from collections.abc import Iterable
from copy import copy
from dataclasses import replace
from typing import Literal

import numpy as np
import torch

from megxl.data.dataset import Channels, Draw, Item, Layout, StoredItems
from megxl.data.groups import WordGroup, WordGroupSet, tape
from megxl.data.rows import CodeReader
from megxl.data.seeds import seed_of
from megxl.errors import InputError


class WordGroupDataset(StoredItems):
    """Word groups as items. Holds no open file; safe under fork, spawn and forkserver.

    On a tape each word's window is one block of the normalisation (`Batch.normalized` with the window's length), as
    published; a contiguous group is normalised like a window of pre-training.

    Parameters
    ----------
    groups : WordGroupSet
    seed, bads, channels, codes, signal
        As in `StoredItems`.

    Raises
    ------
    InputError
        Neither signal nor codes; codes of another grouping.
    """

    def __init__(
        self,
        groups: WordGroupSet,
        *,
        seed: int,
        bads: Literal["mask", "keep"] = "mask",
        channels: Channels = "file",
        codes: CodeReader | None = None,
        signal: bool = True,
    ) -> None:
        super().__init__(groups.recordings, seed=seed, bads=bads, channels=channels, codes=codes, signal=signal)
        theirs = getattr(codes, "grid", groups.grouping)
        if theirs != groups.grouping:
            raise InputError(f"The codes are those of {theirs}; these groups need those of {groups.grouping}.")
        self.groups = groups

    def __len__(self) -> int:
        return len(self.groups)

    def __getitem__(self, index: int | Draw) -> Item:
        """Read an item; a plain number means epoch 0."""
        item = self.described(index, read=True)
        if item.signal_CT is None or self.groups.grouping.layout == "contiguous":
            return item
        group = self.groups.groups[Draw.of(index, len(self)).index]
        # index_select takes a quarter of the time of signal_CT[:, ...]
        return replace(item, signal_CT=item.signal_CT.index_select(1, torch.from_numpy(tape(group))))

    def described(self, index: int | Draw, *, read: bool = False) -> Item:
        """Make an item without signal and codes; with `read`, with those of all that the group takes."""
        index, epoch, repeated = Draw.of(index, len(self))
        group = self.groups.groups[index]
        key = self.groups.recordings[group.recording].key
        return self.item(
            group.recording,
            group.start,
            group.stop,
            read=read,
            seed=seed_of("group", self.seed, epoch, key, group.number),
            repeated=repeated,
            words=group.texts,
            word_starts_W=torch.from_numpy(word_starts(group, self.groups.grouping.layout)),
        )

    def only(self, indices: Iterable[int]) -> "WordGroupDataset":
        """Keep some of the items, in the order that they have; each is the same as here."""
        kept = copy(self)
        kept.groups = self.groups.part(indices)
        return kept

    @property
    def layout(self) -> Layout:
        """What a sampler needs to know."""
        told = [f"{group.recording} {group.starts} {group.stops} {group.texts}" for group in self.groups]
        return self.layout_of([group.recording for group in self.groups], [str(self.groups.grouping), *told])


def word_starts(group: WordGroup, layout: Literal["tape", "contiguous"]) -> np.ndarray:
    """Sample of the item at which each word's window begins (int64, shape (W,))."""
    starts_W = np.array(group.starts, dtype=np.int64)
    if layout == "contiguous":
        return starts_W - group.start
    lengths_W = np.array(group.stops, dtype=np.int64) - starts_W
    return np.cumsum(lengths_W) - lengths_W
