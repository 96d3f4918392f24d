"""The configuration of a pre-training run: the published keys and a few of ours, checked on construction."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from megxl.training.corpora_config import CorporaConfig
from megxl.training.sections import SECTIONS, DataConfig, ModelConfig, Section


@dataclass(frozen=True, kw_only=True)
class PretrainConfig(CorporaConfig):
    """A pre-training run.

    Raises
    ------
    InputError
        A value of a wrong type, out of its range, or against another; it is named by its dotted key.
    """

    sections: ClassVar[Mapping[str, type[Section]]] = SECTIONS
    groups: ClassVar[tuple[str, ...]] = ("corpora", "model", "machine")
    default: ClassVar[str] = "pretrain"
    made_by: ClassVar[str] = "megxl pretrain"
    # the tokenizer decides it and is compared itself
    may_change: ClassVar[tuple[str, ...]] = (*CorporaConfig.may_change, "model.vocab_size")

    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
