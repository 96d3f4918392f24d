"""The model of a transformer: an instance as it is, or a file that is read once for all copies of the transformer."""

from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from megxl.checkpoints.checkpoint import Checkpoint
from megxl.checkpoints.hub import DEFAULT_CODEC
from megxl.errors import InputError
from megxl.model.megxl import MEGXL, Compat
from megxl.tokenizer.biocodec import BioCodec


def find_model(model: MEGXL | str | Path, tokenizer: BioCodec | str | Path | None, compat: Compat) -> MEGXL:
    """Give the model itself, or load it where it is not the last that was loaded.

    Raises
    ------
    InputError
        A file that cannot be loaded; a tokenizer or compat for a model that has its own.
    """
    if isinstance(model, MEGXL):
        if tokenizer is not None or compat not in ("default", model.compat):
            raise InputError(
                f"A model that is loaded has its tokenizer and its compat ({model.compat!r}): leave both out, or give "
                "the model's path."
            )
        return model
    if not isinstance(model, str | Path):
        raise InputError(f"model is a path, a name on the hub or a MEGXL, not {type(model).__name__}.")
    # files that changed, and other folders to look from, make another model
    files = tuple(_stamp(source) for source in (model, tokenizer, DEFAULT_CODEC))
    return _load(model, tokenizer, compat, (Path.cwd(), *files))


@dataclass(frozen=True)
class _Packed:
    """A model or codec as pickles hold it: modules with normalised weights cannot be pickled themselves."""

    checkpoint: Checkpoint
    compat: Compat = "default"


def packed(value: Any) -> Any:
    """Give what a pickle holds of a parameter: of a model or codec its sizes and weights, of others themselves."""
    if not isinstance(value, MEGXL | BioCodec):
        return value
    checkpoint = value.to_checkpoint()
    tensors = {name: tensor.cpu() for name, tensor in checkpoint.tensors.items()}
    return _Packed(replace(checkpoint, tensors=tensors), value.compat if isinstance(value, MEGXL) else "default")


def unpacked(value: Any) -> Any:
    """Give a parameter back, on the CPU."""
    if not isinstance(value, _Packed):
        return value
    if value.checkpoint.kind == "biocodec":
        return BioCodec.from_checkpoint(value.checkpoint)
    return MEGXL.from_checkpoint(value.checkpoint, compat=value.compat)


@lru_cache(maxsize=1)
def _load(source: str | Path, tokenizer: BioCodec | str | Path | None, compat: Compat, _files: tuple) -> MEGXL:
    return MEGXL.from_pretrained(source, tokenizer, compat=compat)


def _stamp(source: BioCodec | str | Path | None) -> tuple[tuple[str, int, int], ...]:
    """Names, times and sizes of the files of a checkpoint; nothing for what is not on this disk."""
    if not isinstance(source, str | Path) or not Path(source).exists():
        return ()
    path = Path(source)
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    return tuple((file.name, file.stat().st_mtime_ns, file.stat().st_size) for file in files)
