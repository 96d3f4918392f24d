"""What an epoch is measured by: the numbers of the finished run, and nothing that could not be measured."""

import numpy as np
import pytest

from megxl.errors import InputError
from megxl.training.words.judging import epoch_metrics
from megxl.training.words.results import results
from megxl.training.words.sections import EvaluationSection
from tests.decoding.predicting import predict

SCORES_NV = np.random.default_rng(3).standard_normal((40, 12))
LABELS = [number % 9 for number in range(40)]


def section(**options) -> EvaluationSection:
    return EvaluationSection(**{"retrieval_set_sizes": (6, 12), "k": 2, "resamples": 100, "permutations": 0} | options)


@pytest.mark.parametrize(
    "options", [{}, {"retrieval_set_sizes": (6, 50)}, {"selection_metric": "top1_accuracy_retrieval8"}], ids=str
)
def test_an_epoch_has_the_numbers_of_the_results(options):
    predictions = predict(SCORES_NV, LABELS)
    told = results(predictions, section(**options), part="validation")
    row = epoch_metrics(predictions, section(**options))
    assert told["selection_metric"] in row
    sets = {None if one["whole_vocabulary"] else one["candidates"]: one for one in told["sets"]}
    for name, value in row.items():
        if name.startswith("mean_rank"):
            among = None if name == "mean_rank" else int(name.removeprefix("mean_rank_retrieval"))
            assert value == pytest.approx(predictions_rank(predictions.values_NX.numpy(), among))
            assert among in sets
        else:
            assert value == pytest.approx(told["metrics"][name]["value"], abs=1e-12)


def predictions_rank(scores_NV: np.ndarray, among: int | None) -> float:
    """Mean place of the true word, by sorting."""
    ranks = [
        1 + sorted(row[:among], reverse=True).index(row[label])
        for row, label in zip(scores_NV, LABELS, strict=True)
        if among is None or label < among
    ]
    return sum(ranks) / len(ranks)


def test_a_set_of_which_no_word_occurs_is_left_out_unless_it_selects():
    predictions = predict(SCORES_NV, [7, 8] * 20)
    row = epoch_metrics(predictions, section())
    assert row and not any("retrieval6" in name for name in row)
    with pytest.raises(InputError, match="nothing can be retrieved"):
        epoch_metrics(predictions, section(selection_metric="balanced_top2_accuracy_retrieval6"))
