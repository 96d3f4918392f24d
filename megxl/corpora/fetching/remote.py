"""A published corpus as seen from here: the files that its source announces, and their bytes."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, kw_only=True)
class RemoteFile:
    """A file as its source announces it; what the source does not say is None.

    Parameters
    ----------
    path : str
        Below the root of the corpus, with ``/``.
    url : str
        Where its bytes are, or whatever else the source knows it by.
    size : int, optional
        Bytes.
    checksum, algorithm : str, optional
        Hexadecimal digest and "sha256", "md5" or "git" (the SHA-1 of a git blob).
    """

    path: str
    url: str = ""
    size: int | None = None
    checksum: str | None = None
    algorithm: str | None = None


@dataclass(frozen=True)
class Stream:
    """Bytes of a file from `offset` on, which is 0 if the source cannot begin in the middle.

    `version` is what the source calls this content (an entity tag or a date): other content, another version.
    """

    offset: int
    chunks: Iterator[bytes]
    version: str | None = None


class Source(Protocol):
    """Where a corpus is published."""

    @property
    def name(self) -> str:
        """What a person calls it."""
        ...

    def list(self, descend: Callable[[str], bool]) -> list[RemoteFile]:
        """List the files; folders for which `descend` says no need not be looked into."""
        ...

    def open(self, file: RemoteFile, offset: int, version: str | None = None) -> AbstractContextManager[Stream]:
        """Open a file at a byte, or at its start if it is no longer of the version.

        Raises
        ------
        OSError
            Where trying again may help.
        InputError
            Where not.
        """
        ...
