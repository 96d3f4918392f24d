"""Some seconds of one recording, looked at in three ways: the signal, its codes, what these keep of it.

Letters: C sensors (good ones), S samples, T tokens.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from megxl.reporting.reconstruction import code_vectors
from megxl.reporting.reconstruction_figures import code_ranks, example_sensors
from megxl.signals.normalization import BLOCK_S, scale_blocks
from megxl.signals.sensors import SensorArray
from megxl.store.entry import StoredRecording
from megxl.tokenizer.biocodec import BioCodec
from megxl.tokenizer.fidelity import correlation_N
from megxl.training.tokenizer.coding import decode, encode

EXCERPT_S = 9.0
"""Three blocks: all of it is scaled, coded and shown."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Excerpt:
    """Seconds that begin at `start_s` of a recording."""

    key: str
    array: SensorArray
    """All sensors of the recording."""
    good: np.ndarray
    """Rows of `array` that are good, one a row of what follows."""
    start_s: float
    sfreq_hz: float
    words: Sequence[Mapping[str, Any]]
    """Those that begin within it."""
    signal_CS: np.ndarray
    """Prepared, in SI units."""
    scaled_CS: np.ndarray
    """As the tokenizer is given it, in interquartile ranges of a block."""
    decoded_CS: np.ndarray
    """From all levels of codes, in the same unit."""
    ranks_CT: np.ndarray
    """Codes of level 1; like numbers stand for like waveforms."""
    codes: int
    """Different ones that a level has."""
    samples_per_token: int

    @property
    def times_s(self) -> np.ndarray:
        """Of the samples, in seconds of the recording."""
        return self.start_s + np.arange(self.signal_CS.shape[1]) / self.sfreq_hz

    @property
    def r_C(self) -> np.ndarray:
        """Correlation of decoded and scaled signal; NaN where the signal is flat."""
        return correlation_N(torch.from_numpy(self.decoded_CS), torch.from_numpy(self.scaled_CS)).numpy()

    def spread(self, number: int) -> list[int]:
        """Rows of a few sensors, spread over the array whatever they look like."""
        every = np.ones(len(self.good), dtype=bool)
        return example_sensors(every, self.array.kinds_C[self.good], number).tolist()


def take_excerpt(recording: StoredRecording, codec: BioCodec, around_s: float) -> Excerpt:
    """Read some seconds of a recording, from the full second before a moment, and code them in blocks from there on.

    A recording that is shorter is taken whole.
    """
    sfreq_hz, block = recording.sfreq_hz, round(BLOCK_S * recording.sfreq_hz)
    length = min(recording.n_samples, round(EXCERPT_S * sfreq_hz))
    start = max(0, min(round(int(around_s) * sfreq_hz), recording.n_samples - length))
    good = np.array([row for row, name in enumerate(recording.sensors.names) if name not in recording.bads])
    signal_CS = np.asarray(recording.read(start, start + length))[good]
    scaled_CS = scale_blocks(torch.from_numpy(signal_CS[None].copy()), block)[0]
    coded = encode(codec, scaled_CS)
    rank_V = code_ranks(code_vectors(codec)[0].cpu().numpy())
    begin_s, end_s = start / sfreq_hz, (start + length) / sfreq_hz
    return Excerpt(
        key=recording.key,
        array=recording.sensors,
        good=good,
        start_s=begin_s,
        sfreq_hz=sfreq_hz,
        words=[word for word in recording.words if begin_s <= word["onset_s"] < end_s],
        signal_CS=signal_CS,
        scaled_CS=scaled_CS.numpy(),
        decoded_CS=decode(codec, coded).numpy(),
        ranks_CT=rank_V[coded.codes_NQT[:, 0].numpy()],
        codes=codec.config.codes,
        samples_per_token=codec.config.samples_per_token,
    )
