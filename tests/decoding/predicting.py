"""Small predictions to measure, and the metrics written out word by word."""

from fractions import Fraction

import torch

from megxl.decoding.occurrences import Occurrences
from megxl.decoding.predictions import Predictions


def predict(values, labels, targets=None, n_words=None, **options) -> Predictions:
    """Predictions of words w0, w1, ... with groups of five."""
    values = torch.as_tensor(values)
    n = len(labels)
    occurrences = Occurrences(
        words=tuple(f"w{label}" for label in labels),
        groups=tuple(f"g{number // 5}" for number in range(n)),
        recordings=tuple(f"r{number // 5 % 2}" for number in range(n)),
        subjects=tuple(f"s{number // 5 % 2}" for number in range(n)),
        sessions=("",) * n,
        onsets_s=tuple(map(float, range(n))),
    )
    targets = None if targets is None else torch.as_tensor(targets)
    n_words = n_words or (values.shape[1] if targets is None else len(targets))
    vocabulary = [f"w{number}" for number in range(n_words)]
    return Predictions(values_NX=values, targets_VD=targets, occurrences=occurrences, vocabulary=vocabulary, **options)


def by_loop(scores_NV, labels, k, among, balanced) -> float:
    """The published rule written out word by word; ties by the share of all orders that put the word first."""
    hits: dict[int, list[Fraction]] = {}
    for row, label in zip(scores_NV, labels, strict=True):
        if not 0 <= label < among:
            continue
        candidates = list(row[:among])
        better = sum(score > row[label] for score in candidates)
        tied = sum(score == row[label] for score in candidates)
        free = min(max(k - better, 0), tied)
        hits.setdefault(label, []).append(Fraction(int(free), int(tied)))
    every = [hit for some in hits.values() for hit in some]
    means = [sum(some) / len(some) for some in hits.values()]
    return float(sum(means) / len(means)) if balanced else float(sum(every) / len(every))
