"""Which words were heard, and where: what predictions are lined up with."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from megxl.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Occurrences:
    """The words that were heard, one entry each in every column."""

    words: Sequence[str]
    """In lower case, by which words are the same."""
    groups: Sequence[str]
    """Name of the word group, unique over all recordings."""
    recordings: Sequence[str]
    """Key of the recording."""
    subjects: Sequence[str]
    """Of two corpora no two alike: ``armeni/sub-001``."""
    sessions: Sequence[str]
    """Empty where a corpus has none."""
    onsets_s: Sequence[float]
    """Seconds after the first sample of the recording."""

    def __post_init__(self) -> None:
        for name, column in vars(self).items():
            object.__setattr__(self, name, tuple(map(float if name == "onsets_s" else str, column)))
        object.__setattr__(self, "words", tuple(word.lower() for word in self.words))
        lengths = {name: len(column) for name, column in vars(self).items()}
        if len(set(lengths.values())) > 1:
            raise InputError(f"The columns of the words have different lengths: {lengths}; one entry a word in each.")
        if not self.words:
            raise InputError("There are no words to predict: the part that is evaluated is empty.")
        if not np.isfinite(self.onsets_s).all():
            raise InputError("onsets_s: a word has no finite onset; give seconds after the recording's first sample.")
        place, times = Counter(zip(self.recordings, self.onsets_s, self.words, strict=True)).most_common(1)[0]
        if times > 1:
            raise InputError(
                f"{place[0]}: the word {place[2]!r} at {place[1]:g} s is there {times} times and would count as often; "
                "leave out what a sampler repeated (Batch.repeated_B)."
            )
        owners: dict[str, tuple[str, str]] = {}
        for group, owner in zip(self.groups, zip(self.recordings, self.subjects, strict=True), strict=True):
            if owners.setdefault(group, owner) != owner:
                raise InputError(
                    f"The group {group!r} is in {owners[group][0]} and in {owner[0]}; a group is of one recording and "
                    "one subject: put the recording's key into its name."
                )

    def __len__(self) -> int:
        return len(self.words)

    def part(self, numbers: Sequence[int]) -> "Occurrences":
        """Keep some, in the order given."""
        return Occurrences(**{name: [column[number] for number in numbers] for name, column in vars(self).items()})

    def place(self, number: int) -> str:
        """Say which word it is, for a message."""
        return f"{self.words[number]!r} at {self.onsets_s[number]:g} s of {self.recordings[number]}"
