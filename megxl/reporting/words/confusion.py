"""Which words a decoder takes for which: its best candidate against the word that was heard.

Letters: M occurrences of candidates, K words that are shown, X the same and all others together.
"""

from collections import Counter
from dataclasses import dataclass

import numpy as np

from megxl.decoding.retrieval import scores
from megxl.reporting.words.scores import Scored

SHOWN = 25
"""Words in the matrix, the most frequent of the test."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Confusion:
    """How often each frequent word was decoded as each."""

    words: tuple[str, ...]
    times_K: np.ndarray
    """How often each was heard."""
    shares_KX: np.ndarray
    """Share of a word's occurrences that was decoded as each, shape (K, K + 1); the last column: as any other."""


def best_candidates(scored: Scored) -> np.ndarray:
    """Number of the candidate with the highest score, the first of equals, for each occurrence of one; shape (M,)."""
    return scores(scored.predictions, scored.metric.among, scored.places.kept_M).argmax(axis=1)


def confusion(scored: Scored, best_M: np.ndarray, shown: int = SHOWN) -> Confusion:
    """Count what was decoded in place of the words that occur most often in the test."""
    labels_M = scored.places.labels_M
    common = [label for label, _ in Counter(labels_M.tolist()).most_common(shown)]
    column_of = np.full(len(scored.places.candidates), len(common))
    column_of[common] = np.arange(len(common))
    counts_KX = np.zeros((len(common), len(common) + 1))
    kept_M = column_of[labels_M] < len(common)
    np.add.at(counts_KX, (column_of[labels_M[kept_M]], column_of[best_M[kept_M]]), 1)
    times_K = counts_KX.sum(axis=1)
    return Confusion(
        words=tuple(scored.places.candidates[label] for label in common),
        times_K=times_K.astype(int),
        shares_KX=counts_KX / times_K[:, None],
    )


def mistakes(scored: Scored, best_M: np.ndarray) -> dict[str, tuple[str, int]]:
    """For each word the other one that was most often decoded in its place, and how often; none where there is none."""
    counts: dict[int, Counter[int]] = {}
    for label, best in zip(scored.places.labels_M.tolist(), best_M.tolist(), strict=True):
        if label != best:
            counts.setdefault(label, Counter())[best] += 1
    names = scored.places.candidates
    return {names[label]: (names[best], times) for label, found in counts.items()
            for best, times in found.most_common(1)}  # fmt: skip
