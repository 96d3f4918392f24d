"""Corpora made up in a temporary folder: names without data, event tables, a small LibriBrain file."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import mne
import numpy as np

from megxl.signals.reading import neuromag306_info


def touch(root: Path, *names: str) -> Path:
    """Make empty files of these names, folders where the name ends in .ds."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".ds":
            path.mkdir()
        else:
            path.touch()
    return root


def write_table(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> Path:
    """Write a tab-separated table, every cell as it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ["\t".join(map(str, row)) for row in [header, *rows]]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def neuromag_raw(n_samples: int = 200, sfreq_hz: float = 100.0, seed: int = 0) -> mne.io.RawArray:
    """Make noise in 306 sensors."""
    signal_CT = np.random.default_rng(seed).normal(size=(306, n_samples)) * 1e-12
    return mne.io.RawArray(signal_CT, neuromag306_info(sfreq_hz), verbose="ERROR")


def write_libribrain(path: Path, signal_CT: np.ndarray, names: Sequence[str], **attributes: object) -> Path:
    """Write a recording as LibriBrain does."""
    import h5py

    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file.create_dataset("data", data=signal_CT.astype(np.float32), chunks=(len(names), 50))
        facts = {
            "sample_frequency": 250.0,
            "highpass_cutoff": 0.1,
            "lowpass_cutoff": 125.0,
            "channel_names": ", ".join(names),
        }
        file.attrs.update(facts | attributes)
    return path
