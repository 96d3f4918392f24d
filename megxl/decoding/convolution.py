"""The supervised baseline: convolutions on each word's window of the signal, trained from nothing.

After d'Ascoli et al. 2024 (arXiv 2412.17829), who put the convolutional network of Défossez et al. 2022 (arXiv
2208.12266) under a transformer over the words of a sentence.

Theirs: attention over the places of the sensors to 270 virtual ones, a point-wise map, five blocks of width 320 (each
of two dilated residual convolutions with GELU and a gated one, kernel 3, dilations from 1 to 16), windows of 3 s, and
the transformer on top (`SequenceHead` on this backbone). Ours: places in three dimensions with orientation and kind,
through random Fourier features, instead of a flattened helmet; normalisation within each word instead of over the
batch, so that no word depends on the others; attention over the samples of a window by what they hold and how late they
are; `SubjectEmbedding` instead of a layer for each subject; no dropout of sensors.

Letters: B batch, C sensors, M virtual sensors, T samples, W words, N rows (words of all items), S samples of a window,
G gaze (queries), K cosines, D width.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from megxl.data.batch import Batch
from megxl.decoding.decoder import WordFeatures
from megxl.decoding.heads import FOURIER_WIDTH, SENSOR_KINDS
from megxl.decoding.word_windows import word_windows
from megxl.errors import InputError
from megxl.model.embedding import ORIENTATION_SPREAD, POSITION_SPREAD, FourierProjection, SensorTensors

KERNEL, DILATIONS = 3, (4, 8, 16, 1, 2, 4, 8, 16, 1, 2)
"""Of the residual convolutions: two a block, five blocks."""
QUERIES, COSINES, LATENCY_SPREAD = 8, 32, 0.5
"""Means over a window that are taken, each with its own weights; cosines that weights by latency are made of, and the
standard deviation with which these begin, so that each query looks elsewhere."""


class ConvolutionBackbone(nn.Module):
    """From the signal of sensors in any number and order to one vector a word.

    Parameters
    ----------
    width : int
        D.
    virtual_sensors : int
        M, mixtures of the sensors that the convolutions see.
    window_s : float
        Length of a word's window, seconds.
    """

    trains = True

    def __init__(self, width: int = 320, virtual_sensors: int = 270, window_s: float = 3.0) -> None:
        super().__init__()
        self.width, self.window_s = width, window_s
        self.mixing = SensorMixing(virtual_sensors)
        self.entry = nn.Conv1d(virtual_sensors, width, 1)
        pairs = zip(DILATIONS[::2], DILATIONS[1::2], strict=True)
        self.blocks = nn.Sequential(*(ConvolutionBlock(width, *pair) for pair in pairs))
        self.pooling = LatencyPooling(width)

    def forward(self, batch: Batch) -> WordFeatures:
        """Features (B, W, 1, D) of the words, from the batch's signal."""
        if batch.signal_BCT is None:
            raise InputError("The convolutional baseline reads the signal, but the batch holds codes alone.")
        starts_BW, samples_BW = word_windows(batch, self.window_s)
        mixed_BMT = self.mixing(batch.signal_BCT, batch.sensors, batch.sensor_mask_BC)
        windows_NMS = cut_windows(mixed_BMT, starts_BW, samples_BW, round(self.window_s * batch.sfreq_hz))
        words_BWD = self.pooling(self.blocks(self.entry(windows_NMS))).unflatten(0, starts_BW.shape)
        return WordFeatures(words_BWD.masked_fill(starts_BW[..., None] < 0, 0)[:, :, None], None, None)


