"""Some recordings of a published dataset (alias)."""

from typing import Any

import numpy as np
from torch.utils.data import Dataset

from megxl.errors import InputError


class SubsampledRecordingDataset(Dataset):
    """A random share of the recordings that have a segment, numbered anew; the published draw.

    Parameters
    ----------
    dataset : a published dataset
    recording_subsample_prop : float
        Share of recordings, above 0, up to 1; at least one is kept.
    seed : int
    """

    def __init__(self, dataset: Any, recording_subsample_prop: float, seed: int = 42) -> None:
        check_share(recording_subsample_prop)
        self.dataset = dataset
        known = sorted({recording for recording, _ in dataset.segment_index})
        count = max(1, int(recording_subsample_prop * len(known)))
        drawn = np.random.RandomState(seed).choice(known, count, replace=False)
        number = {recording: place for place, recording in enumerate(sorted(drawn.tolist()))}
        self.indices = [i for i, (recording, _) in enumerate(dataset.segment_index) if recording in number]
        kept = (dataset.segment_index[i] for i in self.indices)
        self.segment_index = [(number[recording], segment) for recording, segment in kept]

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.dataset[self.indices[index]]


def check_share(recording_subsample_prop: float) -> None:
    """Refuse a share that cannot be."""
    if not 0 < recording_subsample_prop <= 1:
        raise InputError(f"recording_subsample_prop = {recording_subsample_prop}; allowed: above 0, up to 1.")
