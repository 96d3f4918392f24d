"""What is wrong with a place in a store, as far as names and sizes tell; no signal is read."""

import json
from collections.abc import Iterator
from math import prod
from pathlib import Path

import numpy as np

from megxl.errors import InputError
from megxl.store.keys import Damaged, is_name
from megxl.store.record import read_recording
from megxl.store.writing import is_entry


def problems_of(place: Path, key: str) -> Iterator[tuple[str, str]]:
    """Name what is wrong with an entry: its key, or a folder of codes in it, and a reason."""
    if why := _problem(place, key):
        yield key, why
    codes = place / "codes"
    for folder in sorted(codes.iterdir()) if codes.is_dir() else ():
        if not folder.name.startswith(".") and (why := _problem_of_codes(folder)):
            yield f"{key}/codes/{folder.name}", why


def _problem(place: Path, key: str) -> str | None:
    if not (place.is_dir() and is_name(place.name)):
        return "is no folder of a recording"
    if not is_entry(place):
        return "holds no recording: it is being written, or its writer was stopped"
    try:
        read_recording(place, key).check()
    except Damaged as damage:
        return damage.reason
    except InputError as error:
        return str(error)
    return None


def _problem_of_codes(folder: Path) -> str | None:
    """Compare the size of codes.npy with what codes.json says of it."""
    try:
        wanted = prod(json.loads((folder / "codes.json").read_text())["shape"])
    except (OSError, ValueError, KeyError, TypeError):
        return "codes.json is missing or damaged"
    try:
        with (folder / "codes.npy").open("rb") as file:
            np.lib.format.read_magic(file)
            np.lib.format.read_array_header_1_0(file)
            wanted += file.tell()
            found = file.seek(0, 2)
    except (OSError, ValueError):
        return "codes.npy is missing or damaged"
    return None if found == wanted else f"codes.npy has {found:,} bytes instead of {wanted:,}"
