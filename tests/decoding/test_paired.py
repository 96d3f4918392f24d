"""Two decoders of the same words: lined up by place, compared in the same resamples."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from megxl.decoding.metrics import Metric
from megxl.decoding.paired import lined_up, paired_difference
from megxl.decoding.retrieval import find_places
from megxl.errors import InputError
from tests.decoding.predicting import predict

METRIC = Metric(k=2, among=8)


def decoders(n=100, better=1.0):
    """The second one knows more; both share what makes some groups hard."""
    rng = np.random.default_rng(4)
    labels = rng.integers(0, 8, n)
    hard_N1 = np.repeat(rng.normal(size=n // 5), 5)[:, None]
    true_NV, noise_NV = np.eye(8)[labels], rng.normal(size=(n, 8))
    return [predict(noise_NV + (0.7 + hard_N1 + more) * true_NV, labels) for more in (0.0, better)]


def test_a_decoder_beside_itself_differs_by_exactly_nothing():
    first, _ = decoders()
    same = paired_difference(first, first, METRIC, resamples=300)
    assert (same.difference, same.low, same.high) == (0, 0, 0)


def test_the_difference_is_of_the_values_and_its_interval_is_paired():
    first, second = decoders()
    told = paired_difference(second, first, METRIC, resamples=2000)
    values = [METRIC.of(find_places(one, 8)) for one in (second, first)]
    assert (told.value, told.other) == tuple(values) and told.difference == pytest.approx(values[0] - values[1])
    groups, rng, labels = np.arange(100) // 5, np.random.default_rng(0), first.labels_N
    drawn = []
    for _ in range(2000):  # other people, and of each other groups
        rows = np.concatenate(
            [
                np.flatnonzero(groups == group)
                for person in rng.choice(2, 2)
                for group in rng.choice(np.unique(groups[groups % 2 == person]), 10)
            ]
        )
        one, two = (
            np.mean([credits[rows][labels[rows] == word].mean() for word in np.unique(labels[rows])])
            for credits in (find_places(decoder, 8).credits(2) for decoder in (second, first))
        )
        drawn.append(one - two)
    assert [told.low, told.high] == pytest.approx(np.quantile(drawn, [0.025, 0.975]).tolist(), abs=0.03)


def test_another_order_of_the_same_words_makes_no_difference():
    first, second = decoders()
    mixed = second.part(np.random.default_rng(1).permutation(len(second)))
    assert torch.equal(lined_up(mixed, first).values_NX, second.values_NX)
    expected = paired_difference(first, second, METRIC, resamples=200)
    assert paired_difference(first, mixed, METRIC, resamples=200) == expected


def test_other_places_are_refused_with_what_differs():
    first, second = decoders()
    with pytest.raises(InputError, match="not tested on the same words: 99 of 100 places are the same"):
        paired_difference(first, second.part(range(99)), METRIC)
    moved = replace(second.occurrences, onsets_s=[onset + 1 for onset in second.occurrences.onsets_s])
    with pytest.raises(InputError, match="protocol, split and grouping"):
        lined_up(replace(second, occurrences=moved), first)


def test_words_that_a_control_moved_are_still_the_same_places():
    first, second = decoders()
    words = list(reversed(second.occurrences.words))
    control = replace(second, occurrences=replace(second.occurrences, words=words))
    assert lined_up(control, first).occurrences.words == tuple(words)
