"""What results hold, against loops in plain Python, golden numbers and decoders whose score is known."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from megxl.decoding.predictions import read_predictions, write_predictions
from megxl.errors import InputError
from megxl.training.words.results import check_evaluation, finite, metric_named, results, run_results
from megxl.training.words.sections import EvaluationSection
from tests.decoding.predicting import by_loop, predict


def section(**options) -> EvaluationSection:
    return EvaluationSection(**{"resamples": 200, "permutations": 50} | options)


def experiment(n=80, n_words=12, skill=1.0, **options):
    """Scores with ties; three words of the text are not in the vocabulary."""
    rng = np.random.default_rng(5)
    labels = rng.integers(0, n_words + 3, n)
    scores_NV = rng.integers(0, 4, (n, n_words)).astype(float)
    known = labels < n_words
    scores_NV[known, labels[known]] += skill
    return predict(scores_NV, labels, **options), scores_NV, np.where(known, labels, -1)


@pytest.fixture(scope="module")
def golden(shared):
    expected = json.loads((shared / "golden" / "data_reference.json").read_text())["expected"]["metrics"]
    with np.load(shared / "golden" / "data_reference.npz") as file:
        return {
            case: ([torch.from_numpy(file[f"metrics/{case}/{name}"]) for name in ("pred", "labels", "vocab")], values)
            for case, values in expected.items()
        }


@pytest.mark.parametrize("case", ["case0", "case3"])
def test_golden_metrics_come_out_of_saved_predictions(golden, tmp_path, case):
    (vectors, labels, targets), expected = golden[case]
    write_predictions(tmp_path / "test", predict(vectors, labels.tolist(), targets))
    told = run_results({"test": read_predictions(tmp_path / "test")}, section(), {"protocol": "published"})
    for name, value in expected.items():
        if name in told["published"]:
            assert told["published"][name] == pytest.approx(value, abs=1e-6), name
    assert {"balanced_top10_accuracy_retrieval50", "mean_cosine_similarity"} <= told["published"].keys()
    metrics, compared = told["test"]["metrics"], 0
    for name in expected.keys() & metrics.keys():
        assert metrics[name]["value"] == pytest.approx(expected[name], abs=1e-6), name
        compared += 1
    assert compared >= 3
    assert "published" not in run_results({"test": read_predictions(tmp_path / "test")}, section(), {})


def test_every_metric_is_the_loop_s_with_its_chance():
    predictions, scores_NV, labels = experiment()
    told = results(predictions, section(retrieval_set_sizes=(5, 9), k=3), part="test")
    expected_names = {
        f"{kind}top{k}_accuracy{among}"
        for kind in ("", "balanced_")
        for k in (3, 1)
        for among in ("_retrieval5", "_retrieval9", "")
    }
    assert told["metrics"].keys() == expected_names
    for name, row in told["metrics"].items():
        among = row["candidates"]
        assert name.endswith(f"_retrieval{among}") or among == 12
        expected = by_loop(scores_NV, labels, row["k"], among, row["balanced"])
        assert row["value"] == pytest.approx(expected, abs=1e-12), name
        assert row["chance"] == row["k"] / among
        assert row["low"] <= row["value"] <= row["high"] and row["low"] < row["high"]
        assert (row["p"] is None) == (among == 12) and row["frequency"] is None
    assert [row["words"] for row in told["sets"]] == [int(((labels >= 0) & (labels < n)).sum()) for n in (5, 9, 12)]
    assert told["sets"][2]["whole_vocabulary"] and told["sets"][0]["skipped"] + told["sets"][0]["words"] == 80
    assert any("no baseline of frequent words" in note for note in told["notes"])
    assert json.loads(json.dumps(told, allow_nan=False)) == told


def test_words_subjects_and_sessions_are_measured_by_themselves():
    predictions, scores_NV, labels = experiment(counts=range(12, 0, -1))
    sessions = [f"ses-{number // 20}" for number in range(80)]
    predictions = replace(predictions, occurrences=replace(predictions.occurrences, sessions=sessions))
    told = results(predictions, section(retrieval_set_sizes=(9,), k=3), part="test")
    for group, names in (
        ("by_subject", predictions.occurrences.subjects),
        ("by_session", [f"s{number // 5 % 2} ses-{number // 20}" for number in range(80)]),
    ):
        assert told[group].keys() == set(names)
        for name, row in told[group].items():
            rows = np.array([some == name for some in names])
            for metric, value in row["values"].items():
                facts = told["metrics"][metric]
                expected = by_loop(scores_NV[rows], labels[rows], facts["k"], facts["candidates"], facts["balanced"])
                assert value == pytest.approx(expected), (name, metric)
            assert row["words"] == rows.sum()
            assert row["low"] <= row["values"]["balanced_top3_accuracy_retrieval9"] <= row["high"]
    for number in range(12):
        row, rows = told["by_word"][f"w{number}"], labels == number
        assert (row["words"], row["trained"]) == (rows.sum(), 12 - number)
        assert row["values"]["top3_accuracy"] == pytest.approx(by_loop(scores_NV[rows], labels[rows], 3, 12, False))
        assert ("top3_accuracy_retrieval9" in row["values"]) == (number < 9)
    assert list(told["by_word"]) == [f"w{number}" for number in range(12)]


def test_the_baseline_of_frequent_words_goes_by_the_counts_of_training():
    predictions, _, labels = experiment(counts=[1, 1, 9, 8, 7, 1, 1, 1, 1, 1, 1, 1])
    row = results(predictions, section(retrieval_set_sizes=(9,), k=3), part="test")["metrics"][
        "top3_accuracy_retrieval9"
    ]
    among = labels[(labels >= 0) & (labels < 9)]
    assert row["frequency"] == pytest.approx(np.isin(among, [2, 3, 4]).mean())


def test_knowing_the_recording_alone_is_worth_nothing_in_the_permutation_test():
    """Words of two recordings differ; a decoder that answers by the recording scores far above chance."""
    rng = np.random.default_rng(0)
    recording_N = np.arange(200) // 5 % 2
    labels = rng.integers(0, 6, 200) + 6 * recording_N
    blind = rng.normal(size=(200, 12)) + 5 * (np.arange(12) // 6 == recording_N[:, None])
    seeing = blind + 2 * np.eye(12)[labels]
    evaluation = section(retrieval_set_sizes=(11,), k=3, permutations=200)
    rows = [
        results(predict(scores, labels), evaluation, part="test")["metrics"]["balanced_top3_accuracy_retrieval11"]
        for scores in (blind, seeing)
    ]
    assert rows[0]["low"] > rows[0]["chance"] and rows[0]["p"] > 0.05
    assert rows[1]["p"] == 1 / 201


def test_sets_larger_than_the_vocabulary_are_all_of_it_and_named_so():
    predictions, _, _ = experiment()
    told = results(predictions, section(k=3), part="test")
    assert told["metrics"].keys() == {
        "balanced_top3_accuracy",
        "top3_accuracy",
        "balanced_top1_accuracy",
        "top1_accuracy",
    }
    assert told["selection_metric"] == told["reported_metric"] == "balanced_top3_accuracy"
    assert "The vocabulary has 12 words: retrieval is among all of them in place of 50 and 250." in told["notes"]
    assert told["metrics"]["balanced_top3_accuracy"]["p"] is not None


def test_a_set_as_large_as_the_vocabulary_is_measured_once():
    told = results(experiment()[0], section(retrieval_set_sizes=(12,), k=3), part="test")
    assert len(told["metrics"]) == 4 and not any("retrieval" in name for name in told["metrics"])


def test_a_set_without_a_word_of_the_part_is_left_out_and_said():
    predictions = predict(np.eye(12)[[7, 8, 9, 7, 8, 9]], [7, 8, 9, 7, 8, 9])
    told = results(predictions, section(retrieval_set_sizes=(4, 9), k=2), part="test")
    assert not any(name.endswith("retrieval4") for name in told["metrics"]) and len(told["sets"]) == 2
    assert "No word of this part is among the 4 most frequent: nothing is said of these." in told["notes"]
    assert told["by_subject"]["s0"]["low"] is None
    with pytest.raises(InputError, match="None of the 2 words is among the 12 candidates"):
        results(predict(np.eye(12)[:2], [20, 21]), section(retrieval_set_sizes=(4,), k=2), part="test")


def test_metrics_that_are_named_are_measured_too():
    predictions, scores_NV, labels = experiment()
    evaluation = section(
        retrieval_set_sizes=(9,), k=3, selection_metric="top2_accuracy_retrieval5", reported_metric="top4_accuracy"
    )
    told = results(predictions, evaluation, part="validation")
    for name, k, among in (("top2_accuracy_retrieval5", 2, 5), ("top4_accuracy", 4, 12)):
        assert told["metrics"][name]["value"] == pytest.approx(by_loop(scores_NV, labels, k, among, False))
        assert told["metrics"][name]["p"] is not None
    assert (told["selection_metric"], told["reported_metric"]) == ("top2_accuracy_retrieval5", "top4_accuracy")


def test_published_metrics_choose_and_are_reported_unless_others_are_named():
    evaluation = EvaluationSection()
    assert metric_named(evaluation, "selection").name == "balanced_top10_accuracy_retrieval250"
    assert metric_named(evaluation, "reported").name == "balanced_top10_accuracy_retrieval50"
    assert metric_named(evaluation, "selection", 120).name == "balanced_top10_accuracy"
    assert metric_named(evaluation, "reported", 120).name == "balanced_top10_accuracy_retrieval50"


@pytest.mark.parametrize(
    ("options", "vocabulary", "said"),
    [
        ({}, 10, r"evaluation.k = 10, but the vocabulary of 10 words has not more: .* k below 10"),
        ({"retrieval_set_sizes": (50, 10)}, 100, r"evaluation.k = 10, but the set of 10 words has not more"),
        ({"reported_metric": "top12_accuracy"}, 12, r"evaluation.reported_metric = top12_accuracy among 12 words"),
        ({"selection_metric": "top7_accuracy_retrieval7"}, 50, r"evaluation.selection_metric = .* among 7 words"),
        ({"selection_metric": "accuracy"}, 12, r"There is no metric 'accuracy'"),
    ],
)
def test_a_metric_that_no_answer_misses_is_refused(options, vocabulary, said):
    with pytest.raises(InputError, match=said):
        check_evaluation(section(**options), vocabulary)
    check_evaluation(section(), 11)


def test_what_cannot_be_said_is_left_open_and_told():
    predictions = predict(np.eye(12)[[0, 1, 2, 0]], [0, 1, 2, 3], counts=[1] * 12)
    told = results(predictions, section(retrieval_set_sizes=(9,), k=2), part="test")
    row = told["metrics"]["balanced_top2_accuracy_retrieval9"]
    assert row["low"] is row["high"] is row["p"] is told["interval"] is None and row["frequency"] == pytest.approx(
        2 / 9
    )
    assert "There is one group alone: no interval can be given." in told["notes"]
    assert any("no permutation test" in note for note in told["notes"])
    assert any("5 of the 9 candidates never occur" in note for note in told["notes"])


def test_what_a_constant_answer_can_reach_is_said_where_words_are_absent():
    scores_NV = np.tile([1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0.0], (30, 1))
    told = results(predict(scores_NV, [0, 1, 2, 3, 4] * 6), section(retrieval_set_sizes=(9,), k=3), part="test")
    row = told["metrics"]["balanced_top3_accuracy_retrieval9"]
    assert row["value"] == 3 / 5 > row["chance"] and row["p"] == 1
    assert any(
        "always the same can reach 60.00% in balanced_top3_accuracy_retrieval9" in note for note in told["notes"]
    )
    full = results(predict(scores_NV, list(range(10)) * 3), section(retrieval_set_sizes=(9,), k=3), part="test")
    assert not any("always the same" in note for note in full["notes"])


def test_few_groups_are_said():
    predictions, _, _ = experiment(40)
    told = results(predictions, section(retrieval_set_sizes=(9,), k=2), part="test")
    assert told["interval"] == {"level": 0.95, "over": "both", "n_subjects": 2, "n_groups": 8}
    assert "The interval is over 8 groups only, and so narrower than it should be." in told["notes"]


def test_no_permutations_are_no_test():
    predictions, _, _ = experiment()
    told = results(predictions, section(retrieval_set_sizes=(9,), k=2, permutations=0), part="test")
    assert all(row["p"] is None for row in told["metrics"].values())


@pytest.mark.parametrize("wrong", [math.nan, math.inf])
def test_a_number_that_is_none_is_named(wrong):
    with pytest.raises(InputError, match=r"results\.rows\.1\.mean is (nan|inf)"):
        finite({"rows": [{"mean": 1.0}, {"mean": wrong}]})