class SensorMixing(nn.Module):
    """Virtual sensors: each a mean of all, weighted by where these are, how they are turned and what they measure."""

    def __init__(self, virtual_sensors: int) -> None:
        super().__init__()
        self.position = FourierProjection(FOURIER_WIDTH, virtual_sensors, POSITION_SPREAD)
        self.orientation = FourierProjection(FOURIER_WIDTH, virtual_sensors, ORIENTATION_SPREAD)
        self.kind = nn.Embedding(SENSOR_KINDS, virtual_sensors)

    def forward(self, signal_BCT: Tensor, sensors: SensorTensors, sensor_mask_BC: Tensor | None) -> Tensor:
        """Mix a signal (B, C, T) to (B, M, T); masked sensors do not count, whatever they hold."""
        # bfloat16 would move a sensor by millimetres
        with torch.autocast(signal_BCT.device.type, enabled=False):
            scores_BCM = self.position(sensors.positions_BC3) + self.orientation(sensors.orientations_BC3)
        scores_BCM = scores_BCM + self.kind(sensors.kinds_BC.long())
        if sensor_mask_BC is not None:
            scores_BCM = scores_BCM.masked_fill(~sensor_mask_BC[..., None], -torch.inf)
            signal_BCT = signal_BCT.masked_fill(~sensor_mask_BC[..., None], 0)
        return scores_BCM.softmax(1).mT @ signal_BCT


class ConvolutionBlock(nn.Module):
    """Two dilated convolutions, each added to what it saw, and a gated one."""

    def __init__(self, width: int, *dilations: int) -> None:
        super().__init__()
        self.residual = nn.ModuleList(
            nn.Sequential(
                nn.Conv1d(width, width, KERNEL, padding="same", dilation=dilation), nn.GroupNorm(1, width), nn.GELU()
            )
            for dilation in dilations
        )
        self.gated = nn.Conv1d(width, 2 * width, KERNEL, padding="same")

    def forward(self, x_NDS: Tensor) -> Tensor:
        """Keep the shape (N, D, S)."""
        for step in self.residual:
            x_NDS = x_NDS + step(x_NDS)
        return F.glu(self.gated(x_NDS), dim=1)


class LatencyPooling(nn.Module):
    """Means over a window, weighted by what its samples hold and by how late they are; then a map of all of them.

    Without the latter a response would be the same word's or the next one's.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.content = nn.Linear(width, QUERIES)
        self.latency_GK = nn.Parameter(torch.randn(QUERIES, COSINES) * LATENCY_SPREAD)
        self.out = nn.Linear(QUERIES * width, width)

    def forward(self, x_NDS: Tensor) -> Tensor:
        """Pool (N, D, S) to (N, D), at any rate of samples."""
        x_NSD = x_NDS.mT
        samples, like = x_NSD.shape[1], {"device": x_NSD.device, "dtype": self.latency_GK.dtype}
        phase_S = math.pi * (torch.arange(samples, **like) + 0.5) / samples
        cosines_KS = (torch.arange(COSINES, **like)[:, None] * phase_S).cos()
        scores_NGS = self.content(x_NSD).mT + self.latency_GK @ cosines_KS
        return self.out((scores_NGS.softmax(-1).to(x_NSD.dtype) @ x_NSD).flatten(1))


def cut_windows(x_BMT: Tensor, starts_BW: Tensor, samples_BW: Tensor, samples: int) -> Tensor:
    """Windows of equal length (N, M, S), word by word; where a window is a sample short, its last one is repeated.

    Parameters
    ----------
    x_BMT : Tensor, shape (B, M, T)
    starts_BW, samples_BW : Tensor of int64
        `word_windows`; what is cut where there is no word means nothing.
    samples : int
        S.

    Raises
    ------
    InputError
        A window that leaves the item (looked for where that costs no wait for a device).
    """
    stops_BW = starts_BW + samples_BW
    if x_BMT.device.type == "cpu" and bool((stops_BW.where(starts_BW >= 0, 0) > x_BMT.shape[2]).any()):
        raise InputError(
            f"A word's window ends with sample {int(stops_BW.max())}, but the item has {x_BMT.shape[2]}; the windows "
            "are not those of this signal, or window_s is another."
        )
    places_BWS = starts_BW[..., None].clamp(min=0) + torch.arange(samples, device=starts_BW.device)
    places_BWS = torch.minimum(places_BWS, stops_BW[..., None].clamp(min=1) - 1)
    rows_B11 = torch.arange(len(x_BMT), device=starts_BW.device)[:, None, None]
    return x_BMT.mT[rows_B11, places_BWS].flatten(0, 1).mT
