"""Reading torch files without running anything that is in them.

Tensors and plain Python values are read (`weights_only=True`); metadata of a few harmless packages is replaced by inert
stand-ins for the time of one call; a file that names anything else is refused.
"""

import pickle
import re
import struct
from pathlib import Path
from typing import Any

import torch

from megxl.errors import InputError

METADATA_PACKAGES = ("omegaconf", "lightning", "lightning_fabric", "pytorch_lightning", "pathlib", "typing")
"""Packages whose objects Lightning stores beside the weights; nothing of them is needed."""

_BUILT_IN = (
    "bool", "bytes", "dict", "float", "frozenset", "int", "list", "object", "range", "slice", "str", "tuple", "type",
)  # fmt: skip
METADATA_NAMES = frozenset(
    # element types that omegaconf writes down, and containers of callbacks
    [f"builtins.{name}" for name in _BUILT_IN]
    + [f"collections.{name}" for name in ("defaultdict", "deque")]
    + [f"datetime.{name}" for name in ("date", "datetime", "timedelta")]
    + ["argparse.Namespace", "enum.Enum", "types.GenericAlias", "_operator.getitem"]
    + ["numpy.dtype", "numpy.ndarray"]
    + [f"numpy.{core}.multiarray.{name}" for core in ("core", "_core") for name in ("_reconstruct", "scalar")]
)

_ZIP, _PICKLE = b"PK\x03\x04", b"\x80"
_DAMAGE = (
    pickle.UnpicklingError, RuntimeError, ValueError, TypeError, AttributeError, AssertionError, LookupError, EOFError,
    OSError, struct.error,
)  # fmt: skip


class Inert:
    """Stands where another package's object was stored; takes anything, keeps nothing, does nothing."""

    def __new__(cls, *_: Any) -> "Inert":  # noqa: D102
        return super().__new__(cls)

    def __init__(self, *_: Any) -> None: ...

    def __setstate__(self, _: Any) -> None: ...


class InertMapping:
    """Stands for a subclass of dict: the reader fills it item by item, so it must be a plain dict."""

    def __new__(cls, *_: Any) -> dict:  # noqa: D102
        return {}


class InertSequence:
    """Stands for a subclass of list or a deque: filled item by item, so it must be a plain list."""

    def __new__(cls, *_: Any) -> list:  # noqa: D102
        return []


def read_torch_file(path: Path) -> Any:
    """Tensors and plain values of a file written by `torch.save`, memory-mapped where the format allows it.

    Parameters
    ----------
    path : Path
        File of any origin.

    Returns
    -------
    Any
        What was saved; objects of the metadata packages are `Inert`. The tensors of a zipped file are views of the
        file: clone what you keep.

    Raises
    ------
    InputError
        Not a torch file, damaged, or a file that wants to run code.
    """
    zipped = _is_zipped(path)
    try:
        wanted = torch.serialization.get_unsafe_globals_in_checkpoint(path) if zipped else []
        _refuse_code(path, wanted)
        with torch.serialization.safe_globals([(_stand_in(name), name) for name in wanted]):
            return torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
    except InputError:
        raise
    except _DAMAGE as error:
        raise InputError(_diagnosis(path, zipped, str(error))) from error


def _refuse_code(path: Path, names: list[str]) -> None:
    """Refuse a file that names functions or classes which are no metadata."""
    strange = sorted(name for name in names if not _is_metadata(name))
    if strange:
        raise InputError(
            f"{path.name}: refused, the file wants to run code when it is read ({', '.join(strange[:5])}). "
            "Weights need none: get the file from its authors again, or have them save tensors and plain values only."
        )


def _is_metadata(name: str) -> bool:
    return name in METADATA_NAMES or name.split(".", 1)[0] in METADATA_PACKAGES


def _stand_in(name: str) -> type:
    kind = name.rsplit(".", 1)[-1]
    return {"defaultdict": InertMapping, "AttributeDict": InertMapping, "deque": InertSequence}.get(kind, Inert)


def _is_zipped(path: Path) -> bool:
    """Whether a file is in torch's zip format (False: the older, pickled one); others are refused by what they are."""
    with path.open("rb") as file:
        head = file.read(512)
    if not head:
        raise InputError(f"{path.name} is empty (0 bytes): the download or copy failed, get the file again.")
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"<!doctype", b"<html", b"<head", b"<?xml")):
        raise InputError(
            f"{path.name} is an HTML page, not a checkpoint: a log-in or error page was saved in its place. "
            "Download the file itself (on a hub page: the download arrow)."
        )
    if text.startswith(b"version https://git-lfs"):
        raise InputError(f"{path.name} is a Git LFS pointer, not the file itself: run 'git lfs pull' or download it.")
    if head[8:10] == b'{"':
        raise InputError(
            f"{path.name} is a safetensors file without our config.json beside it, so that its sizes are unknown. "
            "Give the folder that holds both."
        )
    if not head.startswith((_ZIP, _PICKLE)):
        raise InputError(
            f"{path.name} is not a torch file (it begins with {head[:8]!r}), or only its first bytes are there."
        )
    return head.startswith(_ZIP)


def _diagnosis(path: Path, zipped: bool, message: str) -> str:
    """One or two sentences for what torch says at length."""
    named = re.search(r"GLOBAL (\S+)", message)
    if named:
        return (
            f"{path.name}: refused, reading it would need {named[1]}, which is neither a tensor nor a plain value. "
            "Have it saved again with tensors and plain values only."
        )
    if "torchscript" in message.lower():
        return (
            f"{path.name} is a TorchScript program, not a checkpoint: give the file of weights that it was made from."
        )
    if zipped:
        return (
            f"{path.name} is truncated or damaged ({path.stat().st_size:,} bytes are there): download or copy it again."
        )
    return (
        f"{path.name} is a pickle that torch.save did not write, or it is truncated ({path.stat().st_size:,} bytes). "
        "It was not unpickled; give a file written by torch.save."
    )
