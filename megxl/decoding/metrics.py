"""How often the word that was heard is near the top: plain and balanced top-k, in all and by parts.

Letters: N word occurrences, M those whose word is a candidate, K candidates.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from megxl.decoding.predictions import Predictions
from megxl.decoding.retrieval import Places, find_places
from megxl.errors import InputError

_NAME = re.compile(r"(balanced_)?top(\d+)_accuracy(?:_retrieval(\d+))?")


@dataclass(frozen=True, kw_only=True)
class Metric:
    """How often the true word is among the first `k` of the candidates; the defaults are the published headline."""

    k: int = 10
    among: int | None = 50
    """Candidates: so many words of the vocabulary, the most frequent; None: all of it."""
    balanced: bool = True
    """Mean over words of the share of each that was found; else the share of occurrences."""

    def __post_init__(self) -> None:
        if self.k < 1 or (self.among is not None and self.among < self.k):
            raise InputError(f"k = {self.k} of {self.among} candidates; allowed: from 1 to the number of candidates.")

    @classmethod
    def named(cls, name: str) -> "Metric":
        """Read a published name: ``balanced_top10_accuracy_retrieval50``, ``top1_accuracy``."""
        found = _NAME.fullmatch(name)
        if not found:
            raise InputError(
                f"There is no metric {name!r}; allowed: [balanced_]topK_accuracy[_retrievalN], such as "
                "balanced_top10_accuracy_retrieval50."
            )
        balanced, k, among = found.groups()
        return cls(k=int(k), among=int(among) if among else None, balanced=bool(balanced))

    @property
    def name(self) -> str:
        """The published name."""
        among = "" if self.among is None else f"_retrieval{self.among}"
        return f"{'balanced_' if self.balanced else ''}top{self.k}_accuracy{among}"

    def of(self, places: Places) -> float:
        """Value from 0 to 1."""
        return self.mean(places.credits(self.k), places.labels_M)

    def mean(self, credits_M: np.ndarray, labels_M: np.ndarray) -> float:
        """Mean of the credits over words or occurrences."""
        if not self.balanced:
            return float(credits_M.mean())
        times_K = np.bincount(labels_M)
        return float((np.bincount(labels_M, credits_M)[times_K > 0] / times_K[times_K > 0]).mean())

    def chance(self, places: Places) -> float:
        """Mean value of rankings drawn by lot, plain or balanced, however often the words occur."""
        return self.k / len(places.candidates)


def breakdown(places: Places, metric: Metric, names: Sequence[str]) -> dict[str, tuple[float, int]]:
    """Value and number of occurrences by word, subject, session or whatever the occurrences (all N) are named by."""
    distinct, name_M, times = np.unique(
        [names[number] for number in places.kept_M], return_inverse=True, return_counts=True
    )
    credits_M, order_M = places.credits(metric.k), np.argsort(name_M, kind="stable")
    parts = np.split(order_M, np.cumsum(times)[:-1])
    return {
        str(name): (metric.mean(credits_M[rows], places.labels_M[rows]), len(rows))
        for name, rows in zip(distinct, parts, strict=True)
    }


def measure(predictions: Predictions, sizes: Sequence[int] = (50, 250), k: int = 10) -> dict[str, float]:
    """Top-k and top-1, plain and balanced, and ranks for retrieval sets of some sizes, by the published names.

    Ties count by the probability of being first (published: in whatever order topk has them). `Places.notes` says
    what is to be said.
    """
    values: dict[str, float] = {}
    for among in sizes:
        places = find_places(predictions, among)
        for top in dict.fromkeys((k, 1)):
            for balanced in (False, True):
                metric = Metric(k=top, among=among, balanced=balanced)
                values[metric.name] = metric.of(places)
        values |= {
            f"mean_rank_retrieval{among}": float(places.ranks_M.mean()),
            f"median_rank_retrieval{among}": float(np.median(places.ranks_M)),
            f"n_samples_retrieval{among}": len(places),
            f"n_skipped_retrieval{among}": places.skipped,
            f"n_candidates_retrieval{among}": len(places.candidates),
            f"n_absent_retrieval{among}": len(places.absent),
        }
    return values
