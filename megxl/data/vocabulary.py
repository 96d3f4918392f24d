"""The words of groups by how often they occur: the order in which retrieval knows them.

Letters: W words.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from megxl.data.groups import WordGroupSet


@dataclass(frozen=True, kw_only=True)
class Vocabulary:
    """Distinct words; the most frequent has rank 0."""

    words: tuple[str, ...]
    """In lower case, by falling count; of equally frequent ones, first the one that occurs first."""
    counts: tuple[int, ...]
    """How often each occurs."""
    ranks: dict[str, int] = field(init=False, repr=False, compare=False)
    """Rank of each word."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "ranks", {word: rank for rank, word in enumerate(self.words)})

    def __len__(self) -> int:
        return len(self.words)

    def __contains__(self, word: str) -> bool:
        return word.lower() in self.ranks

    def labels(self, words: Sequence[str]) -> np.ndarray:
        """Ranks of words (int64, shape (W,)); -1 for a word that is not in the vocabulary."""
        return np.array([self.ranks.get(word.lower(), -1) for word in words], dtype=np.int64)


def vocabulary(groups: WordGroupSet, indices: Iterable[int] | None = None, *, as_given: bool = False) -> Vocabulary:
    """Count the words of groups.

    Parameters
    ----------
    groups : WordGroupSet
    indices : iterable of int, optional
        Groups that count: those of the training part, so that test words choose nothing. By default all, which is the
        published rule: there the words to retrieve are chosen by train, validation and test together.
    as_given : bool
        Count groups in the order of `indices`, and as often as they are there: the published rule where sessions are
        split, which counts twice what validates and tests. Otherwise the order plays no part.
    """
    chosen = range(len(groups)) if indices is None else indices if as_given else sorted(set(indices))
    counted = Counter(text for index in chosen for text in groups.groups[index].texts)
    ordered = counted.most_common()  # equal counts keep the order of first occurrence
    return Vocabulary(words=tuple(word for word, _ in ordered), counts=tuple(count for _, count in ordered))
