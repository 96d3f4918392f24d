"""The configuration of a run that fine-tunes or probes a decoder of words."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal

from megxl.errors import InputError
from megxl.training.run_config import RunConfig
from megxl.training.sections import Section, TrainerConfig
from megxl.training.words.sections import (
    SECTIONS,
    DataSection,
    EvaluationSection,
    LossSection,
    ModelSection,
    TargetSection,
    TrainingSection,
    WordsLogging,
    WordsTrainer,
)

Control = Literal[
    "none", "noise", "time_shuffle", "shuffled_words", "duration_only", "frequency_only", "random_backbone"
]


@dataclass(frozen=True, kw_only=True)
class WordsConfig(RunConfig):
    """A run of `megxl finetune` or `megxl probe`.

    Raises
    ------
    InputError
        A value of a wrong type, out of its range, or against another; it is named by its dotted key.
    """

    sections: ClassVar[Mapping[str, type[Section]]] = SECTIONS
    groups: ClassVar[tuple[str, ...]] = ("corpus",)
    default: ClassVar[str] = "finetune"
    made_by: ClassVar[str] = "megxl finetune"
    may_change: ClassVar[tuple[str, ...]] = (
        "run", "resume", "overwrite", "device", "logging.", "training.num_epochs", "training.max_steps",
        "training.num_workers", "training.pin_memory", "training.resume_checkpoint", "data.root", "data.cache_dir",
        "data.prepare_workers", "t5.cache_dir", "trainer.devices", "trainer.num_nodes", "trainer.strategy",
        "evaluation.resamples", "evaluation.permutations",
    )  # fmt: skip

    command: Literal["finetune", "probe"] = "finetune"
    """Train the backbone too, or a head on its frozen features."""
    control: Control = "none"
    """What is taken away, to see what the result owes to it: the signal (noise in its place), its time (windows from
    elsewhere), the words (shuffled), all but their durations, all but their frequencies, the pre-training."""
    model: ModelSection = field(default_factory=ModelSection)
    data: DataSection = field(default_factory=DataSection)
    t5: TargetSection = field(default_factory=TargetSection)
    training: TrainingSection = field(default_factory=TrainingSection)
    loss: LossSection = field(default_factory=LossSection)
    evaluation: EvaluationSection = field(default_factory=EvaluationSection)
    logging: WordsLogging = field(default_factory=WordsLogging)
    trainer: WordsTrainer = field(default_factory=WordsTrainer)
    device: str = "auto"
    """auto, cpu, cuda, cuda:1 or mps."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not re.fullmatch(r"(auto|cpu|mps|cuda(:\d+)?)", self.device):
            raise InputError(f"device = {self.device!r}; allowed: auto, cpu, cuda, cuda:1, mps.")
        if self.data.dataset_type is None:
            raise InputError("data.dataset_type has no value; name the corpus, as in data.dataset_type=armeni.")
        if self.command == "probe" and self.model.train_from_scratch:
            raise InputError(
                "model.train_from_scratch = true trains the backbone, but a probe leaves it as it is; use "
                "`megxl finetune`, or control=random_backbone to probe a random one."
            )
        if self.command == "probe" and self.model.backbone == "convolution":
            raise InputError("model.backbone = convolution has no frozen features to probe; use `megxl finetune`.")

    @property
    def usual_dir(self) -> Path:
        """Where the run lies unless a folder is named."""
        return Path(self.logging.save_dir) / self.logging.experiment_name

    @property
    def head(self) -> Literal["mlp", "linear", "sensors", "sequence"]:
        """The head that holds."""
        usual = (
            "sequence" if self.model.backbone == "convolution" else "mlp" if self.command == "finetune" else "linear"
        )
        return self.model.head or usual

    @property
    def machine(self) -> TrainerConfig:
        """Devices and precision, as the trainer takes them."""
        return self.trainer.on(self.device)

    @property
    def block_s(self) -> float:
        """Seconds that are scaled together: a word's window on a tape, else a block of pre-training."""
        from megxl.signals.normalization import BLOCK_S

        return self.data.subsegment_duration if self.data.layout == "tape" else BLOCK_S
