"""A small real model and short recordings of real sensors, for tests of what lies between recording and features."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path

import mne
import numpy as np

from megxl.corpora.simulated import make_recording
from megxl.model.megxl import MEGXL
from megxl.sizes import MEGXLConfig
from megxl.tokenizer.biocodec import BioCodec

TINY = MEGXLConfig(width=64, layers=2, heads=4, fourier_width=50)
TRAINED = {
    "weights": "loaded",
    "file": "some.ckpt",
    "sha256": "0123456789abcdef" * 4,
    "steps": 113_000,
    "untrained": False,
}


def small_model(**options) -> MEGXL:
    """Model with random weights; the test's seed decides which."""
    return MEGXL(TINY, BioCodec(), **options).eval()


def short_recording(seconds: float = 6.0, n_triplets: int = 5, bads: int = 0) -> mne.io.RawArray:
    """Simulated recording of a few Neuromag triplets spread over the helmet, the first `bads` sensors marked bad."""
    raw = _whole(seconds).copy()
    triplets = np.linspace(0, 101, n_triplets).round().astype(int)
    raw.pick([raw.ch_names[3 * triplet + n] for triplet in triplets for n in range(3)])
    raw.info["bads"] = raw.ch_names[:bads]
    return raw


def electrodes(n: int, seconds: float = 6.0) -> mne.io.RawArray:
    """White noise at `n` electrodes on a half sphere of 9.5 cm."""
    rng = np.random.default_rng(0)
    info = mne.create_info([f"E{number:02d}" for number in range(n)], 250.0, "eeg")
    raw = mne.io.RawArray(1e-5 * rng.standard_normal((n, round(250 * seconds))), info, verbose="ERROR")
    places = rng.standard_normal((n, 3)) * [1, 1, 0] + [0, 0, 1]
    places *= 0.095 / np.linalg.norm(places, axis=1, keepdims=True)
    return raw.set_montage(
        mne.channels.make_dig_montage(dict(zip(raw.ch_names, places, strict=True)), coord_frame="head")
    )


def write_montage(path: Path, places: Mapping[str, np.ndarray]) -> Path:
    """Write electrode positions in metres as MNE reads them from a table."""
    lines = ["name,x,y,z", *(f"{name},{x},{y},{z}" for name, (x, y, z) in places.items())]
    path.write_text("\n".join(lines))
    return path


@cache
def _whole(seconds: float) -> mne.io.RawArray:
    return make_recording(seconds)
