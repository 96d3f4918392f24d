"""Mean and median rank and their intervals, against groups copied one by one."""

import numpy as np
import pytest

from megxl.decoding.ranks import rank_summary
from megxl.decoding.retrieval import find_places
from tests.decoding.predicting import predict


def experiment(n=60, n_words=9):
    rng = np.random.default_rng(2)
    labels = rng.integers(0, n_words + 1, n)  # some are not in the vocabulary
    scores_NV = rng.integers(0, 6, (n, n_words)).astype(float)  # with ties
    scores_NV[np.arange(n), labels.clip(max=n_words - 1)] += rng.integers(0, 3, n)
    return predict(scores_NV, labels), scores_NV, labels


def ranks_by_loop(scores_NV, labels, among) -> list[float]:
    rows = [(list(row[:among]), label) for row, label in zip(scores_NV, labels, strict=True) if label < among]
    return [
        1 + sum(score > row[label] for score in row) + (sum(score == row[label] for score in row) - 1) / 2
        for row, label in rows
    ]


@pytest.mark.parametrize("among", [9, 4])
def test_mean_and_median_are_those_of_the_ranks(among):
    predictions, scores_NV, labels = experiment()
    told = rank_summary(predictions, find_places(predictions, among), resamples=50)
    ranks = ranks_by_loop(scores_NV, labels, among)
    assert told["mean_rank"]["value"] == pytest.approx(np.mean(ranks))
    assert told["median_rank"]["value"] == np.median(ranks)
    assert told["mean_rank"]["chance"] == told["median_rank"]["chance"] == (among + 1) / 2


@pytest.mark.parametrize(("name", "of"), [("mean_rank", np.mean), ("median_rank", np.median)])
def test_bounds_are_quantiles_over_groups_drawn_anew(name, of):
    predictions, scores_NV, labels = experiment()
    told = rank_summary(predictions, find_places(predictions), over="groups", resamples=4000)[name]
    groups, rng = np.arange(len(labels)) // 5, np.random.default_rng(7)
    drawn = []
    for _ in range(4000):
        rows = np.concatenate([np.flatnonzero(groups == group) for group in rng.choice(12, 12)])
        drawn.append(of(ranks_by_loop(scores_NV[rows], labels[rows], 9)))
    assert [told["low"], told["high"]] == pytest.approx(np.quantile(drawn, [0.025, 0.975]).tolist(), abs=0.12)


def test_one_group_has_no_bounds():
    predictions, _, _ = experiment(5)
    told = rank_summary(predictions, find_places(predictions))
    assert told["mean_rank"]["low"] is told["median_rank"]["high"] is None


def test_the_median_of_two_middle_ranks_is_their_mean():
    predictions = predict([[1.0, 2, 3, 4]] * 2, [3, 0])  # ranks 1 and 4
    assert rank_summary(predictions, find_places(predictions))["median_rank"]["value"] == 2.5
