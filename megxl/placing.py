"""Output that appears under its name whole or not at all, and the rule of what it may replace."""

import os
import platform
import re
import shutil
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from megxl.errors import InputError


def free_to_write(path: Path, *, overwrite: bool, ours: Callable[[Path], bool] | None = None) -> None:
    """Refuse a place where an output must not or cannot be put; look before long work, nothing is changed.

    Parameters
    ----------
    path : Path
        Final name of the output.
    overwrite : bool
        Whether older output of that name may be replaced.
    ours : callable, optional
        For output that is a folder: whether an existing folder is such output and nothing else. None: it is a file.

    Raises
    ------
    InputError
        Something is in the way, or the folder around `path` is missing or cannot be written to.
    """
    if path.name in ("", ".."):
        raise InputError(f"{str(path)!r} is no name for an output: give a new one.")
    try:
        if not path.parent.is_dir():
            raise InputError(f"{path.name}: the folder to put it in ({path.parent}) does not exist; make it first.")
        if not os.access(path.parent, os.W_OK | os.X_OK):
            raise InputError(f"{path.name}: the folder {path.parent} cannot be written to; choose another place.")
        _refuse_what_stands_there(path, overwrite, ours)
    except OSError as error:
        raise InputError(f"{path} cannot be written ({error.strerror}); choose another name.") from error


def _refuse_what_stands_there(path: Path, overwrite: bool, ours: Callable[[Path], bool] | None) -> None:
    with suppress(FileNotFoundError):
        _hidden(path, "replaced").lstat()  # the longest name that is needed: raises if it is too long
    if not path.exists() or (ours and path.is_dir() and not any(path.iterdir())):
        return
    if ours and not path.is_dir():
        raise InputError(f"{path} is a file, where a folder is to be written: choose another name.")
    if not ours and path.is_dir():
        raise InputError(f"{path} is a folder, where a file is to be written: choose another name.")
    if ours and not ours(path):
        raise InputError(f"{path} is a folder with something else in it and is never replaced: choose another name.")
    if not overwrite:
        raise InputError(
            f"{path} exists already: choose another name, or replace it with --overwrite (in Python: overwrite=True)."
        )


@contextmanager
def placed(path: Path, *, folder: bool, workspace: bool = False) -> Iterator[Path]:
    """Give a hidden name beside `path` to write to; it becomes `path` when the block ends well, and goes when not.

    Parameters
    ----------
    path : Path
        Final name, free to write to; an older file or folder there is replaced. A link is followed.
    folder : bool
        Whether the output is a folder, which is made here; a file is left to the caller to make.
    workspace : bool
        Give a hidden folder to work in for an output that is a file: the file of the output's name in it becomes
        `path`, the rest goes.

    Yields
    ------
    Path
        `.NAME.OWNER.partial`. What killed runs left under such names is removed first.
    """
    name, path = path.name, Path(os.path.realpath(path))
    _sweep(path, "partial")
    part = _hidden(path, "partial")
    try:
        if folder or workspace:
            part.mkdir()
        yield part
        if workspace:
            (part / name).replace(path)
        elif folder and path.exists():
            _swap(part, path)
        else:
            part.replace(path)
    finally:
        _remove(part)


def _swap(part: Path, path: Path) -> None:
    """Put a folder in the place of another; the old one steps aside first, and comes back if that fails."""
    aside = _hidden(path, "replaced")
    path.replace(aside)
    try:
        part.replace(path)
    except BaseException:
        if not path.exists():
            aside.replace(path)
        raise
    _remove(aside)
    # only now: of a run that was killed between the two renames, this was the only whole copy
    _sweep(path, "replaced")


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _hidden(path: Path, state: str) -> Path:
    """Name beside `path` that tells the machine and process it belongs to."""
    return path.with_name(f".{path.name}.{_machine()}-{os.getpid()}-{uuid4().hex[:8]}.{state}")


def _sweep(path: Path, state: str) -> None:
    """Remove what killed processes of this machine left; other machines may share the disk, so theirs stays."""
    pattern = re.compile(rf"\.{re.escape(path.name)}\.{_machine()}-(\d+)-[0-9a-f]{{8}}\.{state}")
    for entry in list(path.parent.iterdir()):
        owner = pattern.fullmatch(entry.name)
        if owner and not _runs(int(owner[1])):
            _remove(entry)


def _machine() -> str:
    return f"{zlib.crc32(platform.node().encode()):08x}"


def _runs(process: int) -> bool:
    if os.name != "posix":
        return True  # elsewhere signal 0 is not a question but a signal
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True
