"""Blocks of `datasets_config` (alias): which recordings of a corpus are training and which are validation."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from brainstorm.data._options import refuse_unknown
from brainstorm.data._published import refuse_absent
from brainstorm.data._windows import PublishedWindows
from brainstorm.data.armeni_dataset import ArmeniMEGDataset
from brainstorm.data.camcan_dataset import CamCANMEGDataset
from brainstorm.data.gwilliams_dataset import GwilliamsMEGDataset
from brainstorm.data.libribrain_dataset import LibriBrainMEGDataset
from brainstorm.data.schoffelen_dataset import SchoffelenMEGDataset
from brainstorm.data.smn4lang_dataset import SMN4LangMEGDataset
from megxl.corpora.corpus import Selection
from megxl.errors import InputError


class Rule(NamedTuple):
    """How a corpus's validation is named in the published configuration."""

    kind: type[PublishedWindows]
    key: str
    level: str
    usual: str | None = None
    tasks: tuple[str, ...] | None = None
    """Tasks of validation, whatever is trained on."""


RULES = {
    "armeni": Rule(ArmeniMEGDataset, "val_session", "sessions", "ses-010"),
    "libribrain": Rule(LibriBrainMEGDataset, "val_session", "sessions", "ses-2", ("Sherlock1",)),
    "schoffelen": Rule(SchoffelenMEGDataset, "val_subjects", "subjects"),
    "camcan": Rule(CamCANMEGDataset, "val_subjects", "subjects"),
    "smn4lang": Rule(SMN4LangMEGDataset, "val_runs", "runs"),
    "gwilliams": Rule(GwilliamsMEGDataset, "val_subjects", "subjects"),
}


class Block(NamedTuple):
    """One corpus of the configuration."""

    name: str
    root: str | Path
    filters: dict[str, list[str]]
    named: list[str]
    """Sessions, subjects or runs of validation."""
    validation_only: bool

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> "Block":
        """Read a block of the configuration; what it does not know is refused."""
        name = config.get("type")
        if name not in RULES:
            raise InputError(f"type = {name!r}; allowed: {', '.join(RULES)}.")
        rule = RULES[name]
        given = [key for key, value in config.items() if value is not None]
        refuse_unknown(name, given, ("type", "data_root", "validation_only", rule.key, *rule.kind.levels))
        if "data_root" not in given:
            raise InputError(f"{name}: data_root is missing; give the root of the corpus.")
        named = config.get(rule.key) or rule.usual
        if not named:
            raise InputError(
                f"{name}: {rule.key} names nobody; without it all recordings would be validation and training at once."
            )
        return cls(
            name=name,
            root=config["data_root"],
            filters={level: list(config[level]) for level in rule.kind.levels if level in given},
            named=[named] if isinstance(named, str) else list(named),
            validation_only=bool(config.get("validation_only", False)),
        )

    def validation(self, options: Mapping[str, Any]) -> PublishedWindows:
        """Build the validation part; everybody it names must have a recording in it."""
        rule = RULES[self.name]
        filters = self.filters | {rule.level: self.named} | ({"tasks": list(rule.tasks)} if rule.tasks else {})
        refuse_absent(rule.kind.corpus, self.root, filters, rule.level, f"{self.name}: {rule.key}")
        return rule.kind(self.root, **filters, **options)

    def training(self, options: Mapping[str, Any]) -> PublishedWindows:
        """Build the training part: all but validation."""
        rule = RULES[self.name]
        without = Selection(**{rule.level: tuple(self.named)}, tasks=rule.tasks)
        return rule.kind(self.root, **self.filters, without=without, **options)
