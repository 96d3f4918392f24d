"""Two decoders of the same words, one beside the other: their difference, and how sure it is.

Letters: N word occurrences, R resamples.
"""

from dataclasses import dataclass

import numpy as np

from megxl.decoding.metrics import Metric
from megxl.decoding.predictions import Predictions
from megxl.decoding.retrieval import find_places
from megxl.decoding.statistics import LEVEL, RESAMPLES, bootstrap
from megxl.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Difference:
    """What one decoder scores above another; bounds are None where there is one group to draw from."""

    value: float
    """Of the first."""
    other: float
    difference: float
    """First minus other."""
    low: float | None
    high: float | None


def paired_difference(
    first: Predictions,
    other: Predictions,
    metric: Metric,
    *,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
    seed: int = 0,
) -> Difference:
    """Compare a metric of two decoders: both are measured in the same resamples, so that hard groups count for both.

    Parameters
    ----------
    first, other : Predictions
        Of the same places of the same recordings (see `lined_up`).
    metric : Metric
    resamples, seed : int
    level : float

    Raises
    ------
    InputError
        Other places, or sets of candidates of which one occurs in a resample and the other does not.
    """
    other = lined_up(other, first)
    places = [find_places(predictions, metric.among) for predictions in (first, other)]
    values = [metric.of(some) for some in places]
    drawn = [
        bootstrap(predictions, some, metric, resamples=resamples, seed=seed)
        for predictions, some in zip((first, other), places, strict=True)
    ]
    low = high = None
    if drawn[0] is not None and drawn[1] is not None:
        if len(drawn[0]) != len(drawn[1]):
            raise InputError(f"{metric.name}: the runs choose among other words, of which some resamples hold none; "
                             "they cannot be compared.")  # fmt: skip
        low, high = np.quantile(drawn[0] - drawn[1], [(1 - level) / 2, (1 + level) / 2]).tolist()
    return Difference(value=values[0], other=values[1], difference=values[0] - values[1], low=low, high=high)


def lined_up(predictions: Predictions, like: Predictions) -> Predictions:
    """Bring predictions into the order of others of the same groups, recordings and onsets; words may differ.

    Raises
    ------
    InputError
        Says how many places only one of them has.
    """
    own, wanted = _places(predictions), _places(like)
    if sorted(own) != sorted(wanted):
        only = sorted(set(wanted) - set(own)) or sorted(set(own) - set(wanted))
        raise InputError(
            f"The runs were not tested on the same words: {len(set(own) & set(wanted))} of {len(wanted)} places are "
            f"the same (another: {only[0][0]}, {only[0][1]:g} s, group {only[0][2]!r}); compare runs of one corpus, "
            "protocol, split and grouping."
        )
    order, target = (sorted(range(len(places)), key=places.__getitem__) for places in (own, wanted))
    numbers = np.empty(len(own), dtype=np.int64)
    numbers[target] = order
    return predictions.part(numbers)


def _places(predictions: Predictions) -> list[tuple[str, float, str, str]]:
    columns = predictions.occurrences
    return list(zip(columns.recordings, columns.onsets_s, columns.groups, columns.subjects, strict=True))
