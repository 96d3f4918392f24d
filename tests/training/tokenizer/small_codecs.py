"""A small store of band-limited signals and a small configuration, for tests of whole trainings of a tokenizer."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from megxl.store.store import Store
from megxl.training.tokenizer.config import TokenizerConfig
from megxl.training.tokenizer.module import TokenizerModule
from tests.store.made import prepared, put
from tests.training.small_run import set_keys

SIZES = {"filters": 8, "strides": [2, 2, 3], "blocks": 1, "width": 24, "levels": 2, "codes": 32, "code_width": 8}


def band_limited(n_sensors: int, samples: int, sfreq_hz: float, high_hz: float, seed: int) -> np.ndarray:
    """Noise (C, T) of a flat spectrum up to a frequency, in the unit and size of MEG."""
    rng = np.random.default_rng(seed)
    spectrum = np.fft.rfft(rng.standard_normal((n_sensors, samples)))
    spectrum[:, np.fft.rfftfreq(samples, 1 / sfreq_hz) > high_hz] = 0
    signal_CT = np.fft.irfft(spectrum, samples)
    return (1e-12 * signal_CT / signal_CT.std()).astype(np.float32)


def make_signals(
    folder: Path,
    *,
    recordings: int = 4,
    seconds: float = 64.0,
    n_sensors: int = 4,
    sfreq_hz: float = 50.0,
    high_hz: float = 1.5,
    bads_of: Mapping[int, tuple[str, ...]] | None = None,
    **fields: Any,
) -> Store:
    """Write recordings of band-limited noise, one a subject; `bads_of` names the bad sensors of some."""
    store = Store.create(folder / "store")
    for number in range(recordings):
        signal_CT = band_limited(n_sensors, round(seconds * sfreq_hz), sfreq_hz, high_hz, seed=number)
        bads = (bads_of or {}).get(number, ())
        recording = prepared(1.0, n_sensors, signal_CT=signal_CT, sfreq_hz=sfreq_hz, bads=bads, **fields)
        put(store, f"armeni/sub-{number}_ses-1", recording)
    return store


def settings(folder: Path, **changes: Any) -> dict[str, Any]:
    """Plain configuration of a training of seconds on `make_signals`; `changes` by dotted key with ``__`` for dots."""
    content: dict[str, Any] = {
        "datasets_config": [{"type": "armeni", "split": {"validation": 0.25, "seed": 0}}],
        "data": {"cache_dir": str(folder / "store"), "segment_length": 6.0, "sensors_per_window": 2},
        "model": dict(SIZES),
        "codebooks": {"decay": 0.9, "dead_below": 0.5},
        "training": {
            "batch_size": 4,
            "max_steps": 6,
            "warmup_steps": 2,
            "learning_rate": 3e-3,
            "num_workers": 0,
            "pin_memory": False,
            "persistent_workers": False,
            "use_recording_sampler": False,
        },
        "logging": {"log_every_n_steps": 3, "tensorboard": False},
        "checkpoint": {"save_dir": str(folder / "checkpoints"), "every_n_train_steps": 4},
        "trainer": {"accelerator": "cpu", "precision": "32-true", "val_check_interval": 5},
        "seed": 1,
        "run": str(folder / "run"),
    }
    return set_keys(content, changes)


def codec_config(folder: Path, **changes: Any) -> TokenizerConfig:
    """`TokenizerConfig` of `settings`."""
    return TokenizerConfig.from_dict(settings(folder, **changes))


class Descending(TokenizerModule):
    """Plain descent: Adam would make much of the last digits of a gradient that is next to nothing."""

    def configure_optimizers(self) -> torch.optim.Optimizer:
        super().configure_optimizers()
        return torch.optim.SGD(self.parameters(), lr=1.0)
