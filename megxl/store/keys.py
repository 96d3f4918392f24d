"""Names of stored recordings: `corpus/id`, their natural order, and the refusals that name them."""

import errno
import re

from megxl.errors import InputError

# a separator, a control character or a leading dot would lead out of the store or hide the entry in it
_PART = re.compile(r"[^\s./\\\x00-\x1f][^/\\\x00-\x1f]{0,199}")


class Damaged(InputError):  # noqa: N818 (a state of an entry, as is Busy)
    """An entry that is not what was written; `key` and `reason` say which and why."""

    def __init__(self, key: str, reason: str) -> None:
        corpus = key.partition("/")[0]
        super().__init__(
            f"{key} is damaged in the store: {reason}. `megxl prepare {corpus} ROOT --store STORE --repair` makes it "
            "again."
        )
        self.key = key
        self.reason = reason

    def __reduce__(self) -> tuple:
        return type(self), (self.key, self.reason)  # an exception is rebuilt from its message unless told otherwise


class Busy(InputError):  # noqa: N818
    """Another process is writing this entry."""


class StoreFull(InputError):  # noqa: N818
    """Nothing more can be written to the store, whatever the entry: no space, no quota, or it can only be read."""


_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}


def refused_to_write(key: str, error: OSError) -> InputError:
    """Turn what the system says to a writer of an entry into an error that tells whether others can be written."""
    if error.errno in _FULL:
        return StoreFull(f"The store cannot be written to ({error.strerror}).")
    return InputError(f"{key}: it cannot be written to the store ({error.strerror}).")


def split_key(key: str) -> tuple[str, str]:
    """Take `corpus/id` apart.

    Raises
    ------
    InputError
        No such form, or a part that is no name of a folder.
    """
    corpus, _, entry = key.partition("/")
    if not (is_name(corpus) and is_name(entry)):
        raise InputError(f"{key!r} is no name of a stored recording; allowed: CORPUS/ID, as in armeni/sub-001_ses-001.")
    return corpus, entry


def is_name(part: str) -> bool:
    """Say whether a corpus or a recording can have this name in the store."""
    return _PART.fullmatch(part) is not None


def natural(text: str) -> tuple[str | tuple[int, str], ...]:
    """Key that sorts ``run-2`` before ``run-10``."""
    # split by a group: texts stand at even places, numbers at odd ones
    return tuple((int(part), part) if place % 2 else part for place, part in enumerate(re.split(r"(\d+)", text)))
