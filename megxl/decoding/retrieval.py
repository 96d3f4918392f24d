"""Retrieval: where the word that was heard stands among the candidates.

Letters: N word occurrences, M those whose word is a candidate, K candidates, V vocabulary, D width of a vector.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from megxl.decoding.predictions import Predictions
from megxl.errors import InputError

_ROWS = 4096
"""Occurrences that are scored at once, so that all words of a language fit into memory."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Places:
    """Where the true words stand among the candidates."""

    candidates: tuple[str, ...]
    asked: int | None
    """Candidates that were wanted."""
    skipped: int
    """Occurrences whose word is no candidate."""
    kept_M: np.ndarray
    """Numbers of the other occurrences."""
    labels_M: np.ndarray
    """Which candidate each is."""
    better_M: np.ndarray
    """Candidates with a higher score."""
    tied_M: np.ndarray
    """Candidates with the same score, the true word itself counted."""

    def __len__(self) -> int:
        return len(self.kept_M)

    @property
    def ranks_M(self) -> np.ndarray:
        """Rank of the true word, 1 the best; of tied ones the mean."""
        return self.better_M + (self.tied_M + 1) / 2

    def credits(self, k: int) -> np.ndarray:
        """Probability that the true word is among the first `k` when ties are drawn by lot, shape (M,)."""
        check_top(k, len(self.candidates))
        return np.clip((k - self.better_M) / self.tied_M, 0, 1)

    @property
    def absent(self) -> tuple[str, ...]:
        """Candidates that never occur: a balanced metric leaves them out, and so depends on which they are."""
        there = set(self.labels_M.tolist())
        return tuple(word for number, word in enumerate(self.candidates) if number not in there)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of the numbers should know, a sentence each."""
        notes = []
        if self.asked is not None and self.asked > len(self.candidates):
            notes.append(f"The vocabulary has {len(self.candidates)} words: retrieval is among these, "
                         f"not among {self.asked}.")  # fmt: skip
        if self.absent:
            notes.append(
                f"{len(self.absent)} of the {len(self.candidates)} candidates never occur (first: {self.absent[0]!r}); "
                f"balanced metrics are means over the other {len(self.candidates) - len(self.absent)}."
            )
        if self.skipped:
            notes.append(f"{self.skipped} of {self.skipped + len(self)} words are no candidates and do not count.")
        return tuple(notes)


def find_places(predictions: Predictions, among: int | None = None) -> Places:
    """Rank candidates for every occurrence of one of them, by cosine or by the given scores.

    Parameters
    ----------
    predictions : Predictions
    among : int, optional
        Candidates: so many words of the vocabulary, from its beginning (the most frequent). More than there are
        means all, with a note. By default all.

    Raises
    ------
    InputError
        No occurrence of a candidate.
    """
    labels_N, number = predictions.labels_N, n_candidates(predictions, among)
    kept_M = _retrievable(predictions, among)
    if not len(kept_M):
        raise InputError(
            f"None of the {len(labels_N)} words is among the {number} candidates (first word: "
            f"{predictions.occurrences.words[0]!r}, first candidate: {predictions.vocabulary[0]!r}); nothing can be "
            "retrieved: take more candidates or another part."
        )
    labels_M = labels_N[kept_M]
    better_M, tied_M = np.empty_like(labels_M), np.empty_like(labels_M)
    for begin in range(0, len(kept_M), _ROWS):
        rows = slice(begin, begin + _ROWS)
        scores_NK = scores(predictions, among, kept_M[rows])
        true_N1 = np.take_along_axis(scores_NK, labels_M[rows, None], axis=1)
        better_M[rows], tied_M[rows] = (scores_NK > true_N1).sum(1), (scores_NK == true_N1).sum(1)
    return Places(
        candidates=tuple(predictions.vocabulary[:number]),
        asked=among,
        skipped=len(labels_N) - len(kept_M),
        kept_M=kept_M,
        labels_M=labels_M,
        better_M=better_M,
        tied_M=tied_M,
    )


def occurs(predictions: Predictions, among: int | None = None) -> bool:
    """Whether some word is among the candidates, so that `find_places` has something to rank."""
    return len(_retrievable(predictions, among)) > 0


def n_candidates(predictions: Predictions, among: int | None) -> int:
    """Candidates that there are, of so many wanted."""
    if among is not None and among < 1:
        raise InputError(f"A retrieval set of {among} candidates; allowed: at least 1.")
    return len(predictions.vocabulary[:among])


def check_top(k: int, candidates: int) -> None:
    """Refuse a top-k that no ranking of so many candidates can miss or has."""
    if not 1 <= k <= candidates:
        raise InputError(f"k = {k}; allowed: from 1 to {candidates}, the number of candidates.")


def all_credits(scores_NK: np.ndarray, k: int) -> np.ndarray:
    """`Places.credits`, were each candidate the true word in turn: shape (N, K)."""
    check_top(k, scores_NK.shape[1])
    threshold_N1 = np.partition(scores_NK, -k, axis=1)[:, -k, None]
    above_NK, at_NK = scores_NK > threshold_N1, scores_NK == threshold_N1
    return above_NK + at_NK * ((k - above_NK.sum(1)) / at_NK.sum(1))[:, None]


def scores(predictions: Predictions, among: int | None = None, which: np.ndarray | None = None) -> np.ndarray:
    """Score candidates for occurrences (all, or those of the numbers `which`): float64, shape (N, K).

    In float64 on the CPU wherever the predictions came from, so that ranks are the same on every machine.
    """
    values_NX = predictions.values_NX if which is None else predictions.values_NX[torch.from_numpy(which)]
    if predictions.targets_VD is None:
        return _plain(values_NX)[:, :among]
    targets_KD = _directions(predictions.targets_VD[:among])
    # equal targets must tie exactly, which a matrix product does not promise of equal columns
    first: dict[bytes, int] = {}
    same_K = [first.setdefault(row.tobytes(), len(first)) for row in targets_KD]
    distinct = np.unique(same_K, return_index=True)[1]
    return (_directions(values_NX) @ targets_KD[distinct].T)[:, same_K]


def _retrievable(predictions: Predictions, among: int | None) -> np.ndarray:
    """Numbers of the occurrences whose word is a candidate."""
    labels_N = predictions.labels_N
    return np.flatnonzero((labels_N >= 0) & (labels_N < n_candidates(predictions, among)))


def _directions(rows_ND: Tensor) -> np.ndarray:
    rows = _plain(rows_ND)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True) + 0.0  # no negative zeros: equal rows have equal bytes


def _plain(rows_NX: Tensor) -> np.ndarray:
    return rows_NX.detach().cpu().double().numpy()
