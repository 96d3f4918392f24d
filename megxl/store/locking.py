"""One writer an entry: a lock that the system frees when its holder ends, however it ends."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from megxl.errors import InputError
from megxl.store.keys import Busy, refused_to_write

_held: set[int] = set()
"""Descriptors of the locks that this process holds."""


@contextmanager
def locked(path: Path, key: str) -> Iterator[None]:
    """Hold the lock of an entry; the lock's file stays, since removing it could let two in.

    Raises
    ------
    Busy
        It is held elsewhere, in this process or another.
    InputError
        The store cannot be written to, or its file system has no locks.
    """
    import fcntl  # not on every system; reading a store needs no lock

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise refused_to_write(key, error) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        if isinstance(error, BlockingIOError):
            raise Busy(f"{key} is being written by another process; wait for it, or stop it.") from error
        raise InputError(
            f"{key} cannot be locked ({error.strerror}): put the store on a file system that has locks."
        ) from error
    _held.add(descriptor)
    try:
        yield
    finally:
        if descriptor in _held:  # a child that was forked meanwhile has closed it
            _held.discard(descriptor)
            fcntl.flock(descriptor, fcntl.LOCK_UN)  # closing alone waits for children that inherited it
            os.close(descriptor)


def _let_go() -> None:
    """Close inherited descriptors, or a child would keep the lock of a parent that was killed."""
    for descriptor in _held:
        os.close(descriptor)
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go)
