"""Has the file that a recording was made from changed? By size and time first, by content where these leave a doubt."""

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from megxl.errors import InputError

Fingerprint = dict[str, dict[str, Any]]
"""Name of a file, relative to its corpus: its ``bytes``, ``mtime_ns`` and ``sha256``."""


def fingerprint(paths: Sequence[Path], root: Path) -> Fingerprint:
    """Describe files by size, time and content. Take it before they are read, so that a later change shows.

    Parameters
    ----------
    paths : sequence of Path
        Files, or folders (a CTF ``.ds``), whose files are taken with all below them. Hidden files do not count.
    root : Path
        Folder of the corpus: names are told relative to it; of a file elsewhere, the name alone is told.

    Raises
    ------
    InputError
        A file that is missing or cannot be read.
    """
    return {name: _size_and_time(name, path) | {"sha256": _sha256(name, path)} for name, path in _files(paths, root)}


def changed(stored: Mapping[str, Mapping[str, Any]], paths: Sequence[Path], root: Path) -> str | None:
    """Say what differs from a fingerprint, or None.

    Content is read only of files whose time differs while their size agrees (a copied corpus).

    Returns
    -------
    str or None
        ``"FILE is new"``, ``"FILE is missing"``, ``"FILE has changed"``.
    """
    present = dict(_files(paths, root))
    for name in [*present, *stored]:
        if name not in present or not present[name].exists():
            return f"{name} is missing"
        if name not in stored:
            return f"{name} is new"
        if _differs(stored[name], name, present[name]):
            return f"{name} has changed"
    return None


def _differs(stored: Mapping[str, Any], name: str, path: Path) -> bool:
    now = _size_and_time(name, path)
    if now["bytes"] != stored["bytes"]:
        return True
    return now["mtime_ns"] != stored["mtime_ns"] and _sha256(name, path) != stored["sha256"]


def _size_and_time(name: str, path: Path) -> dict[str, int]:
    with _readable(name, path):
        status = path.stat()
    return {"bytes": status.st_size, "mtime_ns": status.st_mtime_ns}


def _sha256(name: str, path: Path) -> str:
    with _readable(name, path), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _readable(name: str, path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if path.is_symlink() and not path.exists():
            raise InputError(
                f"{name} is a link to content that is not here: get it first (datalad get, or git annex get)."
            ) from error
        raise InputError(f"{name} cannot be read ({error.strerror}).") from error


def _files(paths: Sequence[Path], root: Path) -> Iterator[tuple[str, Path]]:
    """Yield each file once with the name that it has in a fingerprint."""
    names: dict[str, Path] = {}
    for path in paths:
        for file in _below(Path(path)) if Path(path).is_dir() else [Path(path)]:
            name = _relative(file, root)
            other = names.setdefault(name, file)
            if other is file:
                yield name, file
            elif other != file:
                raise InputError(f"Two source files outside of the corpus are called {name}: rename one of them.")


def _below(folder: Path) -> list[Path]:
    # desktop programs leave hidden files behind; they change nothing
    files = [path for path in folder.rglob("*") if not path.is_dir()]
    return sorted(path for path in files if not any(part.startswith(".") for part in path.relative_to(folder).parts))


def _relative(file: Path, root: Path) -> str:
    # not resolve(), which follows links: a data set under version control links its files to names that say nothing
    place, folder = Path(os.path.abspath(file)), Path(os.path.abspath(root))  # noqa: PTH100
    return place.relative_to(folder).as_posix() if place.is_relative_to(folder) else file.name
