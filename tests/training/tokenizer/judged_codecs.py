"""Codecs of which it is known how good they are, and stores to judge them on."""

from pathlib import Path

import numpy as np
import torch

from megxl.sizes import BioCodecConfig
from megxl.store.entry import StoredRecording
from megxl.store.store import Store
from megxl.tokenizer.biocodec import BioCodec, rms_scale
from tests.store.made import prepared, put

EXACT = BioCodecConfig(filters=1, strides=(1,), blocks=1, lstm_layers=1, width=2, levels=2, codes=1024, code_width=2)


class Oracle(BioCodec):
    """Gives back what it was given, to a 16,384th of its RMS; a token a sample, the second level refines the first."""

    def __init__(self) -> None:
        super().__init__(EXACT)

    def encode(self, x_N1T):
        scale_N = rms_scale(x_N1T)
        whole_NT = (x_N1T[:, 0].double() / scale_N * 2**13 + 2**19).round().long()
        return torch.stack([whole_NT // 1024, whole_NT % 1024], 1), scale_N

    def decode(self, codes_NQT, scale_N=None, length=None):
        fine_NT = codes_NQT[:, 1] if codes_NQT.shape[1] > 1 else 512
        value_NT = (1024 * codes_NQT[:, 0] + fine_NT - 2**19) / 2**13
        return (value_NT * scale_N).float()[:, None, :length]


class Inverted(Oracle):
    """Gives back the opposite."""

    def decode(self, codes_NQT, scale_N=None, length=None):
        return -super().decode(codes_NQT, scale_N, length)


class Deaf(Oracle):
    """Gives back noise of its own."""

    def decode(self, codes_NQT, scale_N=None, length=None):
        generator = torch.Generator().manual_seed(1)
        return torch.randn(codes_NQT[:, :1].shape, generator=generator)


def recordings(
    folder: Path,
    number: int = 2,
    *,
    seconds: float = 12.0,
    sensors: int = 4,
    flat: tuple[int, ...] = (),
    bads: tuple[int, ...] = (),
) -> list[StoredRecording]:
    """Store slow noise of so many recordings; sensors that are flat or marked bad by their places."""
    store = Store.create(folder)
    made = []
    for seed in range(number):
        rng = np.random.default_rng(seed)
        signal_CT = rng.standard_normal((sensors, round(50 * seconds) + 4))
        # what is loudest lies below 13 Hz, as in a brain
        signal_CT = np.stack([np.convolve(row, np.ones(5) / 5, "valid") for row in signal_CT]).astype(np.float32)
        signal_CT[list(flat)] = 3.0
        recording = prepared(1.0, sensors, signal_CT=signal_CT * np.float32(1e-12))
        names = tuple(recording.sensors.names[place] for place in bads)
        recording = prepared(1.0, sensors, signal_CT=recording.signal_CT, bads=names)
        made.append(put(store, f"armeni/sub-{seed}", recording))
    return made
