"""Sentences follow from the numbers: good, bad and impossible decoders are each told as what they are."""

import numpy as np

from megxl.reporting.journey.verdicts import along_snr, beside_scratch, on_noise, words_found
from tests.reporting.journey.told import EACH, GROUPS, WORDS, judge_answers, judged

CHANCE = 1 / len(WORDS)


def test_a_decoder_that_finds_words_is_told_with_its_interval_and_chance():
    decoder = judged(0.8)
    said = words_found(decoder).sentence
    interval = decoder.scored.interval
    assert interval is not None
    assert f"For {100 * decoder.scored.value:.1f} % of the words" in said and "first 1 of 6 candidates" in said
    assert f"{100 * interval.low:.1f} to {100 * interval.high:.1f} %" in said and "by chance 16.7 %" in said
    assert "not shown" not in said


def test_a_decoder_at_chance_is_told_to_have_learnt_nothing():
    assert "not shown to be better than chance" in words_found(judged(CHANCE)).sentence


def test_pre_training_helps_harms_or_cannot_be_told():
    good, bad = judged(0.8, seed=1), judged(0.4, seed=2)
    helped = beside_scratch(good, bad).sentence
    points = 100 * (good.scored.value - bad.scored.value)
    assert helped.startswith("Pre-training helped.") and f"{points:.1f} points less" in helped
    assert beside_scratch(bad, good).sentence.startswith("Pre-training did harm here.")
    assert f"{points:.1f} points more" in beside_scratch(bad, good).sentence
    assert beside_scratch(judged(0.6, seed=1), judged(0.6, seed=11)).sentence.startswith("Pre-training is not shown")


def test_noise_at_chance_is_as_it_must_be():
    verdict = on_noise(judged(CHANCE))
    assert not verdict.wrong and "stays at chance" in verdict.sentence


def test_noise_above_chance_says_that_something_is_wrong():
    verdict = on_noise(judged(0.5, p=0.001))
    assert verdict.wrong and verdict.sentence.startswith("Something is wrong.")


def test_an_answer_that_never_changes_is_not_taken_for_words_found():
    labels_N = np.where(np.arange(GROUPS * EACH) % 2, 0, np.arange(GROUPS * EACH) % len(WORDS))
    always_N = np.zeros_like(labels_N)
    plain = judge_answers(labels_N, always_N)
    assert plain.found  # by its interval alone
    assert not judge_answers(labels_N, always_N, p=1.0).found
    assert not judge_answers(labels_N, always_N, counts=(60, 5, 4, 3, 2, 1)).found


def test_accuracy_that_falls_with_the_signal_is_told_in_its_order():
    decoders = {0.0: judged(CHANCE, seed=5), 0.5: judged(0.5), 8.0: judged(0.9)}
    (only,) = along_snr(decoders)
    values = ", ".join(f"{100 * decoders[snr].scored.value:.1f} % at {snr:g}" for snr in (8.0, 0.5, 0.0))
    assert only.sentence == f"The weaker the answer to words, the fewer are found: {values} (signal-to-noise ratio)."


def test_accuracy_that_does_not_fall_or_is_not_found_is_told():
    said = [verdict.sentence for verdict in along_snr({0.0: judged(0.1), 0.5: judged(CHANCE), 8.0: judged(0.05)})]
    assert said[0].startswith("Accuracy does not simply rise")
    assert said[1] == "At 8 and 0.5 no words are shown to be found." and len(said) == 2


def test_words_found_without_any_answer_to_them_are_wrong():
    verdicts = along_snr({0.0: judged(0.5), 8.0: judged(0.9)})
    assert verdicts[-1].wrong and "At 0 the signal holds no answer to words" in verdicts[-1].sentence
