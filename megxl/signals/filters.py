"""MNE's zero-phase band-pass, as `mne.io.Raw.filter` designs it by default: its taps, its edges, its exact response."""

from dataclasses import dataclass
from functools import cached_property

import mne
import numpy as np


@dataclass(frozen=True)
class BandPass:
    """The filter for one band at one rate."""

    sfreq_hz: float
    """Samples a second."""
    low_hz: float
    """Edge of the high-pass."""
    high_hz: float | None
    """Edge of the low-pass; None: there is none."""

    @classmethod
    def within(cls, sfreq_hz: float, low_hz: float, high_hz: float) -> "BandPass":
        """Make the filter, without a low-pass at or above half of the rate: nothing there was recorded."""
        return cls(sfreq_hz, low_hz, high_hz if high_hz < sfreq_hz / 2 else None)

    @cached_property
    def taps(self) -> np.ndarray:
        """Impulse response, symmetric, of odd length."""
        return np.asarray(mne.filter.create_filter(None, self.sfreq_hz, self.low_hz, self.high_hz, verbose="ERROR"))

    @property
    def reach(self) -> int:
        """Samples on each side that take part in a filtered one."""
        return len(self.taps) // 2

    @property
    def length_s(self) -> float:
        """Length of the impulse response."""
        return len(self.taps) / self.sfreq_hz

    @property
    def stop_hz(self) -> float:
        """Where the stop-band above the low-pass begins (MNE: a quarter of the edge, at least 2 Hz, above it)."""
        if self.high_hz is None:
            return self.sfreq_hz / 2
        return self.high_hz + min(max(0.25 * self.high_hz, 2.0), self.sfreq_hz / 2 - self.high_hz)


def symmetric_response(taps: np.ndarray, n: int, bins: int) -> np.ndarray:
    """Response of a symmetric filter, taken as zero-phase, at the first `bins` frequencies of a DFT of length `n`.

    Parameters
    ----------
    taps : array, of odd length, at most `n`

    Returns
    -------
    array, shape (bins,)
        Real.
    """
    from scipy.fft import rfft

    around_zero = np.zeros(n)
    around_zero[: len(taps)] = taps
    response = np.asarray(rfft(np.roll(around_zero, -(len(taps) // 2)), overwrite_x=True))
    return np.real(response[:bins]).copy()
