"""The configuration of a run that trains a tokenizer."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from megxl.errors import InputError
from megxl.training.corpora_config import CorporaConfig
from megxl.training.sections import Section
from megxl.training.tokenizer.sections import (
    SECTIONS,
    CodeBooks,
    CodecData,
    CodecLogging,
    CodecLoss,
    CodecModel,
    CodecTrainer,
    CodecTraining,
)


@dataclass(frozen=True, kw_only=True)
class TokenizerConfig(CorporaConfig):
    """A run of `megxl tokenizer`.

    Raises
    ------
    InputError
        A value of a wrong type, out of its range, or against another; it is named by its dotted key.
    """

    sections: ClassVar[Mapping[str, type[Section]]] = SECTIONS
    groups: ClassVar[tuple[str, ...]] = ("corpora", "codec")
    default: ClassVar[str] = "tokenizer"
    made_by: ClassVar[str] = "megxl tokenizer"

    told_by: ClassVar[Mapping[str, str]] = {"command": "tokenizer"}

    command: Literal["tokenizer"] = "tokenizer"
    """What the run trains."""
    data: CodecData = field(default_factory=CodecData)
    model: CodecModel = field(default_factory=CodecModel)
    codebooks: CodeBooks = field(default_factory=CodeBooks)
    loss: CodecLoss = field(default_factory=CodecLoss)
    training: CodecTraining = field(default_factory=CodecTraining)
    logging: CodecLogging = field(default_factory=CodecLogging)
    trainer: CodecTrainer = field(default_factory=CodecTrainer)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.trainer.strategy == "fsdp":
            raise InputError("trainer.strategy = fsdp shards weights, and a codec is small; allowed: auto, ddp.")
        if self.training.ema_decay is not None:
            raise InputError(
                f"training.ema_decay = {self.training.ema_decay:g} would average the encoder away from its code "
                "books; allowed: null."
            )
