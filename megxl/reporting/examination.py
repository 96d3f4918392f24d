"""A look at what a model predicts in some validation windows: where it is right, which codes it uses, one example.

Letters: C sensors, T tokens, H hidden tokens, Q levels, V codes, N distances.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from megxl.model.megxl import MEGXL
from megxl.reporting.reconstruction import MaskedWindow, Prediction, Reconstruction, predict, reconstruct
from megxl.signals.sensors import SensorArray


@dataclass(kw_only=True, eq=False)
class SensorHits:
    """How often the codes of each sensor of one array were predicted right."""

    array: SensorArray
    hits_CQ: np.ndarray
    """Hidden tokens whose code was predicted right, by level."""
    tokens_C: np.ndarray
    """Hidden tokens while the sensor was good."""
    corpora: set[str] = field(default_factory=set)
    windows: int = 0

    @property
    def accuracy_C(self) -> np.ndarray:
        """Share of codes predicted right, mean over levels; NaN for a sensor that was never good."""
        return (self.hits_CQ / np.where(self.tokens_C > 0, self.tokens_C, np.nan)[:, None]).mean(axis=1)


class Examination:
    """Counts over windows of one length, and the first of them as an example.

    Parameters
    ----------
    levels, codes : int
        Of the model.
    tokens : int
        Of a window.
    """

    def __init__(self, levels: int, codes: int, tokens: int) -> None:
        self.arrays: dict[tuple[str, ...], SensorHits] = {}
        """By the names of the sensors."""
        self.true_QV = np.zeros((levels, codes), dtype=np.int64)
        """How often each code is the true one of a hidden token."""
        self.predicted_QV = np.zeros((levels, codes), dtype=np.int64)
        """How often each code is the likeliest one of a hidden token."""
        self.near_hits_NQ = np.zeros((tokens + 1, levels), dtype=np.int64)
        """Codes predicted right at hidden tokens that are N tokens from the nearest visible one."""
        self.near_tokens_N = np.zeros(tokens + 1, dtype=np.int64)
        self.example: Reconstruction | None = None
        self.windows = 0

    @property
    def accuracy(self) -> float:
        """Share of codes predicted right, mean over levels and hidden tokens of good sensors."""
        return float(self.near_hits_NQ.sum() / self.near_tokens_N.sum() / len(self.true_QV))

    def add(self, window: MaskedWindow, prediction: Prediction) -> None:
        """Count a window."""
        true_CHQ = window.codes_CTQ[:, window.hidden_T].numpy()
        predicted_CHQ = prediction.codes_CHQ.numpy()
        hit_CHQ = (true_CHQ == predicted_CHQ) & window.good_C[:, None, None]
        hits = self.arrays.setdefault(window.array.names, _no_hits(window.array, len(self.true_QV)))
        hits.hits_CQ += hit_CHQ.sum(axis=1)
        hits.tokens_C += window.good_C * true_CHQ.shape[1]
        hits.corpora.add(window.corpus)
        hits.windows += 1
        distance_H = distances(window.hidden_T.numpy())[window.hidden_T.numpy()]
        np.add.at(self.near_hits_NQ, distance_H, hit_CHQ.sum(axis=0))
        np.add.at(self.near_tokens_N, distance_H, window.good_C.sum())
        for counts_QV, codes_CHQ in ((self.true_QV, true_CHQ), (self.predicted_QV, predicted_CHQ)):
            for count_V, codes_CH in zip(counts_QV, np.moveaxis(codes_CHQ[window.good_C], -1, 0), strict=True):
                count_V += np.bincount(codes_CH.ravel(), minlength=len(count_V))
        self.windows += 1


def examine(
    model: MEGXL, windows: Sequence[Callable[[], MaskedWindow]], advance: Callable[[int], None] | None = None
) -> Examination:
    """Let a model predict the hidden tokens of windows, and count.

    Parameters
    ----------
    model : MEGXL
        With its tokenizer.
    windows : sequence of callables
        Each reads one window when it is called, so that one is held at a time; at least one, all of one length.
    advance : callable, optional
        Called with 1 after each window.
    """
    examination = None
    for read in windows:
        window = read()
        prediction = predict(model, window)
        if examination is None:
            examination = Examination(model.config.levels, model.config.codes, len(window.hidden_T))
            examination.example = reconstruct(model, window, prediction)
        examination.add(window, prediction)
        if advance is not None:
            advance(1)
    assert examination is not None, "there is a window to examine"
    return examination


def distances(hidden_T: np.ndarray) -> np.ndarray:
    """Tokens from each token to the nearest visible one; 0 where it is visible itself."""
    visible = np.flatnonzero(~hidden_T)
    if not visible.size:
        return np.full(len(hidden_T), len(hidden_T))
    return np.abs(np.arange(len(hidden_T))[:, None] - visible).min(axis=1)


def _no_hits(array: SensorArray, levels: int) -> SensorHits:
    return SensorHits(
        array=array,
        hits_CQ=np.zeros((len(array), levels), dtype=np.int64),
        tokens_C=np.zeros(len(array), dtype=np.int64),
    )
