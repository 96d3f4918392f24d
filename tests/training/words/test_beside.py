"""Runs beside each other: the metrics that both have, and what a reader is told of their differences."""

from dataclasses import replace

import numpy as np

from megxl.training.words.beside import beside
from megxl.training.words.sections import EvaluationSection
from tests.decoding.predicting import predict


def decoder(seed, n_words=12):
    labels = np.random.default_rng(1).integers(0, 12, 60)
    return predict(np.random.default_rng(seed).normal(size=(60, n_words)), labels)


def test_runs_of_one_vocabulary_are_compared_in_all_metrics_without_a_note():
    evaluation = EvaluationSection(retrieval_set_sizes=(6,), k=2, resamples=100)
    told = beside(decoder(1), decoder(2), evaluation)
    assert len(told["metrics"]) == 8 and told["notes"] == []
    for row in told["metrics"].values():
        assert row["difference"] == row["value"] - row["other"] and row["low"] <= row["difference"] <= row["high"]


def test_another_vocabulary_is_said_and_sets_that_only_one_has_are_left_out():
    evaluation = EvaluationSection(retrieval_set_sizes=(6, 9), k=2, resamples=100)
    told = beside(decoder(1), decoder(2, n_words=8), evaluation)
    assert not any(name.endswith("retrieval9") for name in told["metrics"])
    assert {"top2_accuracy_retrieval6", "top2_accuracy"} <= told["metrics"].keys()
    assert told["notes"] == ["4 words are in the vocabulary of one run alone: they do not choose among the same."]


def test_moved_words_are_counted():
    first, other = decoder(1), decoder(1)
    words = list(other.occurrences.words)
    words[0], words[1] = "w0", "w1"
    changed = sum(one != two for one, two in zip(words, first.occurrences.words, strict=True))
    other = replace(other, occurrences=replace(other.occurrences, words=words))
    evaluation = EvaluationSection(retrieval_set_sizes=(6,), k=2, resamples=100)
    note = f"{changed} of 60 words are others in the second run (a control that moves words)."
    assert changed and beside(first, other, evaluation)["notes"] == [note]
