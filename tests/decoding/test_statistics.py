"""Intervals of retrieval metrics against draws one by one, SciPy and coverage; and what frequency alone gives."""

import numpy as np
import pytest
import scipy.stats
import torch

from megxl.decoding.metrics import Metric
from megxl.decoding.occurrences import Occurrences
from megxl.decoding.predictions import Predictions
from megxl.decoding.retrieval import find_places
from megxl.decoding.statistics import bootstrap, frequency_baseline, interval
from megxl.errors import InputError
from tests.decoding.predicting import by_loop, predict


def draw_experiment(rng, subjects=("s",), groups=20, size=5, n_words=6, skill=0.0, spread=0.0):
    """Scores of words in groups of subjects; `spread` makes the skill differ from group to group."""
    scores, labels, names, people = [], [], [], []
    for subject in subjects:
        for group in range(groups):
            here = skill + spread * rng.normal()
            for label in rng.integers(0, n_words, size):
                scores.append(rng.normal(size=n_words) + here * (np.arange(n_words) == label))
                labels.append(int(label))
                names.append(f"{subject}-{group}")
                people.append(subject)
    occurrences = Occurrences(
        words=[f"w{label}" for label in labels],
        groups=names,
        recordings=people,
        subjects=people,
        sessions=people,
        onsets_s=list(range(len(labels))),
    )
    values = torch.from_numpy(np.stack(scores))
    vocabulary = [f"w{n}" for n in range(n_words)]
    return Predictions(values_NX=values, occurrences=occurrences, vocabulary=vocabulary), np.array(labels)


def drawn_one_by_one(predictions, labels, metric, over, times, rng):
    """The bootstrap as a loop that copies the words of what was drawn."""
    subjects, groups = (np.array(getattr(predictions.occurrences, name)) for name in ("subjects", "groups"))
    values = []
    for _ in range(times):
        rows = []
        people = np.unique(subjects)
        for person in people if over == "groups" else rng.choice(people, len(people)):
            own = np.unique(groups[subjects == person])
            for group in own if over == "subjects" else rng.choice(own, len(own)):
                rows.append(np.flatnonzero(groups == group))
        rows = np.concatenate(rows)
        scores = predictions.values_NX.numpy()[rows]
        values.append(by_loop(scores, labels[rows], metric.k, metric.among, metric.balanced))
    return np.array(values)


@pytest.mark.parametrize("balanced", [False, True])
@pytest.mark.parametrize(
    ("over", "subjects"), [("groups", ("a",)), ("subjects", ("a", "b", "c", "d")), ("both", ("a", "b", "c", "d"))]
)
def test_values_are_those_of_drawing_one_by_one(over, subjects, balanced):
    rng = np.random.default_rng(0)
    predictions, labels = draw_experiment(rng, subjects, groups=6, size=4, skill=1.0, spread=1.0)
    metric = Metric(k=2, among=5, balanced=balanced)  # one word of six is no candidate
    ours = bootstrap(predictions, find_places(predictions, 5), metric, over=over)
    assert ours is not None and len(ours) == 10_000
    theirs = drawn_one_by_one(predictions, labels, metric, over, 1000, rng)
    assert ours.mean() == pytest.approx(theirs.mean(), abs=4 * ours.std() / np.sqrt(1000))
    assert ours.std() == pytest.approx(theirs.std(), rel=0.1)
    np.testing.assert_allclose(np.quantile(ours, [0.1, 0.9]), np.quantile(theirs, [0.1, 0.9]), atol=0.03)


def test_of_one_word_a_group_it_is_scipy_s_bootstrap():
    predictions, _ = draw_experiment(np.random.default_rng(1), groups=80, size=1, skill=0.5)
    places, metric = find_places(predictions), Metric(k=2, among=None, balanced=False)
    ours = interval(predictions, places, metric)
    theirs = scipy.stats.bootstrap((places.credits(2),), np.mean, method="percentile", n_resamples=10_000, rng=1)
    assert ours is not None and ours.value == metric.of(places)
    np.testing.assert_allclose((ours.low, ours.high), theirs.confidence_interval, atol=0.0126)  # one word of 80


