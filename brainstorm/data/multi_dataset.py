"""Several published datasets as one (alias)."""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

from torch.utils.data import Dataset

from brainstorm.data._published import PublishedDataset


class MultiMEGDataset(Dataset):
    """Segments of several corpora, one corpus after the other; recordings are numbered through.

    Parameters
    ----------
    datasets : sequence of published datasets
    dataset_names : sequence of str, optional
        By default the names of their corpora.
    dataset_ids : sequence of int, optional
        Number of each in `dataset_idx`; by default its place.
    """

    def __init__(
        self,
        datasets: Sequence[PublishedDataset],
        dataset_names: Sequence[str] | None = None,
        dataset_ids: Sequence[int] | None = None,
    ) -> None:
        self.datasets = list(datasets)
        self.dataset_names = list(dataset_names or [dataset.corpus for dataset in datasets])
        self.dataset_ids = list(range(len(self.datasets)) if dataset_ids is None else dataset_ids)
        self.cumulative_recordings = [0, *accumulate(len(dataset.recordings) for dataset in self.datasets)]
        self._first = [0, *accumulate(map(len, self.datasets))]
        self.segment_index = [
            (recording + offset, segment)
            for dataset, offset in zip(self.datasets, self.cumulative_recordings, strict=False)
            for recording, segment in dataset.segment_index
        ]

    def __len__(self) -> int:
        return len(self.segment_index)

    def __getitem__(self, index: int) -> dict[str, Any]:
        index = range(len(self))[index]
        place = bisect_right(self._first, index) - 1
        named = {"dataset_idx": self.dataset_ids[place], "dataset_name": self.dataset_names[place]}
        return self.datasets[place][index - self._first[place]] | named
