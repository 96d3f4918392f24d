"""From a dataset and a sampler to a loader of batches, with workers that start in any way and an order that resumes."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any, Literal

from torch.utils.data import DataLoader, Dataset

from megxl.data.batch import Batch, collate
from megxl.data.dataset import Item
from megxl.data.sampling import RecordingBatchSampler

StartMethod = Literal["fork", "spawn", "forkserver"]


class RecordingLoader(DataLoader[Batch]):
    """A `DataLoader` that says where it is (`state_dict`) and asks its sampler for the order when it is first read.

    Training engines make the iterator before they tell the epoch; workers that fetch ahead would then read the order
    of the epoch before.
    """

    batch_sampler: RecordingBatchSampler
    count: Callable[[], dict[str, Any]]
    """Says where the training is; whoever trains knows it, not the loader, whose workers read ahead."""
    starting: Callable[[], AbstractContextManager[None]] = staticmethod(nullcontext)
    """Within what this makes, workers start: they inherit what holds there, such as signals that are held back."""

    def __iter__(self) -> Iterator[Batch]:
        """Read the batches that the sampler has left in its epoch; nothing is fetched before the first is asked for."""
        with self.starting():
            batches = super().__iter__()
        yield from batches

    def state_dict(self) -> dict[str, Any]:
        """Say where the training is in the order of batches."""
        return self.count()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where `state_dict` was taken."""
        self.batch_sampler.load_state_dict(state)


def make_loader(
    dataset: Dataset,
    sampler: RecordingBatchSampler,
    corpus_ids: Mapping[str, int],
    *,
    sensors: int | None = None,
    num_workers: int = 0,
    persistent: bool = True,
    prefetch: int = 2,
    pin_memory: bool = False,
    start_method: StartMethod | None = None,
    count: Callable[[], dict[str, Any]] | None = None,
) -> RecordingLoader:
    """Make a loader of batches.

    Parameters
    ----------
    dataset : Dataset
        Of items (`WindowDataset`, word groups); takes draws.
    sampler : RecordingBatchSampler
        Made for the dataset's layout.
    corpus_ids : mapping
        Number of each corpus (`megxl.data.batch.corpus_ids`).
    sensors : int, optional
        Fill every batch up to so many sensors (`Batch.padded`).
    num_workers : int
        Processes that read ahead. 0: none.
    persistent : bool
        Whether they stay from epoch to epoch.
    prefetch : int
        Batches that each of them reads ahead.
    pin_memory : bool
        Lay batches into page-locked memory, for a GPU.
    start_method : str, optional
        How workers start; the platform's way by default.
    count : callable, optional
        Gives the sampler's state by the batches that were trained on; by default what
        `RecordingBatchSampler.advance` counted.
    """
    loader = RecordingLoader(
        dataset,
        batch_sampler=sampler,
        collate_fn=partial(_collated, corpus_ids=dict(corpus_ids), sensors=sensors),
        num_workers=num_workers,
        persistent_workers=persistent and num_workers > 0,
        prefetch_factor=prefetch if num_workers else None,
        pin_memory=pin_memory,
        multiprocessing_context=start_method if num_workers else None,
    )
    loader.count = count or sampler.state_dict
    return loader


def _collated(items: Sequence[Item], corpus_ids: Mapping[str, int], sensors: int | None) -> Batch:
    batch = collate(items, corpus_ids)
    return batch if sensors is None else batch.padded(sensors)
