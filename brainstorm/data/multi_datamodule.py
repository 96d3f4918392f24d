"""Published data module of several corpora (alias); `megxl.data.modules.MultiCorpusDataModule` is ours."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningDataModule
from torch.utils.data import DataLoader, Dataset

from brainstorm.data._blocks import Block
from brainstorm.data._options import loading_options, parameters, refuse_unknown, window_options
from brainstorm.data._published import CACHE
from brainstorm.data.multi_dataset import MultiMEGDataset
from brainstorm.data.samplers import RecordingShuffleSampler, ranks, stack
from brainstorm.data.subsampled_dataset import SubsampledRecordingDataset, check_share
from megxl.errors import InputError


class MultiMEGDataModule(LightningDataModule):
    """Several corpora with the keys of the published configuration. Batches are 5-tuples, the last the corpus's number.

    What is named for validation is never in training, whether the training names are given or not; a corpus without
    validation names is refused, and so is a name without a recording. LibriBrain is validated in `Sherlock1` alone:
    the session of that name of other books stays in training. A corpus has one number in training and validation:
    its place in the list.

    Parameters
    ----------
    datasets_config : sequence of mapping
        ``type``, ``data_root``, filters, validation names, ``validation_only``.
    batch_size, num_workers, pin_memory, persistent_workers
        Of the loaders.
    use_recording_sampler : bool
        Recording by recording, also on several devices; or all segments mixed.
    sampler_seed : int
        Of the order and of the share of recordings.
    recording_subsample_prop : float, optional
        Share of the training recordings.
    shuffle_segments : bool
        In training alone.
    cache_dir, segment_length, l_freq, h_freq, target_sfreq, max_channel_dim, shuffle_segment_duration
        Of the datasets.
    debug_mode : bool
        False; the published one names its own subjects.
    """

    def __init__(
        self,
        datasets_config: Sequence[Mapping[str, Any]],
        *,
        batch_size: int = 1,
        num_workers: int = 0,
        pin_memory: bool = False,
        persistent_workers: bool = False,
        use_recording_sampler: bool = True,
        sampler_seed: int = 42,
        recording_subsample_prop: float | None = None,
        shuffle_segments: bool = False,
        shuffle_segment_duration: float = 3.0,
        cache_dir: str | Path = CACHE,
        segment_length: float = 150.0,
        l_freq: float = 0.1,
        h_freq: float = 40.0,
        target_sfreq: float = 50.0,
        max_channel_dim: int = 306,
        debug_mode: bool = False,
        **unknown: Any,
    ) -> None:
        super().__init__()
        refuse_unknown("MultiMEGDataModule", unknown, parameters(MultiMEGDataModule.__init__))
        if debug_mode:
            raise InputError(
                "debug_mode = True; allowed: False. For a small run, name a few subjects, sessions or runs in "
                "datasets_config."
            )
        if recording_subsample_prop is not None:
            check_share(recording_subsample_prop)
        self.blocks = [Block.of(config) for config in datasets_config]
        if all(block.validation_only for block in self.blocks):
            raise InputError("Every corpus is validation_only: at least one has to be trained on.")
        self.options = window_options(
            cache_dir=cache_dir,
            segment_length=segment_length,
            l_freq=l_freq,
            h_freq=h_freq,
            target_sfreq=target_sfreq,
            max_channel_dim=max_channel_dim,
            shuffle_segment_duration=shuffle_segment_duration,
        )
        self.shuffle_segments = shuffle_segments
        self.use_recording_sampler, self.sampler_seed = use_recording_sampler, sampler_seed
        self.recording_subsample_prop = recording_subsample_prop
        self.loading = loading_options(batch_size, num_workers, pin_memory, persistent_workers, collate)
        self.train_dataset: Dataset | None = None
        self.val_dataset: MultiMEGDataset | None = None

    def setup(self, stage: str | None = None) -> None:
        """Prepare the recordings that are not yet, once."""
        if stage not in ("fit", None) or self.train_dataset is not None:
            return
        numbers = range(len(self.blocks))
        validation = [block.validation(self.options) for block in self.blocks]
        self.val_dataset = MultiMEGDataset(validation, [block.name for block in self.blocks], numbers)
        trained = [number for number in numbers if not self.blocks[number].validation_only]
        options = self.options | {"shuffle_segments": self.shuffle_segments}
        training = [self.blocks[number].training(options) for number in trained]
        train = MultiMEGDataset(training, [self.blocks[number].name for number in trained], trained)
        share = self.recording_subsample_prop
        self.train_dataset = train if share is None else SubsampledRecordingDataset(train, share, self.sampler_seed)

    def train_dataloader(self) -> DataLoader:
        """Recordings in another order every epoch, or all segments mixed."""
        self.setup("fit")
        train: Any = self.train_dataset
        if not self.use_recording_sampler:
            return DataLoader(train, shuffle=True, drop_last=True, **self.loading)
        rank, world_size = ranks(self.trainer)
        sampler = RecordingShuffleSampler(train, self.sampler_seed, rank=rank, world_size=world_size)
        return DataLoader(train, sampler=sampler, drop_last=True, **self.loading)

    def val_dataloader(self) -> DataLoader:
        """Segments of every corpus in order."""
        self.setup("fit")
        assert self.val_dataset is not None
        return DataLoader(self.val_dataset, **self.loading)

    def get_dataset_name_mapping(self) -> dict[int, str]:
        """Name of each corpus by its number."""
        return {number: block.name for number, block in enumerate(self.blocks)}


def collate(items: Sequence[dict[str, Any]]) -> tuple[torch.Tensor, ...]:
    """Signal, sensors, types, masks and corpus numbers side by side."""
    return (*stack(items), torch.tensor([item["dataset_idx"] for item in items]))
