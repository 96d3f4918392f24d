"""The permutation test: its null, what each unit exchanges, and that it says no more than it may."""

import itertools

import numpy as np
import pytest

from megxl.decoding.metrics import Metric
from megxl.decoding.permutation import permutation_test
from megxl.errors import InputError
from tests.decoding.predicting import by_loop, predict


@pytest.mark.parametrize("balanced", [False, True])
def test_the_null_is_that_of_all_orders_of_the_groups(balanced):
    """Against all 24 orders of four groups of five, each about as often as the others."""
    rng = np.random.default_rng(0)
    scores, labels = rng.normal(size=(20, 4)), rng.integers(0, 5, 20)  # one word of five is no candidate
    metric = Metric(k=2, among=4, balanced=balanced)
    found = permutation_test(predict(scores, labels), metric, permutations=4800)
    every = []
    for order in itertools.permutations(range(4)):
        exchanged = np.concatenate([labels[5 * group : 5 * group + 5] for group in order])
        every.append(by_loop(scores, np.where(exchanged < 4, exchanged, -1), 2, 4, balanced))
    assert found.value == pytest.approx(every[0])
    expected = {
        round(value, 9): 200 * times
        for value, times in zip(*np.unique(np.round(every, 9), return_counts=True), strict=True)
    }
    counted = dict(zip(*np.unique(np.round(found.null_P, 9), return_counts=True), strict=True))
    assert counted.keys() == expected.keys()
    for value, times in expected.items():
        assert abs(counted[value] - times) < 5 * np.sqrt(times)


def test_signal_is_found_and_noise_is_not():
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 10, 200)
    noise = rng.normal(size=(200, 10))
    metric = Metric(k=3, among=10)
    assert permutation_test(predict(noise + 2 * np.eye(10)[labels], labels), metric, permutations=199).p == 1 / 200
    ps = [permutation_test(predict(rng.normal(size=(60, 4)), rng.integers(0, 4, 60)), Metric(k=1, among=4),
                           permutations=99).p for _ in range(100)]  # fmt: skip
    assert 0.3 < np.mean(ps) < 0.7 and np.mean(np.array(ps) <= 0.1) < 0.25


def test_knowing_the_order_of_words_passes_single_words_but_not_groups():
    """A decoder without signal that says the same passage for each group, which is nearly right in all of them."""
    labels = np.tile(np.arange(5), 20)
    predictions = predict(np.eye(5)[labels], labels)
    metric = Metric(k=1, among=5)
    assert permutation_test(predictions, metric, unit="words", permutations=99).p == 0.01
    assert permutation_test(predictions, metric, permutations=99).p == 1.0


def test_knowing_the_recording_passes_freely_but_not_within_recordings():
    """Subjects of the helper take turns by groups of five; each hears a word of its own."""
    labels = np.arange(100) // 5 % 2
    predictions = predict(np.eye(2)[labels], labels)
    metric = Metric(k=1, among=2)
    assert permutation_test(predictions, metric, permutations=99).p < 0.05
    within = permutation_test(predictions, metric, within=predictions.occurrences.recordings, permutations=99)
    assert within.p == 1.0 and (within.null_P == 1.0).all()


def test_groups_of_different_length_keep_all_words():
    rng = np.random.default_rng(2)
    labels = rng.integers(0, 3, 18)  # groups of 5, 5, 5 and 3 words
    found = permutation_test(predict(np.tile([3.0, 2.0, 1.0], (18, 1)), labels), Metric(k=1, among=3, balanced=False))
    np.testing.assert_allclose(found.null_P, (labels == 0).mean())
    labels[labels == 2] = 0
    moved = permutation_test(predict(rng.normal(size=(18, 3)), labels), Metric(k=1, among=3))
    assert len(np.unique(moved.null_P)) > 3


def test_what_cannot_be_exchanged_is_refused():
    predictions = predict(np.eye(3), [0, 1, 2])
    with pytest.raises(InputError, match="not two groups"):
        permutation_test(predictions, Metric(k=1, among=3))
    with pytest.raises(InputError, match="allowed: groups, words"):
        permutation_test(predictions, Metric(k=1, among=3), unit="letters")  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputError, match="one for each of the 3 words"):
        permutation_test(predictions, Metric(k=1, among=3), within=["a"])
    with pytest.raises(InputError, match="k = 10"):
        permutation_test(predict(np.eye(3), [0, 1, 2]), Metric(k=10, among=50), unit="words")
