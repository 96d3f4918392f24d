"""Words of a stored recording, read when they are asked for: most of those who open a recording never do."""

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, overload

Row = dict[str, Any]


class StoredWords(Sequence[Row]):
    """Plain rows of words, in the order of time; they are not pickled, but read again where they are needed.

    Parameters
    ----------
    read : callable
        Reads the rows and refuses what is not as it was when the recording was opened. Can be pickled.
    """

    def __init__(self, read: Callable[[], list[Row]]) -> None:
        self._read = read

    @cached_property
    def _rows(self) -> list[Row]:
        return self._read()

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> list[Row]: ...
    def __getitem__(self, index: int | slice) -> Row | list[Row]:
        return self._rows[index]

    def __len__(self) -> int:
        return len(self._rows)

    def __eq__(self, other: object) -> bool:
        return list(self) == list(other) if isinstance(other, Sequence) else NotImplemented

    def __getstate__(self) -> dict[str, Any]:
        return {"_read": self._read}
