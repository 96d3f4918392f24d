"""A run beside another one that was tested on the same words."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from megxl.decoding.paired import lined_up, paired_difference
from megxl.decoding.predictions import Predictions
from megxl.decoding.retrieval import occurs
from megxl.training.words.chosen_metrics import all_metrics
from megxl.training.words.results import finite

if TYPE_CHECKING:
    from megxl.training.words.sections import EvaluationSection


def beside(first: Predictions, other: Predictions, evaluation: "EvaluationSection") -> dict[str, Any]:
    """Differences of all metrics that both have, with intervals; words or candidates that differ are in ``notes``.

    Raises
    ------
    InputError
        The two were not tested at the same places of the same recordings.
    """
    other = lined_up(other, first)
    metrics = [all_metrics(evaluation, len(one.vocabulary)) for one in (first, other)]
    return finite(
        {
            "metrics": {
                metric.name: asdict(paired_difference(first, other, metric, resamples=evaluation.resamples))
                for metric in metrics[0]
                if metric in metrics[1] and all(occurs(one, metric.among) for one in (first, other))
            },
            "notes": _notes(first, other),
        }
    )


def _notes(first: Predictions, other: Predictions) -> list[str]:
    notes, words = [], (first.occurrences.words, other.occurrences.words)
    differ = sum(one != two for one, two in zip(*words, strict=True))
    if differ:
        notes.append(f"{differ} of {len(first)} words are others in the second run (a control that moves words).")
    only = set(map(str.lower, first.vocabulary)) ^ set(map(str.lower, other.vocabulary))
    if only:
        notes.append(f"{len(only)} words are in the vocabulary of one run alone: they do not choose among the same.")
    return notes
