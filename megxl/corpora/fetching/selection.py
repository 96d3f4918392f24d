"""Which files of a published corpus are wanted: by patterns of paths, and by subject."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Protocol, TypeVar

from megxl.corpora.names import natural
from megxl.errors import InputError


class _HasPath(Protocol):
    @property
    def path(self) -> str: ...


File = TypeVar("File", bound=_HasPath)


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Files that match a pattern and belong to one of the subjects, or to nobody.

    Parameters
    ----------
    patterns : sequence of str
        Part by part as in file names (``*`` stays within a part); a last part ``**`` means all below. Files at the
        top are always wanted: they say what the corpus is.
    subjects : sequence of str, optional
        ``sub-01``, as in folders or names of files; None: all.
    """

    patterns: Sequence[str]
    subjects: Sequence[str] | None = None
    _seen: set[str] = field(default_factory=set, repr=False, compare=False)

    def descend(self, folder: str) -> bool:
        """Say whether something wanted may lie in a folder."""
        self._see(folder)
        parts = folder.split("/")
        return self._of_subjects(folder) and any(_fits(parts, pattern.split("/"), True) for pattern in self.patterns)

    def of(self, files: Sequence[File]) -> list[File]:
        """Take the wanted ones, in natural order.

        Raises
        ------
        InputError
            A subject that nothing belongs to, or no file at all.
        """
        matching = [
            file
            for file in files
            if "/" not in file.path or any(_fits(file.path.split("/"), p.split("/"), False) for p in self.patterns)
        ]
        for file in matching:
            self._see(file.path)
        if unknown := [subject for subject in self.subjects or () if subject not in self._seen]:
            there = sorted(self._seen, key=natural)
            more = f" and {len(there) - 12} more" if len(there) > 12 else ""
            raise InputError(f"There is no subject {unknown[0]!r}; there are: {', '.join(there[:12]) or 'none'}{more}.")
        wanted = [file for file in matching if self._of_subjects(file.path)]
        if not any("/" in file.path for file in wanted):
            raise InputError(f"No file matches {' or '.join(self.patterns)}.")
        return sorted(wanted, key=lambda file: natural(file.path))

    @staticmethod
    def subject_of(path: str) -> str | None:
        """Name the subject that a path belongs to, if it is one's."""
        match = re.search(r"(?:^|/)(sub-[A-Za-z0-9]+)", path)
        return match[1] if match else None

    def _see(self, path: str) -> None:
        if subject := self.subject_of(path):
            self._seen.add(subject)

    def _of_subjects(self, path: str) -> bool:
        subject = self.subject_of(path)
        return self.subjects is None or subject is None or subject in self.subjects


def _fits(parts: Sequence[str], pattern: Sequence[str], is_folder: bool) -> bool:
    """Compare part by part; of a folder it is enough that the pattern goes on below it."""
    everything_below = pattern[-1] == "**"
    pattern = pattern[:-1] if everything_below else pattern
    if not is_folder and len(parts) < len(pattern) + everything_below:
        return False
    if len(parts) > len(pattern) and not everything_below:
        return False
    return all(fnmatchcase(part, wanted) for part, wanted in zip(parts, pattern, strict=False))
