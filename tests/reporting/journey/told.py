"""Decoders whose answers are told: right as often as a test says."""

import numpy as np
import torch

from megxl.decoding.metrics import Metric
from megxl.decoding.occurrences import Occurrences
from megxl.decoding.predictions import Predictions
from megxl.reporting.journey.verdicts import Judged
from megxl.reporting.words.scores import score_predictions

WORDS = ("the", "of", "and", "door", "house", "river")
GROUPS, EACH = 20, 12


def judged(
    share_right: float, *, seed: int = 0, p: float | None = None, counts: tuple[int, ...] | None = None
) -> Judged:
    """A decoder that gives the right word so often, and another one else; six words, all equally frequent."""
    rng = np.random.default_rng(seed)
    labels_N = np.arange(GROUPS * EACH) % len(WORDS)
    wrong_N = (labels_N + rng.integers(1, len(WORDS), len(labels_N))) % len(WORDS)
    answers_N = np.where(rng.random(len(labels_N)) < share_right, labels_N, wrong_N)
    return judge_answers(labels_N, answers_N, p=p, counts=counts)


def judge_answers(
    labels_N: np.ndarray, answers_N: np.ndarray, *, p: float | None = None, counts: tuple[int, ...] | None = None
) -> Judged:
    predictions = predicted(WORDS, labels_N, np.eye(len(WORDS))[answers_N], counts)
    scored = score_predictions("told", predictions, Metric(k=1, among=None, balanced=False), 200)
    return Judged(scored=scored, p=p, resamples=200, split="told split", window_s=1.0)


def predicted(
    vocabulary: tuple[str, ...], labels_N: np.ndarray, scores_NV: np.ndarray, counts: tuple[int, ...] | None = None
) -> Predictions:
    """Predictions in groups of so many words, two groups a recording."""
    group_N = np.arange(len(labels_N)) // EACH
    occurrences = Occurrences(
        words=[vocabulary[label] for label in labels_N],
        groups=[f"group {number}" for number in group_N],
        recordings=[f"armeni/sub-1_ses-{number // 2}" for number in group_N],
        subjects=["armeni/sub-1"] * len(labels_N),
        sessions=[""] * len(labels_N),
        onsets_s=(np.arange(len(labels_N)) / 2).tolist(),
    )
    return Predictions(values_NX=torch.from_numpy(np.asarray(scores_NV, dtype=np.float32)), occurrences=occurrences,
                       vocabulary=vocabulary, targets_VD=None, counts=counts, about={})  # fmt: skip
