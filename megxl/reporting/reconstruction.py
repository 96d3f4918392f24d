"""What a model puts in the place of hidden tokens: its codes, the signal that these stand for, and where it is right.

Letters: B batch, C sensors, T tokens, S samples, H hidden tokens, Q levels, V codes, D width of the codec's vectors.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils import parametrize

from megxl.errors import InputError
from megxl.model.embedding import SensorTensors
from megxl.model.megxl import MEGXL
from megxl.signals.sensors import SensorArray
from megxl.tokenizer.biocodec import BioCodec, rms_scale
from megxl.tokenizer.quantizer import Level

SENSORS_AT_ONCE = 32
"""Whose logits, or decoded signals, are held at a time: 32 sensors and 240 hidden tokens of 6 x 256 codes are 47 MB."""


@dataclass(frozen=True, kw_only=True, eq=False)
class MaskedWindow:
    """One window of one recording, and which of its tokens are hidden."""

    key: str
    corpus: str
    start_s: float
    sfreq_hz: float
    samples_per_token: int
    array: SensorArray
    """Sensors in metres, one a row."""
    good_C: np.ndarray
    """False where a sensor is bad or missing."""
    signal_CS: Tensor
    """Block-scaled signal."""
    codes_CTQ: Tensor
    """Its codes."""
    sensors: SensorTensors
    """Sensors as the model sees them (B = 1)."""
    hidden_T: Tensor
    """True where a token is hidden; on the CPU."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Prediction:
    """What a model says of the hidden tokens of a window, on the CPU."""

    codes_CHQ: Tensor
    """Likeliest codes."""
    vectors_CHD: Tensor
    """Expected vectors: each code's vector weighted by its probability, summed over levels."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Reconstruction:
    """A window and what its true and its predicted codes stand for; float32 arrays, unitless as the scaled signal."""

    window: MaskedWindow
    codes_CTQ: np.ndarray
    """True codes where visible, likeliest codes where hidden."""
    true_CS: np.ndarray
    """True codes, decoded: the best that a prediction of codes can be."""
    likeliest_CS: np.ndarray
    """Likeliest codes at the hidden tokens, decoded with the true ones around them."""
    expected_CS: np.ndarray
    """Expected vectors at the hidden tokens, decoded with the true ones around them."""
    guessed_CS: np.ndarray
    """The mean vector of each sensor's visible tokens at its hidden ones, decoded likewise: what knows nothing of the
    moment scores this much, since the codec carries on what it saw before."""

    @property
    def hidden_S(self) -> np.ndarray:
        """True where a sample belongs to a hidden token."""
        return np.repeat(self.window.hidden_T.numpy(), self.window.samples_per_token)[: self.true_CS.shape[1]]

    def agreement_C(self, predicted_CS: np.ndarray) -> np.ndarray:
        """Correlation with the decoded true codes over the hidden samples, by sensor; NaN where nothing varies."""
        hidden_S = self.hidden_S
        return _correlation(predicted_CS[:, hidden_S], self.true_CS[:, hidden_S])


def predict(model: MEGXL, window: MaskedWindow) -> Prediction:
    """Let a model predict the hidden tokens of a window.

    Parameters
    ----------
    model : MEGXL
        With its tokenizer; where it lies, the work is done. It is put in evaluation for the time.
    window : MaskedWindow
    """
    vectors_QVD = code_vectors(_codec(model))
    codes, vectors = [], []
    with _evaluated(model):
        features_CTD = _features(model, window)
        hidden_H = window.hidden_T.nonzero().squeeze(-1).to(features_CTD.device)
        for features_cHD in features_CTD[:, hidden_H].split(SENSORS_AT_ONCE):
            logits_cHQV = model.logits(features_cHD).float()
            codes.append(logits_cHQV.argmax(-1).cpu())
            vectors.append(expected_vectors(logits_cHQV, vectors_QVD).cpu())
    return Prediction(codes_CHQ=torch.cat(codes), vectors_CHD=torch.cat(vectors))


def reconstruct(model: MEGXL, window: MaskedWindow, prediction: Prediction) -> Reconstruction:
    """Decode the true codes of a window, and what was predicted in the place of the hidden ones.

    The scale of each sensor, which codes do not carry, is that of its true signal.
    """
    codec = _codec(model)
    samples = window.signal_CS.shape[1]
    scale_C1 = rms_scale(window.signal_CS[:, None])
    codes_CTQ = window.codes_CTQ.long().clone()
    true_CTD = codec.quantizer.decode(codes_CTQ.to(_device(codec))).cpu()
    expected_CTD, guessed_CTD = true_CTD.clone(), true_CTD.clone()
    expected_CTD[:, window.hidden_T] = prediction.vectors_CHD
    if not window.hidden_T.all():
        guessed_CTD[:, window.hidden_T] = true_CTD[:, ~window.hidden_T].mean(dim=1, keepdim=True)
    codes_CTQ[:, window.hidden_T] = prediction.codes_CHQ
    likeliest_CTD = codec.quantizer.decode(codes_CTQ.to(_device(codec))).cpu()
    true_CS, likeliest_CS, expected_CS, guessed_CS = (
        decode_vectors(codec, vectors_CTD, scale_C1, samples).numpy()
        for vectors_CTD in (true_CTD, likeliest_CTD, expected_CTD, guessed_CTD)
    )
    return Reconstruction(
        window=window,
        codes_CTQ=codes_CTQ.numpy(),
        true_CS=true_CS,
        likeliest_CS=likeliest_CS,
        expected_CS=expected_CS,
        guessed_CS=guessed_CS,
    )


def code_vectors(codec: BioCodec) -> Tensor:
    """Vector that each code of each level adds to a token, (Q, V, D)."""
    codes_1V = torch.arange(codec.config.codes, device=_device(codec))[None]
    return torch.cat([cast(Level, level).vectors(codes_1V) for level in codec.quantizer.levels]).detach()


def expected_vectors(logits_CHQV: Tensor, vectors_QVD: Tensor) -> Tensor:
    """Sum over levels of the mean code vector under the predicted probabilities, (C, H, D)."""
    return torch.einsum("chqv,qvd->chd", logits_CHQV.softmax(-1), vectors_QVD)


@torch.no_grad()
def decode_vectors(codec: BioCodec, vectors_CTD: Tensor, scale_C1: Tensor, samples: int) -> Tensor:
    """Signal (C, S) that tokens' vectors stand for, a few sensors at a time, on the CPU."""
    device = _device(codec)
    chunks = zip(vectors_CTD.split(SENSORS_AT_ONCE), scale_C1.split(SENSORS_AT_ONCE), strict=True)
    with parametrize.cached():
        signals = [
            codec.decoder(part_cTD.transpose(1, 2).to(device))[:, 0, :samples].cpu() * scale_c1.cpu()
            for part_cTD, scale_c1 in chunks
        ]
    return torch.cat(signals)


