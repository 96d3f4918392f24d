"""A decoder: a backbone that turns a batch into the features of its words, and a head that turns these into targets.

Letters: B batch, W words, C sensors, T tokens, Q levels, D width of the features, E width of the targets.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from megxl.data.batch import Batch
from megxl.decoding.heads import Head
from megxl.decoding.pooling import averaging_matrix, pool_words
from megxl.decoding.subjects import SubjectEmbedding
from megxl.decoding.word_windows import word_windows
from megxl.errors import InputError
from megxl.model.embedding import SensorTensors
from megxl.model.megxl import MEGXL


class WordFeatures(NamedTuple):
    """What a backbone says of the words of a batch."""

    words_BWCD: Tensor
    """Zero where there is no word; C = 1 where the backbone has put the sensors together."""
    sensors: SensorTensors | None
    """Where the sensors are; None where there are none any more."""
    sensor_mask_BC: Tensor | None
    """False where a sensor does not count; None: all count."""


class Backbone(Protocol):
    """A module from a normalised batch on its device (`Batch.normalized`) to the features of its words."""

    width: int
    """D."""
    trains: bool
    """Whether it learns; otherwise it is frozen, and in evaluation while the head trains."""

    def __call__(self, batch: Batch) -> WordFeatures:
        """Features of the words at `batch.word_starts_BW`."""
        ...

    def requires_grad_(self, requires_grad: bool = True) -> Any:
        """As of any module."""
        ...

    def eval(self) -> Any:
        """As of any module."""
        ...


class MEGXLBackbone(nn.Module):
    """The model's last layer, averaged over the tokens that each word's window touches.

    The head for hidden codes and the mask vector are never used here and never trained.

    Parameters
    ----------
    model : MEGXL
        How it computes (recomputed activations, attention kernels) is set from outside, `megxl.model.execution`.
    window_s : float
        Length of a word's window, seconds.
    trains : bool
    """

    def __init__(self, model: MEGXL, window_s: float = 3.0, trains: bool = True) -> None:
        super().__init__()
        self.model, self.window_s, self.trains = model, window_s, trains
        self.width = model.config.width
        model.head.requires_grad_(False)
        model.embedding.mask_vector.requires_grad_(False)

    def forward(self, batch: Batch) -> WordFeatures:
        """Features of the words, from codes where the batch has them, otherwise from its signal."""
        features_BCTD = self.model(codes_or_signal(batch), batch.sensors, batch.sensor_mask_BC)
        words_BWCD = pool_batch(features_BCTD, batch, self.window_s, self.model.config.samples_per_token)
        # as published: what attends as a sensor, padding too, is also read as one
        mask_BC = batch.sensor_mask_BC if self.model.compat == "default" else None
        return WordFeatures(words_BWCD, batch.sensors, mask_BC)


class Decoder(nn.Module):
    """Backbone, an embedding of who listens if wanted, and head.

    Parameters
    ----------
    backbone : Backbone
        Frozen here if it does not train.
    head : Head
        Of the backbone's width.
    subjects : SubjectEmbedding, optional
        Its vectors are added to the pooled features.
    """

    def __init__(self, backbone: Backbone, head: Head, subjects: SubjectEmbedding | None = None) -> None:
        super().__init__()
        self.backbone, self.head, self.subjects = backbone, head, subjects
        if not backbone.trains:
            backbone.requires_grad_(False)
            backbone.eval()

    @property
    def target_width(self) -> int:
        """E."""
        return self.head.target_width

    def forward(self, batch: Batch, subjects: Sequence[str] | None = None) -> Tensor:
        """Predict the target vectors of a batch's words.

        Parameters
        ----------
        batch : Batch
            Normalised, on the device of the decoder.
        subjects : sequence of str, optional
            Who listens in each item; needed if the decoder embeds subjects, otherwise not looked at.

        Returns
        -------
        Tensor, shape (B, W, E)
            What stands where there is no word means nothing.
        """
        features = self.features(batch)
        words_BW = None if batch.word_starts_BW is None else batch.word_starts_BW >= 0
        return self.from_features(features, words_BW, subjects)

    def features(self, batch: Batch) -> WordFeatures:
        """Features of the words of a batch; of a frozen backbone without a graph."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.backbone.trains):
            return self.backbone(batch)

    def from_features(
        self, features: WordFeatures, words_BW: Tensor | None, subjects: Sequence[str] | None = None
    ) -> Tensor:
        """Predict target vectors (B, W, E) from features that were computed before.

        Parameters
        ----------
        features : WordFeatures
            What `features` gave.
        words_BW : Tensor of bool, optional
            False where an item has no more words. None: all are words.
        subjects : sequence of str, optional
            As in `forward`.
        """
        words_BWCD = features.words_BWCD
        if self.subjects is not None:
            if subjects is None:
                raise InputError("This decoder knows its listeners; say who listens in each item (`subjects`).")
            words_BWCD = self.subjects(words_BWCD, subjects)
        return self.head(words_BWCD, features.sensors, features.sensor_mask_BC, words_BW)

    def train(self, mode: bool = True) -> "Decoder":
        """Switch dropout on or off; a frozen backbone stays in evaluation."""
        super().train(mode)
        if not self.backbone.trains:
            self.backbone.eval()
        return self


def codes_or_signal(batch: Batch) -> Tensor:
    """Codes of a batch, or its signal where it has none."""
    inputs = batch.codes_BCTQ if batch.codes_BCTQ is not None else batch.signal_BCT
    if inputs is None:
        raise InputError("The batch has neither codes nor a signal.")
    return inputs


def pool_batch(features_BCTD: Tensor, batch: Batch, window_s: float, samples_per_token: int) -> Tensor:
    """Mean features (B, W, C, D) of the tokens that each word's window touches."""
    starts_BW, samples_BW = word_windows(batch, window_s)
    weights_BWT = averaging_matrix(
        starts_BW, samples_BW, features_BCTD.shape[2], samples_per_token, dtype=features_BCTD.dtype
    )
    return pool_words(features_BCTD, weights_BWT)
