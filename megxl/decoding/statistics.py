"""How sure a retrieval metric is, and what the most frequent words alone would score.

Words of one group share their signal and their context, and groups of one subject share a head: they are drawn
together, or the intervals would be too narrow.

Letters: N occurrences, M those of candidates, G groups, S subjects, K candidates, R resamples.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import scipy.sparse

from megxl.data.seeds import seed_of
from megxl.decoding.metrics import Metric
from megxl.decoding.predictions import Predictions
from megxl.decoding.retrieval import Places, all_credits
from megxl.errors import InputError

RESAMPLES = 10_000
LEVEL = 0.95
FEW = 10
"""Subjects or groups below which a bootstrap interval is too narrow to be taken at its word."""
_AT_ONCE = 500
"""Resamples that are in memory together."""

Over = Literal["groups", "subjects", "both"]


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A value with the bounds between which it lies when the experiment is drawn anew."""

    value: float
    low: float
    high: float
    level: float
    over: Over
    """What was drawn."""
    n_subjects: int
    n_groups: int

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader should know, a sentence each."""
        drawn = {"groups": {"groups": self.n_groups}, "subjects": {"subjects": self.n_subjects}}.get(
            self.over, {"subjects": self.n_subjects, "groups": self.n_groups}
        )
        return tuple(
            f"The interval is over {number} {what} only, and so narrower than it should be."
            for what, number in drawn.items()
            if number < FEW
        )


def bootstrap(
    predictions: Predictions,
    places: Places,
    metric: Metric,
    *,
    over: Over | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> np.ndarray | None:
    """Values of a metric when groups, subjects or both are drawn anew, with replacement (Davison & Hinkley 1997).

    Parameters
    ----------
    predictions : Predictions
    places : Places
        Of these predictions.
    metric : Metric
    over : "groups", "subjects" or "both", optional
        ``groups``: other words from the same people. ``subjects``: other people, with all their groups. ``both``:
        other people and, of each, other groups; the default where there is more than one.
    resamples, seed : int
        Two decoders of the same words get the same draws from the same seed: subtract them for the interval of
        their difference.

    Returns
    -------
    ndarray, shape (R,), or None
        None where there is one unit to draw from, which says nothing of others. A resample without any candidate is
        left out.
    """
    units = Units(predictions, over or default_over(predictions))
    if units.number < 2:
        return None
    group_M, shape = units.group_N[places.kept_M], (len(units.subject_G), len(places.candidates))
    # word by group: sums of credits and numbers of occurrences
    sums_GK, times_GK = (
        scipy.sparse.csr_array((values_M, (group_M, places.labels_M)), shape=shape)
        for values_M in (places.credits(metric.k), np.ones(len(places)))
    )
    values = []
    for drawn_RG in units.draws(resamples, seed):
        sums_RK, times_RK = drawn_RG @ sums_GK, drawn_RG @ times_GK
        if not metric.balanced:
            sums_RK, times_RK = sums_RK.sum(1, keepdims=True), times_RK.sum(1, keepdims=True)
        there_RK = times_RK > 0
        shares_RK = np.divide(sums_RK, times_RK, out=np.zeros_like(sums_RK), where=there_RK)
        some_R = there_RK.any(1)
        values.append(shares_RK[some_R].sum(1) / there_RK[some_R].sum(1))
    return np.concatenate(values)


def interval(
    predictions: Predictions, places: Places, metric: Metric, *, level: float = LEVEL, **options: Any
) -> Interval | None:
    """Value and percentile interval of a metric; `options` are those of `bootstrap`."""
    values_R = bootstrap(predictions, places, metric, **options)
    if values_R is None:
        return None
    low, high = np.quantile(values_R, [(1 - level) / 2, (1 + level) / 2])
    return Interval(
        value=metric.of(places),
        low=float(low),
        high=float(high),
        level=level,
        over=options.get("over") or default_over(predictions),
        n_subjects=len(set(predictions.occurrences.subjects)),
        n_groups=len(set(predictions.occurrences.groups)),
    )


def default_over(predictions: Predictions) -> Over:
    """What is drawn unless told otherwise: subjects and their groups, or groups where there is one subject."""
    return "both" if len(set(predictions.occurrences.subjects)) > 1 else "groups"


class Units:
    """What can be drawn: groups, each of one subject."""

    def __init__(self, predictions: Predictions, over: Over) -> None:
        if over not in ("groups", "subjects", "both"):
            raise InputError(f"over = {over!r}; allowed: groups, subjects, both.")
        columns, self.over = predictions.occurrences, over
        _, first_G, self.group_N = np.unique(columns.groups, return_index=True, return_inverse=True)
        self.subject_G = np.unique(columns.subjects, return_inverse=True)[1][first_G]
        self.n_subjects = int(self.subject_G.max()) + 1
        self.number = self.n_subjects if over == "subjects" else len(first_G)

    def draws(self, resamples: int, seed: int) -> Iterator[np.ndarray]:
        """How often each group is drawn, shape (R, G), so many resamples at a time as fit into memory."""
        rng = np.random.default_rng(seed_of("bootstrap", seed))
        for begin in range(0, resamples, _AT_ONCE):
            yield self._draw(rng, min(_AT_ONCE, resamples - begin))

    def _draw(self, rng: np.random.Generator, resamples: int) -> np.ndarray:
        n_groups = len(self.subject_G)
        if self.over == "groups":
            return rng.multinomial(n_groups, np.full(n_groups, 1 / n_groups), size=resamples).astype(np.float64)
        times_RS = rng.multinomial(self.n_subjects, np.full(self.n_subjects, 1 / self.n_subjects), size=resamples)
        if self.over == "subjects":
            return times_RS[:, self.subject_G].astype(np.float64)
        drawn_RG = np.empty((resamples, n_groups))
        for subject in range(self.n_subjects):
            own = np.flatnonzero(self.subject_G == subject)
            drawn_RG[:, own] = rng.multinomial(times_RS[:, subject] * len(own), np.full(len(own), 1 / len(own)))
        return drawn_RG


def frequency_baseline(places: Places, metric: Metric, counts: Sequence[int] | None) -> float:
    """Score of the answer "the most frequent words", always, by how often candidates occur in the training part.

    Raises
    ------
    InputError
        No counts, or fewer than candidates.
    """
    if counts is None or len(counts) < len(places.candidates):
        raise InputError("The baseline of frequent words needs how often each candidate occurs in the training part: "
                         "give Predictions their counts.")  # fmt: skip
    counts_1K = np.asarray(counts, dtype=np.float64)[None, : len(places.candidates)]
    return metric.mean(all_credits(counts_1K, metric.k)[0, places.labels_M], places.labels_M)
