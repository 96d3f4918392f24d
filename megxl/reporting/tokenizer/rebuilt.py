"""Held-out windows and what a tokenizer keeps of them: the signal as it is given to it, decoded again.

Letters: N rows (one sensor of a window each), S samples, F frequencies.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch

from megxl.tokenizer.biocodec import BioCodec
from megxl.tokenizer.fidelity import BANDS, SEGMENT_S, band_names, correlation_N
from megxl.training.tokenizer.coding import decode, encode
from megxl.training.tokenizer.judged_windows import JudgedWindows

RANKS = (("best", 1.0), ("better than\n3 of 4", 0.75), ("median", 0.5), ("worse than\n3 of 4", 0.25), ("worst", 0.0))


@dataclass(frozen=True, kw_only=True, eq=False)
class Rebuilt:
    """Some sensors of one window, scaled as the tokenizer is given them, and decoded from their codes; unitless."""

    key: str
    """Of the recording."""
    start_s: float
    sfreq_hz: float
    names: tuple[str, ...]
    """Of the sensors, one a row."""
    signal_NS: np.ndarray
    """In interquartile ranges of a block."""
    decoded_NS: np.ndarray

    @property
    def r_N(self) -> np.ndarray:
        """Pearson correlation of the two, NaN where the signal is flat."""
        return correlation_N(torch.from_numpy(self.decoded_NS), torch.from_numpy(self.signal_NS)).numpy()


@dataclass(frozen=True, kw_only=True, eq=False)
class Example:
    """One sensor of one window, chosen by how well it is rebuilt."""

    rank: str
    r: float
    row: int
    window: Rebuilt


@torch.no_grad()
def rebuild(codec: BioCodec, windows: JudgedWindows, advance: Callable[[int], None] | None = None) -> list[Rebuilt]:
    """Encode and decode the rows of windows; `advance` is called with 1 after each window."""
    rebuilt = []
    for rows in windows:
        signal_NS = rows.signal_NT
        array = windows.arrays[rows.array]
        rebuilt.append(
            Rebuilt(
                key=rows.key,
                start_s=rows.start_s,
                sfreq_hz=windows.sfreq_hz,
                names=tuple(array.names[row] for row in rows.sensors_N),
                signal_NS=signal_NS.numpy(),
                decoded_NS=decode(codec, encode(codec, signal_NS)).cpu().numpy(),
            )
        )
        if advance is not None:
            advance(1)
    return rebuilt


def ranked(windows: Sequence[Rebuilt]) -> list[Example]:
    """Sensors at fixed places of the ranking by r over all windows: best, quartiles, median, worst; no other choice."""
    rows = sorted(
        (r, number, row) for number, window in enumerate(windows) for row, r in enumerate(window.r_N) if np.isfinite(r)
    )
    # where there are few rows, each is shown once
    places = {round(share * (len(rows) - 1)): rank for rank, share in RANKS} if rows else {}
    examples = []
    for place, rank in sorted(places.items(), reverse=True):
        r, number, row = rows[place]
        examples.append(Example(rank=rank, r=r, row=row, window=windows[number]))
    return examples


def mean_spectra(windows: Iterable[Rebuilt]) -> tuple[np.ndarray, np.ndarray]:
    """Power spectral density of signal, decoded signal and error, mean over all rows.

    Returns
    -------
    frequency_F : ndarray, shape (F,)
        Hz.
    density_3F : ndarray, shape (3, F)
        Signal, decoded signal, error (their difference), in squared interquartile ranges per Hz.
    """
    from scipy.signal import welch

    frequency_F, sum_3F, rows = np.zeros(0), np.zeros((3, 0)), 0
    for window in windows:
        parts_3NS = np.stack([window.signal_NS, window.decoded_NS, window.decoded_NS - window.signal_NS])
        length = min(round(SEGMENT_S * window.sfreq_hz), parts_3NS.shape[-1])
        frequency_F, density_3NF = welch(parts_3NS.astype(np.float64), fs=window.sfreq_hz, nperseg=length)
        sum_3F = density_3NF.sum(axis=1) + (sum_3F if rows else 0.0)
        rows += len(window.names)
    return frequency_F, sum_3F / max(1, rows)


def band_edges(sfreq_hz: float) -> dict[str, tuple[float, float]]:
    """Lower and upper edge in Hz of each band that a rate has."""
    names = band_names(sfreq_hz)
    return dict(zip(names, pairwise([*(BANDS[name] for name in names), sfreq_hz / 2]), strict=True))
