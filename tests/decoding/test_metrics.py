"""Retrieval metrics against the published numbers, a loop in plain Python, and what must hold of any such metric."""

import json
import math

import numpy as np
import pytest
import torch

from megxl.decoding.metrics import Metric, breakdown, measure
from megxl.decoding.published_metrics import published_metrics
from megxl.decoding.retrieval import find_places
from megxl.errors import InputError
from tests.decoding.predicting import by_loop, predict


@pytest.fixture(scope="module")
def cases(shared):
    folder = shared / "golden"
    expected = json.loads((folder / "data_reference.json").read_text())["expected"]["metrics"]
    with np.load(folder / "data_reference.npz") as file:
        return [
            ([torch.from_numpy(file[f"metrics/{case}/{name}"]) for name in ("pred", "labels", "vocab")], expected[case])
            for case in sorted(expected)
        ]


def test_published_metrics_are_the_golden_ones(cases):
    assert len(cases) == 4
    for arrays, expected in cases:
        ours = published_metrics(*arrays)
        for top in (1, 5, 20):
            ours |= {name: value for name, value in published_metrics(*arrays, k=top).items() if f"top{top}_" in name}
        for name, value in expected.items():
            assert ours[name] == pytest.approx(value, abs=1e-6), name


def test_without_ties_the_fair_metrics_are_the_golden_ones(cases):
    compared = 0
    for (vectors, labels, targets), expected in cases:
        predictions = predict(vectors, labels.tolist(), targets)
        for name, value in expected.items():
            if "_accuracy" not in name or expected.get("n_samples_" + name.rpartition("_")[2], 1) == 0:
                continue
            metric = Metric.named(name)
            assert metric.name == name
            assert metric.of(find_places(predictions, metric.among)) == pytest.approx(value, abs=1e-6), name
            compared += 1
    assert compared == 3 * 10 + 5


@pytest.mark.parametrize("balanced", [False, True])
@pytest.mark.parametrize(("k", "among"), [(1, 12), (3, 7), (5, 5), (10, 12)])
def test_any_metric_is_the_loop_s_with_ties_and_unknown_words(k, among, balanced):
    rng = np.random.default_rng(k)
    scores_NV = rng.integers(0, 4, (80, 12)).astype(float)
    labels = rng.integers(0, 15, 80)  # three words are not in the vocabulary
    places = find_places(predict(scores_NV, labels), among)
    expected = by_loop(scores_NV, np.where(labels < 12, labels, -1), k, among, balanced)
    assert Metric(k=k, among=among, balanced=balanced).of(places) == pytest.approx(expected, abs=1e-12)


def test_an_oracle_finds_all_and_its_opposite_nothing():
    targets = torch.randn(60, 8)
    labels = np.arange(120) % 60
    oracle, opposite = (measure(predict(sign * targets[labels], labels, targets), sizes=(50,)) for sign in (1, -1))
    for name, value in oracle.items():
        if "accuracy" in name:
            assert value == 1.0 and opposite[name] == 0.0, name
    assert oracle["mean_rank_retrieval50"] == 1 and opposite["mean_rank_retrieval50"] == 50


def test_noise_is_at_chance():
    rng = np.random.default_rng(0)
    labels = rng.zipf(1.3, 6000) % 60
    places = find_places(predict(rng.normal(size=(6000, 60)), labels), 50)
    plain, balanced = (Metric(k=10, among=50, balanced=kind) for kind in (False, True))
    assert plain.chance(places) == balanced.chance(places) == 0.2
    times = np.bincount(places.labels_M)
    assert abs(plain.of(places) - 0.2) < 3 * math.sqrt(0.16 / len(places))
    assert abs(balanced.of(places) - 0.2) < 3 * math.sqrt((0.16 / times[times > 0]).sum()) / (times > 0).sum()


@pytest.mark.parametrize("k", [1, 10, 37])
def test_a_constant_answer_has_exactly_the_chance_of_a_balanced_metric(k):
    labels = np.arange(50).repeat(np.arange(1, 51))
    constant = np.tile(np.random.default_rng(1).normal(size=(1, 16)).astype(np.float32), (len(labels), 1))
    places = find_places(predict(constant, labels, torch.randn(50, 16)), 50)
    assert Metric(k=k, among=50).of(places) == pytest.approx(k / 50, abs=1e-12)


def test_parts_are_those_of_the_occurrences_alone():
    rng = np.random.default_rng(3)
    scores_NV, labels = rng.normal(size=(90, 6)), rng.integers(0, 8, 90)
    predictions = predict(scores_NV, labels)
    places, metric = find_places(predictions, 5), Metric(k=2, among=5)
    by_subject = breakdown(places, metric, predictions.occurrences.subjects)
    for number, name in enumerate(("s0", "s1")):
        rows = np.arange(90) // 5 % 2 == number
        expected = by_loop(scores_NV[rows], np.where(labels[rows] < 6, labels[rows], -1), 2, 5, True)
        assert by_subject[name] == (pytest.approx(expected), int((labels[rows] < 5).sum()))
    by_word = breakdown(places, metric, predictions.occurrences.words)
    assert np.mean([value for value, _ in by_word.values()]) == pytest.approx(metric.of(places))


def test_impossible_requests_get_a_sentence():
    predictions = predict(np.eye(4), [0, 1, 2, 3])
    for wrong in ("accuracy", "top10_accuracy_retrieval", "top0_accuracy", "top9_accuracy_retrieval5"):
        with pytest.raises(InputError, match="allowed"):
            Metric.named(wrong)
    with pytest.raises(InputError, match="from 1 to 4"):
        Metric(k=10, among=50).of(find_places(predictions, 50))
    with pytest.raises(InputError, match="at least 1"):
        find_places(predictions, 0)
    with pytest.raises(InputError, match="None of the 2 words is among the 4 candidates"):
        find_places(predict(np.eye(4)[:2], [7, 8]))


def test_reference_mode_refuses_nan_which_topk_would_put_first():
    vectors, targets = torch.randn(5, 4), torch.randn(20, 4)
    labels = torch.arange(5)
    published_metrics(torch.zeros(5, 4), labels, targets)
    with pytest.raises(InputError, match="1 of 5 predictions hold NaN"):
        published_metrics(vectors.index_fill(0, torch.tensor([3]), math.nan), labels, targets)
    with pytest.raises(InputError, match="from 0 to 19"):
        published_metrics(vectors, labels - 1, targets)


def test_reference_mode_takes_ties_in_the_order_of_topk():
    targets = torch.ones(20, 4)
    labels = torch.arange(20)
    published = published_metrics(torch.ones(20, 4), labels, targets, sizes=(20,))
    assert published["top10_accuracy_retrieval20"] == 0.5
    first = torch.ones(1, 20).topk(10).indices[0]
    two = published_metrics(torch.ones(2, 4), first[:2], targets, sizes=(20,))
    assert two["top10_accuracy_retrieval20"] == 1.0
    fair = find_places(predict(torch.ones(20, 4), labels.tolist(), targets))
    assert (fair.credits(10) == 0.5).all() and (fair.ranks_M == 10.5).all()