def test_words_that_resemble_each_other_do_not_count_as_many():
    """Fifty copies of each group's word say no more than one."""
    once, _ = draw_experiment(np.random.default_rng(2), groups=15, size=1, skill=1.0)
    columns = {name: list(np.repeat(column, 50)) for name, column in vars(once.occurrences).items()}
    copied = Predictions(
        values_NX=once.values_NX.repeat_interleave(50, 0),
        occurrences=Occurrences(**(columns | {"onsets_s": list(range(750))})),
        vocabulary=once.vocabulary,
    )
    metric = Metric(k=1, among=6)
    ours, theirs = (bootstrap(some, find_places(some, 6), metric) for some in (copied, once))
    np.testing.assert_allclose(ours, theirs, atol=1e-12)


def test_two_decoders_of_the_same_words_are_drawn_together():
    """The difference of two that differ by one word is far surer than either."""
    predictions, labels = draw_experiment(np.random.default_rng(3), groups=30, skill=1.0, spread=1.0)
    values = predictions.values_NX.clone()
    values[7] = 0
    values[7, labels[7]] = -1
    other = Predictions(values_NX=values, occurrences=predictions.occurrences, vocabulary=predictions.vocabulary)
    metric = Metric(k=3, among=6, balanced=False)
    one, two = (bootstrap(some, find_places(some, 6), metric) for some in (predictions, other))
    assert one is not None and two is not None
    assert (one >= two).all() and (one - two).std() < one.std() / 3
    again = bootstrap(predictions, find_places(predictions, 6), metric)
    np.testing.assert_array_equal(again, one)
    assert not np.array_equal(bootstrap(predictions, find_places(predictions, 6), metric, seed=1), one)


@pytest.mark.parametrize("balanced", [False, True])
def test_the_interval_holds_the_truth_as_often_as_it_says(balanced):
    """Noise: the truth is chance, k of K, although words of a group rise and fall together."""
    rng, metric = np.random.default_rng(4), Metric(k=2, among=6, balanced=balanced)
    held = 0
    for _ in range(150):
        predictions, _ = draw_experiment(rng, groups=40)
        found = interval(predictions, find_places(predictions, 6), metric, resamples=400)
        assert found is not None
        held += found.low <= 1 / 3 <= found.high
    assert 0.88 < held / 150 < 0.99


def test_what_cannot_be_drawn_gives_no_interval_and_few_are_told():
    rng = np.random.default_rng(5)
    alone, _ = draw_experiment(rng, groups=1)
    assert interval(alone, find_places(alone), Metric(k=1, among=6)) is None
    one_subject, _ = draw_experiment(rng)
    places = find_places(one_subject, 6)
    assert interval(one_subject, places, Metric(k=1, among=6), over="subjects") is None
    over_groups = interval(one_subject, places, Metric(k=1, among=6))
    assert over_groups is not None and over_groups.over == "groups" and not over_groups.notes
    three, _ = draw_experiment(rng, subjects=("a", "b", "c"))
    over_both = interval(three, find_places(three, 6), Metric(k=1, among=6))
    assert over_both is not None and over_both.over == "both"
    assert over_both.notes == ("The interval is over 3 subjects only, and so narrower than it should be.",)
    with pytest.raises(InputError, match="allowed: groups, subjects, both"):
        bootstrap(one_subject, places, Metric(k=1, among=6), over="words")  # pyright: ignore[reportArgumentType]


def test_the_most_frequent_words_score_their_share_and_balanced_no_more_than_chance():
    labels = np.arange(8).repeat([40, 20, 10, 5, 5, 2, 1, 1])
    places = find_places(predict(np.zeros((84, 8)), labels))
    counts = [9, 1, 8, 2, 2, 2, 0, 0]  # in the training part the second word was rare, and three words tie
    plain, balanced = (Metric(k=3, among=None, balanced=kind) for kind in (False, True))
    assert frequency_baseline(places, plain, counts) == pytest.approx((40 + 10 + (5 + 5 + 2) / 3) / 84)
    assert frequency_baseline(places, balanced, counts) == pytest.approx(3 / 8)
    assert balanced.chance(places) == 3 / 8
    with pytest.raises(InputError, match="counts"):
        frequency_baseline(places, plain, None)
