"""A run's test by its reported metric, its interval, and its difference to another run."""

import numpy as np
import pytest

pytest.importorskip("lightning.pytorch")

from megxl.decoding.metrics import Metric
from megxl.decoding.retrieval import find_places
from megxl.decoding.statistics import interval
from megxl.reporting.words.headline import verdict_of
from megxl.reporting.words.scores import difference_text, score, score_predictions, told
from tests.decoding.predicting import by_loop, predict
from tests.reporting.words.small_run import make_run


def test_a_run_is_scored_by_the_metric_that_it_reports(tmp_path):
    run = make_run(tmp_path)
    scored = score(run)
    assert scored.metric.name == "balanced_top3_accuracy_retrieval10"
    assert scored.value == run.results()["test"]["metrics"][scored.metric.name]["value"]
    assert scored.interval.low == run.results()["test"]["metrics"][scored.metric.name]["low"]
    assert scored.chance == pytest.approx(0.3) and "fine-tuned" in scored.name


def scored_of(values, labels, counts=None):
    return score_predictions("run", predict(values, labels, counts=counts), Metric(k=1, among=4), 200)


def random_case(good: float):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, 40)
    values = rng.standard_normal((40, 4))
    values[range(40), labels] += good
    return values, labels


def test_value_chance_and_frequent_words():
    values, labels = random_case(1.0)
    scored = scored_of(values, labels, counts=[1, 9, 2, 3])
    assert scored.value == pytest.approx(by_loop(values, labels, 1, 4, True))
    assert scored.chance == 0.25 and scored.frequency == 0.25  # the second word, always: right for one word of four
    assert scored_of(values, labels).frequency is None
    expected = interval(scored.predictions, find_places(scored.predictions, 4), scored.metric, resamples=200)
    assert scored.interval == expected


@pytest.mark.parametrize("good, beaten", [(9.0, True), (0.0, False)])
def test_the_verdict_asks_whether_the_interval_lies_above_chance(good, beaten):
    sentence, well = verdict_of(scored_of(*random_case(good), counts=[1, 9, 2, 3]))
    assert well is beaten and ("above both" in sentence) is beaten
    assert "chance 25.0 %" in sentence and "frequent words 25.0 %" in sentence


def test_one_group_has_no_interval_and_says_so():
    values, labels = random_case(9.0)
    sentence, _ = verdict_of(scored_of(values[:5], labels[:5]))
    assert "no interval" in sentence


def test_the_difference_to_another_run_or_why_there_is_none():
    values, labels = random_case(9.0)
    good, other = scored_of(values, labels), scored_of(np.roll(values, 1, axis=1), labels)
    text = difference_text(good, other, 200)
    assert text.startswith(f"this run {100 * (good.value - other.value):+.1f} points (+")
    elsewhere = scored_of(values[:35], labels[:35])
    assert "not tested on the same words" in difference_text(good, elsewhere, 200)


def test_a_metric_for_people():
    assert told(Metric()) == "balanced top-10 accuracy among the 50 most frequent words"
    assert told(Metric(k=1, among=None, balanced=False)) == "top-1 accuracy among all words"
