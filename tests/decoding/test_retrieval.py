"""Where true words stand among candidates: ties, rounding, and what is told."""

import numpy as np
import pytest
import torch

from megxl.decoding.metrics import Metric, measure
from megxl.decoding.retrieval import all_credits, find_places, occurs, scores
from megxl.errors import InputError
from tests.decoding.predicting import predict


def test_credits_of_all_candidates_are_those_of_each_as_the_true_word():
    scores_NV = np.random.default_rng(4).integers(0, 3, (40, 7)).astype(float)
    for k in (1, 3, 7):
        for label in range(7):
            one_by_one = find_places(predict(scores_NV, [label] * 40)).credits(k)
            np.testing.assert_allclose(all_credits(scores_NV, k)[:, label], one_by_one, atol=1e-12)


@pytest.mark.parametrize(("label", "among", "there"), [(2, None, True), (2, 3, True), (2, 2, False), (2, 9, True)])
def test_a_word_occurs_among_candidates_just_where_it_can_be_ranked(label, among, there):
    predictions = predict(np.eye(4)[[label]], [label])
    assert occurs(predictions, among) == there
    if there:
        assert len(find_places(predictions, among)) == 1
    else:
        with pytest.raises(InputError, match="nothing can be retrieved"):
            find_places(predictions, among)


@pytest.mark.parametrize(("n_rows", "n_pairs", "width"), [(40, 20, 33), (1, 9, 1000), (3, 37, 1024)])
def test_words_with_the_same_vector_share_a_place(n_rows, n_pairs, width):
    """Twins of the true word are no better and no worse; of few rows, products of equal columns differ by rounding."""
    targets = torch.randn(n_pairs, width).repeat(2, 1)
    labels = np.arange(n_rows)
    predictions = predict(targets[labels] + 0.1 * torch.randn(n_rows, width), labels, targets)
    places = find_places(predictions)
    assert (places.tied_M == 2).all() and (places.ranks_M == 1.5).all()
    assert Metric(k=1, among=None).of(places) == 0.5
    scores_NK = scores(predictions)
    np.testing.assert_array_equal(scores_NK[:, :n_pairs], scores_NK[:, n_pairs:])
    by_hand = predictions.values_NX.double() @ targets.double().T
    by_hand /= predictions.values_NX.double().norm(dim=1)[:, None] * targets.double().norm(dim=1)
    np.testing.assert_allclose(scores_NK, by_hand, atol=1e-12)


def test_the_length_of_a_vector_does_not_matter():
    targets, labels = torch.randn(30, 5), np.arange(30)
    values = targets[labels] + torch.randn(30, 5)
    scaled = predict(values * torch.rand(30, 1).add(0.1), labels, targets * torch.rand(30, 1).add(0.1))
    np.testing.assert_array_equal(find_places(scaled).ranks_M, find_places(predict(values, labels, targets)).ranks_M)


def test_many_rows_are_ranked_as_few_are(monkeypatch):
    rng = np.random.default_rng(2)
    predictions = predict(rng.normal(size=(50, 9)), rng.integers(0, 9, 50))
    whole = find_places(predictions).ranks_M
    monkeypatch.setattr("megxl.decoding.retrieval._ROWS", 7)
    np.testing.assert_array_equal(find_places(predictions).ranks_M, whole)


def test_absent_candidates_small_vocabularies_and_skipped_words_are_told():
    places = find_places(predict(np.eye(4)[[0, 0, 2]], [0, 0, 9]), 250)
    assert places.absent == ("w1", "w2", "w3") and places.skipped == 1 and len(places.candidates) == 4
    too_few, absent, skipped = places.notes
    assert "4 words" in too_few and "250" in too_few
    assert absent.startswith("3 of the 4 candidates never occur (first: 'w1')")
    assert skipped.startswith("1 of 3 words")
    values = measure(predict(np.eye(4)[[0, 0, 2]], [0, 0, 9]), sizes=(250,), k=2)
    assert values["n_candidates_retrieval250"] == 4 and values["n_absent_retrieval250"] == 3
