"""Mean and median rank of the true words, and how sure they are.

Letters: M occurrences of candidates, G groups, X distinct ranks, R resamples.
"""

from typing import Any

import numpy as np
import scipy.sparse

from megxl.decoding.predictions import Predictions
from megxl.decoding.retrieval import Places
from megxl.decoding.statistics import LEVEL, RESAMPLES, Over, Units, default_over


def rank_summary(
    predictions: Predictions,
    places: Places,
    *,
    over: Over | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
    level: float = LEVEL,
) -> dict[str, dict[str, Any]]:
    """Mean and median rank with percentile intervals and what rankings drawn by lot have.

    Returns
    -------
    dict
        ``mean_rank`` and ``median_rank``, each {"value", "low", "high", "chance"}; 1 is the best rank. Bounds are
        None where there is one unit to draw from.
    """
    units = Units(predictions, over or default_over(predictions))
    ranks_X, rank_M = np.unique(places.ranks_M, return_inverse=True)
    times_GX = scipy.sparse.csr_array(
        (np.ones(len(places)), (units.group_N[places.kept_M], rank_M)), shape=(len(units.subject_G), len(ranks_X))
    )
    drawn = [times_GX.sum(0)[None].astype(np.float64)]
    if units.number > 1:
        drawn += [drawn_RG @ times_GX for drawn_RG in units.draws(resamples, seed)]
    result = {}
    for name, of in (("mean_rank", _means), ("median_rank", _medians)):
        value, *values = np.concatenate([of(times_RX[times_RX.any(1)], ranks_X) for times_RX in drawn]).tolist()
        bounds = np.quantile(values, [(1 - level) / 2, (1 + level) / 2]).tolist() if values else [None, None]
        chance = (len(places.candidates) + 1) / 2
        result[name] = {"value": value, "low": bounds[0], "high": bounds[1], "chance": chance}
    return result


def _means(times_RX: np.ndarray, ranks_X: np.ndarray) -> np.ndarray:
    return times_RX @ ranks_X / times_RX.sum(1)


def _medians(times_RX: np.ndarray, ranks_X: np.ndarray) -> np.ndarray:
    """Middle rank, of two middle ones the mean."""
    below_RX, number_R1 = times_RX.cumsum(1), times_RX.sum(1, keepdims=True)
    lower_R = (below_RX >= np.ceil(number_R1 / 2)).argmax(1)
    upper_R = (below_RX >= np.floor(number_R1 / 2) + 1).argmax(1)
    return (ranks_X[lower_R] + ranks_X[upper_R]) / 2
