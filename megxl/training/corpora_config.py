"""What the configurations of runs that train on windows of whole corpora share: the corpora, and windows in a batch."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from megxl.errors import InputError
from megxl.training.blocks import CorpusBlock, block_of
from megxl.training.run_config import RunConfig
from megxl.training.sections import (
    CheckpointConfig,
    LoggingConfig,
    RecordingsConfig,
    TrainerConfig,
    TrainingConfig,
)

if TYPE_CHECKING:
    from typing import Self


@dataclass(frozen=True, kw_only=True)
class CorporaConfig(RunConfig):
    """A run that trains on windows of the recordings of one corpus or more.

    Raises
    ------
    InputError
        A value of a wrong type, out of its range, or against another; it is named by its dotted key.
    """

    may_change: ClassVar[tuple[str, ...]] = (
        "run", "resume", "overwrite", "logging.", "checkpoint.",
        "training.num_epochs", "training.max_steps", "training.num_workers", "training.pin_memory",
        "training.persistent_workers", "data.prepare_workers", "data.cache_dir",
        "trainer.accelerator", "trainer.devices", "trainer.num_nodes", "trainer.strategy", "trainer.val_check_interval",
    )  # fmt: skip
    # devices may change as long as their number fits the order of batches, which says so

    datasets_config: tuple[CorpusBlock, ...]
    """The corpora."""
    data: RecordingsConfig = field(default_factory=RecordingsConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    logging: LoggingConfig = field(default_factory=LoggingConfig)
    checkpoint: CheckpointConfig = field(default_factory=CheckpointConfig)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)

    def __post_init__(self) -> None:
        super().__post_init__()
        names = [self.corpus_name(block) for block in self.datasets_config]
        for index, name in enumerate(names):
            if name in names[:index]:
                raise InputError(
                    f"datasets_config.{index}.type = {self.datasets_config[index].type!r}; allowed: each corpus once "
                    f"({name} is datasets_config.{names.index(name)} already)."
                )
        if not names or all(block.validation_only for block in self.datasets_config):
            raise InputError(
                "datasets_config names no corpus to train on; allowed: at least one without validation_only."
            )
        _ = self.batch_size

    @staticmethod
    def corpus_name(block: CorpusBlock) -> str:
        """Name by which two blocks of one corpus are told."""
        from megxl.corpora.corpus import PUBLISHED_NAMES

        dataset = block.options.get("dataset")
        return str(dataset) if block.type == "bids" and dataset else PUBLISHED_NAMES.get(block.type, block.type)

    @property
    def usual_dir(self) -> Path:
        """Where the run lies unless a folder is named."""
        return Path(self.checkpoint.save_dir) / self.logging.experiment_name

    @property
    def batch_size(self) -> int:
        """Windows in a batch of one device."""
        seconds, window_s = self.training.batch_seconds, self.data.segment_length
        if seconds is None:
            return self.training.batch_size
        windows = round(seconds / window_s)
        if windows < 1 or abs(windows * window_s - seconds) > 1e-6 * seconds:
            raise InputError(
                f"training.batch_seconds = {seconds:g} is no multiple of data.segment_length = {window_s:g}; allowed: "
                f"{max(1, windows) * window_s:g}, for example."
            )
        return windows

    @classmethod
    def from_dict(cls, mapping: Mapping[str, Any]) -> "Self":
        """Read a configuration.

        Raises
        ------
        InputError
            An unknown key, with the nearest known one; what construction refuses.
        """
        blocks = mapping.get("datasets_config", ())
        if not isinstance(blocks, list | tuple):
            raise InputError(f"datasets_config = {blocks!r}; allowed: a list of corpora.")
        made = tuple(block_of(block, f"datasets_config.{index}") for index, block in enumerate(blocks))
        return super().from_dict({**mapping, "datasets_config": made})
