"""What a part of the data holds to measure estimates by: its words, the candidates, and how often they were trained.

Letters: N word occurrences, V words of the vocabulary, E width of a target.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from megxl.decoding.metrics import Metric
from megxl.decoding.occurrences import Occurrences
from megxl.decoding.predictions import Predictions
from megxl.decoding.retrieval import find_places, occurs
from megxl.errors import InputError
from megxl.training.words.chosen_metrics import metric_named
from megxl.training.words.sections import EvaluationSection


@dataclass(frozen=True, kw_only=True, eq=False)
class Judge:
    """Turns estimates of a part into predictions."""

    part: str
    occurrences: Occurrences
    vocabulary: tuple[str, ...]
    counts: tuple[int, ...]
    """Of the training part."""
    candidates_VE: Tensor | None
    """Vectors of the vocabulary; None: what is judged are scores of it."""
    about: Mapping[str, Any] = field(default_factory=dict)

    def predictions(self, values_NX: Tensor) -> Predictions:
        """Predictions with all that a metric needs.

        Raises
        ------
        InputError
            Estimates that are not finite or zero; fewer or more than words.
        """
        try:
            return Predictions(
                values_NX=values_NX,
                occurrences=self.occurrences,
                vocabulary=self.vocabulary,
                targets_VD=self.candidates_VE,
                counts=self.counts,
                about={**self.about, "part": self.part},
            )
        except InputError as error:
            raise InputError(f"The {self.part} part: {error}") from error


def epoch_metrics(predictions: Predictions, evaluation: EvaluationSection) -> dict[str, float]:
    """Plain and balanced top-k and mean rank of every retrieval set, and the metric that selects, by their names.

    Retrieval sets of which no word occurs are left out; sets as large as the vocabulary are all of it.

    Raises
    ------
    InputError
        No word of the set occurs in which the metric that selects is measured.
    """
    vocabulary = len(predictions.vocabulary)
    selection = metric_named(evaluation, "selection", vocabulary)
    wanted = {selection.among: [selection]}
    for size in evaluation.retrieval_set_sizes:
        among = None if size >= vocabulary else size
        wanted.setdefault(among, [])
        wanted[among] += [Metric(k=evaluation.k, among=among, balanced=balanced) for balanced in (True, False)]
    row: dict[str, float] = {}
    for among, metrics in wanted.items():
        if selection not in metrics and not occurs(predictions, among):
            continue
        places = find_places(predictions, among)
        row |= {metric.name: metric.of(places) for metric in metrics}
        row["mean_rank" if among is None else f"mean_rank_retrieval{among}"] = float(places.ranks_M.mean())
    return row
