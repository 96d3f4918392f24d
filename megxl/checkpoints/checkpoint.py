"""What a checkpoint is in memory: sizes, tensors under our names, where they come from, and the report of its keys."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

Kind = Literal["biocodec", "megxl"]
KIND_NAMES = {"biocodec": "a BioCodec tokenizer", "megxl": "a MEG-XL model"}

TRAINED_STEPS = 1000
"""Fewer optimiser steps than these count as untrained."""


@dataclass(frozen=True, kw_only=True)
class KeyReport:
    """What became of every key of a file."""

    matched: int = 0
    """Tensors taken over."""
    derived: tuple[str, ...] = ()
    """Tables that follow from the sizes: checked and left out."""
    unmatched: tuple[str, ...] = ()
    """Keys that nothing knows, left out with the caller's consent."""
    missing: tuple[str, ...] = ()
    """Absent keys that the file may do without (a carried codec)."""
    skipped_sections: tuple[str, ...] = ()
    """Known parts of the file that are not weights, such as optimizer_states."""


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """Sizes and weights of a codec or a model, read strictly from any format."""

    kind: Kind
    config: dict[str, Any]
    """Keyword arguments of BioCodecConfig or MEGXLConfig; a model with its codec has the codec's under "tokenizer"."""
    tensors: dict[str, Tensor]
    """By our names."""
    training: dict[str, Any] = field(default_factory=dict)
    """What a released file says of its training; needed to write one again."""
    provenance: dict[str, Any] = field(default_factory=dict)
    """Where the weights come from, JSON-able."""
    report: KeyReport = field(default_factory=KeyReport)


def is_untrained(provenance: Mapping[str, Any]) -> bool:
    """Whether weights are random, came from a source marked so, or saw fewer than 1000 steps."""
    steps = provenance.get("steps")
    few_steps = steps is not None and steps < TRAINED_STEPS
    return bool(provenance.get("untrained")) or provenance.get("weights") == "random" or few_steps


def weights_warning(*provenances: Mapping[str, Any]) -> str | None:
    """One loud sentence if the weights of a model or codec are random or were never trained, else None."""
    origins = [provenance.get("source") or provenance for provenance in provenances]
    if any(origin.get("weights") == "random" for origin in origins):
        return "RANDOM WEIGHTS: no training has touched them; what comes out of them means nothing."
    untrained = [o for o, provenance in zip(origins, provenances, strict=True) if is_untrained(provenance)]
    if not untrained:
        return None
    steps = untrained[0].get("steps")
    if steps is not None and 0 < steps < TRAINED_STEPS:
        return (
            f"UNTRAINED WEIGHTS: training ended at step {steps:,}, and fewer than {TRAINED_STEPS:,} count as none; "
            "what comes out of them may mean nothing."
        )
    return "UNTRAINED WEIGHTS: the checkpoint was saved before any real training; what comes out of them means nothing."


def loaded_from(path: Path, form: str, training: Mapping[str, Any], source: Mapping[str, Any] | None) -> dict[str, Any]:
    """Provenance of weights just read from `path`.

    Parameters
    ----------
    path : Path
        File that holds the tensors; it is hashed in chunks.
    form : str
        "lightning", "biocodec-pt" or "megxl".
    training : mapping
        May hold epoch, global_step and lightning_version.
    source : mapping or None
        Provenance that was stored with the weights, if any; only the first origin is kept, so that chains stay short.
    """
    provenance: dict[str, Any] = {
        "weights": "loaded",
        "file": path.name,
        "sha256": sha256_of(path),
        "format": form,
        "epoch": training.get("epoch"),
        "steps": training.get("global_step"),
        "lightning_version": training.get("lightning_version"),
    }
    if source:
        provenance["source"] = dict(source.get("source") or source)
        if source.get("licence") is not None:
            provenance["licence"] = source["licence"]
    provenance["untrained"] = is_untrained(provenance) or is_untrained(source or {})
    return provenance


def sha256_of(path: Path) -> str:
    """SHA-256 of a file in hexadecimal, in bounded memory."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
