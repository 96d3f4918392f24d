"""What is taken for what: counted word by word."""

from collections import Counter

import numpy as np
import pytest

pytest.importorskip("lightning.pytorch")

from megxl.decoding.metrics import Metric
from megxl.reporting.words.confusion import best_candidates, confusion, mistakes
from megxl.reporting.words.scores import score_predictions
from tests.decoding.predicting import predict

LABELS = [0, 0, 0, 1, 1, 2, 3, 4, 4, 4, 4, 7]
BEST = [0, 1, 1, 1, 0, 3, 3, 4, 0, 2, 2, 5]


def scored():
    values = np.zeros((len(LABELS), 8))
    values[range(len(LABELS)), BEST] = 1.0
    values[:, 7] = 2.0  # the last word of the vocabulary is no candidate
    return score_predictions("run", predict(values, LABELS), Metric(k=1, among=6), 100)


def test_rows_are_shares_of_each_word_and_sum_to_one():
    one = scored()
    found = confusion(one, best_candidates(one), shown=3)
    pairs = Counter(zip(LABELS[:-1], BEST[:-1], strict=True))  # the last word is no candidate
    shown = ["w4", "w0", "w1"]
    assert list(found.words) == shown and found.times_K.tolist() == [4, 3, 2]
    for row, (word, times) in enumerate(zip(shown, found.times_K, strict=True)):
        expected = [pairs[int(word[1:]), int(other[1:])] / times for other in shown]
        np.testing.assert_allclose(found.shares_KX[row], [*expected, 1 - sum(expected)], atol=1e-12)


def test_the_most_frequent_mistake_of_each_word():
    one = scored()
    assert mistakes(one, best_candidates(one)) == {
        "w0": ("w1", 2),
        "w1": ("w0", 1),
        "w2": ("w3", 1),
        "w4": ("w2", 2),
    }
