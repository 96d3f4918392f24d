"""What the words of a run's test say: its predictions, where the true words stand, the reported metric, how sure it is.

Letters: M occurrences of candidates.
"""

from dataclasses import dataclass

import numpy as np

from megxl.decoding.metrics import Metric
from megxl.decoding.paired import paired_difference
from megxl.decoding.predictions import Predictions, read_predictions
from megxl.decoding.retrieval import Places, find_places
from megxl.decoding.statistics import Interval, frequency_baseline, interval
from megxl.errors import InputError
from megxl.training.runs import PREDICTIONS, Run
from megxl.training.words.chosen_metrics import metric_named
from megxl.training.words.config import WordsConfig
from megxl.training.words.finished import method_of

TEST = "test"


@dataclass(frozen=True, kw_only=True, eq=False)
class Scored:
    """How the predictions of one run do by one metric.

    Parameters
    ----------
    name : str
        Of the run.
    predictions : Predictions
    places : Places
        Of these, among the candidates of `metric`.
    metric : Metric
    interval : Interval, optional
        None where there is only one group to draw from.
    """

    name: str
    predictions: Predictions
    places: Places
    metric: Metric
    interval: Interval | None

    @property
    def value(self) -> float:
        """The metric, from 0 to 1."""
        return self.metric.of(self.places)

    @property
    def chance(self) -> float:
        """Mean of rankings drawn by lot."""
        return self.metric.chance(self.places)

    @property
    def frequency(self) -> float | None:
        """What the most frequent words of training score, always given as the answer; None: not known."""
        counts = self.predictions.counts
        return None if counts is None else frequency_baseline(self.places, self.metric, counts)

    @property
    def hits_M(self) -> np.ndarray:
        """Whether the true word is among the first k (of ties, by lot: the probability)."""
        return self.places.credits(self.metric.k)


def score(run: Run[WordsConfig], metric: Metric | None = None) -> Scored:
    """Score the saved predictions of a run's test, by default by the metric that it reports.

    Raises
    ------
    InputError
        No predictions, damaged ones, or none of a candidate.
    """
    predictions, evaluation = read_predictions(run.path / PREDICTIONS / TEST), run.config.evaluation
    metric = metric or metric_named(evaluation, "reported", len(predictions.vocabulary))
    return score_predictions(f"{run.name} ({method_of(run.config)})", predictions, metric, evaluation.resamples)


def score_predictions(name: str, predictions: Predictions, metric: Metric, resamples: int) -> Scored:
    """Score predictions that are in memory."""
    places = find_places(predictions, metric.among)
    return Scored(
        name=name,
        predictions=predictions,
        places=places,
        metric=metric,
        interval=interval(predictions, places, metric, resamples=resamples),
    )


def difference_text(scored: Scored, other: Scored, resamples: int) -> str:
    """Say by how much a run is above another one, word by word in the same resamples; or why nobody can."""
    try:
        found = paired_difference(scored.predictions, other.predictions, scored.metric, resamples=resamples)
    except InputError as error:
        return f"a difference cannot be given: {error}"
    bounds = "" if found.low is None or found.high is None else f" ({100 * found.low:+.1f} to {100 * found.high:+.1f})"
    return f"this run {100 * found.difference:+.1f} points{bounds}"


def told(metric: Metric) -> str:
    """Name a metric for people."""
    among = "all words" if metric.among is None else f"the {metric.among} most frequent words"
    return f"{'balanced ' if metric.balanced else ''}top-{metric.k} accuracy among {among}"


def interval_text(scored: Scored) -> str:
    """Write an interval in per cent."""
    if scored.interval is None:
        return "one group alone: no interval"
    return f"{100 * scored.interval.low:.1f} to {100 * scored.interval.high:.1f} %"
