"""Which metric chooses the best epoch and which is the headline, by the configuration."""

from typing import TYPE_CHECKING, Literal

from megxl.decoding.metrics import Metric
from megxl.errors import InputError

if TYPE_CHECKING:
    from megxl.training.words.sections import EvaluationSection

Which = Literal["selection", "reported"]


def metric_named(evaluation: "EvaluationSection", which: Which, vocabulary: int | None = None) -> Metric:
    """The metric that chooses the best epoch, or the headline.

    Parameters
    ----------
    evaluation : EvaluationSection
    which : "selection" or "reported"
    vocabulary : int, optional
        Words that there are: a retrieval set that is not smaller is all of them, and the metric's name says so.
    """
    name, sizes = getattr(evaluation, f"{which}_metric"), evaluation.retrieval_set_sizes
    if name is None:
        metric = Metric(k=evaluation.k, among=sizes[-1 if which == "selection" else 0])
    else:
        metric = Metric.named(name)
    if vocabulary is None or metric.among is None or metric.among < vocabulary:
        return metric
    return Metric(k=metric.k, among=None, balanced=metric.balanced)


def check_evaluation(evaluation: "EvaluationSection", vocabulary: int) -> None:
    """Refuse what no decoder could miss, before the work.

    Raises
    ------
    InputError
        A top-k of not more than k candidates.
    """
    for size in evaluation.retrieval_set_sizes:
        if evaluation.k >= min(size, vocabulary):
            has = f"the set of {size} words" if size <= vocabulary else f"the vocabulary of {vocabulary} words"
            raise InputError(
                f"evaluation.k = {evaluation.k}, but {has} has not more: every answer would be right; allowed: "
                f"k below {min(size, vocabulary)}."
            )
    for which in ("selection", "reported"):
        metric = metric_named(evaluation, which, vocabulary)
        candidates = metric.among or vocabulary
        if metric.k >= candidates:
            raise InputError(
                f"evaluation.{which}_metric = {metric.name} among {candidates} words: every answer would be right; "
                "take a smaller k."
            )


def all_metrics(evaluation: "EvaluationSection", vocabulary: int) -> list[Metric]:
    """All that are measured, by retrieval set: top-k and top-1, balanced and plain, and the two that are named."""
    named = [metric_named(evaluation, which, vocabulary) for which in ("selection", "reported")]
    return list(
        dict.fromkeys(
            [
                *(
                    Metric(k=k, among=among, balanced=balanced)
                    for among in [*sets_asked(evaluation, vocabulary), None]
                    for k in (evaluation.k, 1)
                    for balanced in (True, False)
                ),
                *named,
            ]
        )
    )


def sets_asked(evaluation: "EvaluationSection", vocabulary: int) -> list[int | None]:
    """Retrieval sets of the configuration; None: the whole vocabulary, which is not larger."""
    sizes = [None if size >= vocabulary else size for size in evaluation.retrieval_set_sizes]
    named = [metric_named(evaluation, which, vocabulary).among for which in ("selection", "reported")]
    return list(dict.fromkeys([*sizes, *named]))
