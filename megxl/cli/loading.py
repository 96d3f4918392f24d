"""A model with its tokenizer and a device, from what a person typed."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from megxl.checkpoints.files import default_codec
from megxl.errors import InputError
from megxl.model.megxl import MEGXL

if TYPE_CHECKING:
    from megxl.model.megxl import Compat


def load_model(
    source: str,
    tokenizer: str | Path | None = None,
    *,
    compat: "Compat" = "default",
    allow_unmatched: Sequence[str] = (),
) -> MEGXL:
    """Load a model that has a codec, or say where to get one."""
    model = MEGXL.from_pretrained(source, tokenizer, compat=compat, allow_unmatched=allow_unmatched)
    if model.tokenizer is None:
        # not there, or from_pretrained would have found it: this raises, with what to put where
        default_codec()
    return model


def choose_device(name: str) -> torch.device:
    """Turn auto, cpu, cuda, cuda:1 or mps into a device that is there."""
    there = {"cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available()), "cpu": 1}
    if name == "auto":
        name = next(kind for kind, count in there.items() if count)
    kind, _, number = name.partition(":")
    if kind not in there or not (number or "0").isdecimal():
        raise InputError(f"--device {name} is not known: use auto, cpu, cuda, cuda:1 (the second GPU) or mps.")
    if int(number or 0) >= there[kind]:
        raise InputError(f"PyTorch sees no {name} device on this machine: use --device cpu or auto.")
    return torch.device(kind, int(number)) if number else torch.device(kind)
