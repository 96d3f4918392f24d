"""The configuration of a pre-training run: the published keys and a few of ours, checked on construction."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from megxl.errors import InputError
from megxl.training.blocks import CorpusBlock, block_of
from megxl.training.fields import check_fields, dotted, plain, refuse_unknown, within
from megxl.training.sections import (
    SECTIONS,
    CheckpointConfig,
    DataConfig,
    LoggingConfig,
    ModelConfig,
    TrainerConfig,
    TrainingConfig,
)

PLACEHOLDER = "/path/to/"
"""What stands in a published configuration where a folder must be named."""


@dataclass(frozen=True, kw_only=True)
class PretrainConfig:
    """A pre-training run.

    Raises
    ------
    InputError
        A value of a wrong type, out of its range, or against another; it is named by its dotted key.
    """

    datasets_config: tuple[CorpusBlock, ...]
    """The corpora."""
    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    logging: LoggingConfig = field(default_factory=LoggingConfig)
    checkpoint: CheckpointConfig = field(default_factory=CheckpointConfig)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    seed: int = within(42, least=0, most=2**32 - 1)
    """Of weights, masks and dropout."""
    run: str | None = None
    """Folder of the run; null: `logging.experiment_name` below `checkpoint.save_dir`."""
    resume: bool | Literal["auto"] = False
    """Go on with the run in its folder; auto: or begin it, if there is none."""
    overwrite: bool = False
    """Replace an older run in the folder."""

    def __post_init__(self) -> None:
        check_fields(self, "")
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
        if self.resume and self.overwrite:
            raise InputError(f"resume={self.resume} and overwrite=true exclude each other; give one of them.")
        _ = self.batch_size

    @staticmethod
    def corpus_name(block: CorpusBlock) -> str:
        """Name by which two blocks of one corpus are told."""
        from megxl.corpora.corpus import PUBLISHED_NAMES

        dataset = block.options.get("dataset")
        return str(dataset) if block.type == "bids" and dataset else PUBLISHED_NAMES.get(block.type, block.type)

    @property
    def run_dir(self) -> Path:
        """Folder of the run."""
        return Path(self.run) if self.run else Path(self.checkpoint.save_dir) / self.logging.experiment_name

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

    def to_dict(self) -> dict[str, Any]:
        """Return plain nested dicts and lists; `from_dict` makes the same configuration of them."""
        return plain(self)

    @classmethod
    def from_dict(cls, mapping: Mapping[str, Any]) -> "PretrainConfig":
        """Read a configuration.

        Raises
        ------
        InputError
            An unknown key, with the nearest known one; what construction refuses.
        """
        refuse_unknown(mapping, [one.name for one in fields(cls)], "")
        values = dict(mapping)
        for name, section in SECTIONS.items():
            if name in values:
                values[name] = section.of(values[name])
        blocks = values.get("datasets_config", ())
        if not isinstance(blocks, list | tuple):
            raise InputError(f"datasets_config = {blocks!r}; allowed: a list of corpora.")
        values["datasets_config"] = tuple(
            block_of(block, f"datasets_config.{index}") for index, block in enumerate(blocks)
        )
        return cls(**values)


def refuse_placeholders(config: PretrainConfig) -> None:
    """Refuse a path that was left as published (``/path/to/...``), by its key."""
    for key, value in _leaves(config.to_dict(), ""):
        if isinstance(value, str) and value.startswith(PLACEHOLDER):
            raise InputError(f"{key} = {value!r} is a placeholder; give your own, as in {key}=FOLDER.")


def _leaves(value: Any, place: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, part in value.items():
            yield from _leaves(part, dotted(place, key))
    elif isinstance(value, list):
        for index, part in enumerate(value):
            yield from _leaves(part, f"{place}.{index}")
    else:
        yield place, value