def _features(model: MEGXL, window: MaskedWindow) -> Tensor:
    device = next(model.parameters()).device
    mask_1C = None if window.good_C.all() else torch.from_numpy(window.good_C)[None].to(device)
    codes_1CTQ = window.codes_CTQ[None].to(device)
    return model(codes_1CTQ, window.sensors.to(device), mask_1C, mask=window.hidden_T[None])[0]


@contextmanager
def _evaluated(model: MEGXL) -> Iterator[None]:
    """No gradients, no dropout; the mode of the model comes back."""
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        model.train(was_training)


def _codec(model: MEGXL) -> BioCodec:
    if model.tokenizer is None:
        raise InputError("This model has no tokenizer, which a reconstruction needs; load it with tokenizer=PATH.")
    return model.tokenizer


def _device(codec: BioCodec) -> torch.device:
    return codec.quantizer.code_books_QVK.device


def _correlation(a_CN: np.ndarray, b_CN: np.ndarray) -> np.ndarray:
    a_CN, b_CN = (x - x.mean(axis=1, keepdims=True) for x in (a_CN.astype(np.float64), b_CN.astype(np.float64)))
    product_C = np.sqrt((a_CN**2).sum(axis=1) * (b_CN**2).sum(axis=1))
    return np.divide((a_CN * b_CN).sum(axis=1), product_C, where=product_C > 0, out=np.full(len(a_CN), np.nan))
