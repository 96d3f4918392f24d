"""Published data module of one corpus (alias); `megxl.data.modules.CorpusDataModule` is ours."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningDataModule
from torch.utils.data import DataLoader

from brainstorm.data._options import loading_options, parameters, refuse_unknown, window_options
from brainstorm.data._published import CACHE, refuse_absent
from brainstorm.data.armeni_dataset import ArmeniMEGDataset
from brainstorm.data.samplers import RecordingShuffleSampler, ranks, stack
from megxl.corpora.corpus import Selection


class ArmeniMEGDataModule(LightningDataModule):
    """Armeni segments; the validation session is left out of training. Batches are 4-tuples without padding.

    Parameters
    ----------
    data_root : path
    val_session : str
    batch_size, num_workers : int
    pin_memory, persistent_workers : bool
    sampler_seed : int
    subjects, sessions, tasks, ...
        As in `ArmeniMEGDataset`; unknown options are refused.
    """

    def __init__(
        self,
        data_root: str | Path,
        *,
        val_session: str = "ses-010",
        subjects: Sequence[str] | None = None,
        sessions: Sequence[str] | None = None,
        tasks: Sequence[str] | None = None,
        batch_size: int = 1,
        num_workers: int = 0,
        pin_memory: bool = False,
        persistent_workers: bool = False,
        sampler_seed: int | None = 42,
        cache_dir: str | Path = CACHE,
        segment_length: float = 150.0,
        l_freq: float = 0.1,
        h_freq: float = 40.0,
        target_sfreq: float = 50.0,
        max_channel_dim: int | None = None,
        **unknown: Any,
    ) -> None:
        super().__init__()
        refuse_unknown("ArmeniMEGDataModule", unknown, parameters(ArmeniMEGDataModule.__init__))
        self.data_root, self.val_session, self.sampler_seed = data_root, val_session, sampler_seed
        self.filters = {"subjects": subjects, "sessions": sessions, "tasks": tasks}
        self.options = window_options(
            cache_dir=cache_dir,
            segment_length=segment_length,
            l_freq=l_freq,
            h_freq=h_freq,
            target_sfreq=target_sfreq,
            max_channel_dim=max_channel_dim,
        )
        self.loading = loading_options(batch_size, num_workers, pin_memory, persistent_workers, stack)
        self.train_dataset: ArmeniMEGDataset | None = None
        self.val_dataset: ArmeniMEGDataset | None = None

    def setup(self, stage: str | None = None) -> None:
        """Prepare the recordings that are not yet, once."""
        if stage in ("fit", None) and self.train_dataset is None:
            validation = self.filters | {"sessions": [self.val_session]}
            refuse_absent("armeni", self.data_root, validation, "sessions", "armeni: val_session")
            self.val_dataset = ArmeniMEGDataset(self.data_root, **validation, **self.options)
            without = Selection(sessions=(self.val_session,))
            self.train_dataset = ArmeniMEGDataset(self.data_root, **self.filters, without=without, **self.options)

    def train_dataloader(self) -> DataLoader:
        """Recordings in another order every epoch."""
        self.setup("fit")
        assert self.train_dataset is not None
        rank, world_size = ranks(self.trainer)
        sampler = RecordingShuffleSampler(self.train_dataset, self.sampler_seed, rank=rank, world_size=world_size)
        return DataLoader(self.train_dataset, sampler=sampler, drop_last=True, **self.loading)

    def val_dataloader(self) -> DataLoader:
        """Segments in order."""
        self.setup("fit")
        assert self.val_dataset is not None
        return DataLoader(self.val_dataset, **self.loading)
