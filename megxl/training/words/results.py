"""What a decoder of words scores: all metrics with what they are to be compared with, from saved predictions alone."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch

from megxl.decoding.predictions import Predictions
from megxl.decoding.published_metrics import published_metrics
from megxl.errors import InputError
from megxl.training.words.chosen_metrics import check_evaluation, metric_named
from megxl.training.words.measured import Measured

if TYPE_CHECKING:
    from megxl.training.words.sections import EvaluationSection

__all__ = ["check_evaluation", "finite", "metric_named", "results", "run_results"]


def results(predictions: Predictions, evaluation: "EvaluationSection", *, part: str) -> dict[str, Any]:
    """Measure a part: for every retrieval set and among the whole vocabulary.

    Parameters
    ----------
    predictions : Predictions
    evaluation : EvaluationSection
    part : str
        Its name, for the reader: validation, test.

    Returns
    -------
    dict
        Plain values. ``metrics``: by name ``value, low, high, chance, frequency, p, k, candidates, balanced``; bounds
        are None where there is one group, `p` where nothing can be exchanged and among a vocabulary larger than the
        sets asked for, `frequency` without counts. ``sets``: of each retrieval set its size, words and ranks.
        ``by_word``, ``by_subject``, ``by_session``: by name the occurrences, the values of all metrics and, but for
        words, the interval of the reported metric. ``notes``: sentences.

    Raises
    ------
    InputError
        No word is a candidate, a k that no answer misses, or a number that is not finite.
    """
    check_evaluation(evaluation, len(predictions.vocabulary))
    measured = Measured(predictions, evaluation)
    columns = predictions.occurrences
    told = {
        "part": part,
        "words": len(predictions),
        "groups": len(set(columns.groups)),
        "recordings": len(set(columns.recordings)),
        "subjects": len(set(columns.subjects)),
        "vocabulary": len(predictions.vocabulary),
        "selection_metric": metric_named(evaluation, "selection", len(predictions.vocabulary)).name,
        "reported_metric": measured.reported.name,
        "options": {
            "sizes": list(evaluation.retrieval_set_sizes),
            "k": evaluation.k,
            "resamples": evaluation.resamples,
            "permutations": evaluation.permutations,
        },
        "interval": measured.interval_facts(),
        "metrics": {metric.name: measured.metric(metric) for metric in measured.metrics},
        "sets": [measured.set_facts(among) for among in measured.places],
        "by_word": measured.by_word(),
        "by_subject": measured.by(columns.subjects),
        "by_session": measured.by(_sessions(predictions)) if any(columns.sessions) else {},
    }
    told["notes"] = list(dict.fromkeys(measured.notes))
    return finite(told)


def run_results(
    parts: Mapping[str, Predictions], evaluation: "EvaluationSection", about: Mapping[str, Any]
) -> dict[str, Any]:
    """Content of a run's results.json: what it is about, and what its parts (validation, test) score.

    With the published protocol, ``published`` has the metrics of the test to the number as published.
    """
    told = {name: results(predictions, evaluation, part=name) for name, predictions in parts.items()}
    test = parts.get("test")
    if about.get("protocol") == "published" and test is not None and test.targets_VD is not None:
        told["published"] = finite(_published(test, evaluation))
    return {"about": dict(about), **told}


def finite(value: Any, place: str = "results") -> Any:
    """Return plain values that hold no NaN and nothing infinite.

    Raises
    ------
    InputError
        Names the first that is.
    """
    if isinstance(value, Mapping):
        return {str(key): finite(some, f"{place}.{key}") for key, some in value.items()}
    if isinstance(value, list | tuple):
        return [finite(some, f"{place}.{number}") for number, some in enumerate(value)]
    if isinstance(value, float) and not math.isfinite(value):
        raise InputError(f"{place} is {value}: the predictions or the targets are not sound; train again.")
    return value


def _sessions(predictions: Predictions) -> list[str]:
    """Sessions with their subjects: those of different subjects have the same names."""
    columns = predictions.occurrences
    return [f"{subject} {session}" for subject, session in zip(columns.subjects, columns.sessions, strict=True)]


def _published(test: Predictions, evaluation: "EvaluationSection") -> dict[str, float]:
    assert test.targets_VD is not None
    known = (test.labels_N >= 0).nonzero()[0]  # there, words without a target do not count
    labels_N = torch.from_numpy(test.labels_N[known])
    return published_metrics(
        test.values_NX[torch.from_numpy(known)], labels_N, test.targets_VD, evaluation.retrieval_set_sizes, evaluation.k
    )
