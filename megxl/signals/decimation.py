"""Every D-th sample of a signal that streams by, after a sharp low-pass: nothing is folded into the band to keep.

The low-pass may bend the band: who uses the samples divides its response out. This makes it short.

Letters: C sensors, T samples, D decimation, J samples kept of a frame, N frames, F samples of a frame (F = J D).
"""

import math
from typing import Any

import numpy as np

# dB by which what would be folded into the band is lowered: 1e-6
_ATTENUATION_DB = 120.0


class Decimator:
    """Low-pass and decimation by matrix products.

    A frame of F = J D samples times a matrix gives what it adds to its own J results and to those of the frame before.

    Parameters
    ----------
    factor : int
        Keep one sample of so many.
    sfreq_hz : float
        Samples a second that come in.
    keep_hz : float
        Up to here nothing is folded.
    """

    def __init__(self, factor: int, sfreq_hz: float, keep_hz: float) -> None:
        from scipy.signal import firwin, kaiser_beta

        self.factor = factor
        stop_hz = sfreq_hz / factor - keep_hz
        # it falls from 0 Hz on: the slower, the shorter it is
        width = 2 * math.pi * stop_hz / sfreq_hz
        self.reach = math.ceil((_ATTENUATION_DB - 7.95) / 2.285 / width / 2)
        window: Any = ("kaiser", kaiser_beta(_ATTENUATION_DB))  # scipy's annotation knows names alone
        self.taps = np.asarray(firwin(2 * self.reach + 1, stop_hz / 2, window=window, fs=sfreq_hz))
        self.kept = max(8, math.ceil((2 * self.reach + 1) / factor))
        self.frame = self.kept * factor
        by_delay = np.zeros((2 * self.frame, self.kept))
        for j in range(self.kept):
            by_delay[j * factor : j * factor + len(self.taps), j] = self.taps
        self._own_and_before_F2J = np.concatenate([by_delay[: self.frame], by_delay[self.frame :]], axis=1)
        # OpenBLAS spreads larger products over threads, which wait for each other longer than they work
        self._at_once = max(1, 2**18 // self._own_and_before_F2J.size)
        self._rest_CT: np.ndarray | None = None
        self._begun_CJ: np.ndarray | None = None

    def push(self, signal_CT: np.ndarray) -> np.ndarray:
        """Take the samples that follow and return the results that are ready.

        Result j of all is the low-passed signal at sample ``j D + reach``.
        """
        sensors, samples = signal_CT.shape
        rest_CT = np.empty((sensors, 0)) if self._rest_CT is None else self._rest_CT
        known = rest_CT.shape[1]
        frames = (known + samples) // self.frame
        if not frames:
            self._rest_CT = np.concatenate([rest_CT, signal_CT], axis=1)
            return np.empty((sensors, 0))
        # frames are taken from the signal where it lies; but one may have begun before
        begun = self.frame - known if known else 0
        used = frames * self.frame - known
        seam_CF = np.concatenate([rest_CT, signal_CT[:, :begun]], axis=1)
        whole_CNF = signal_CT[:, begun:used].reshape(sensors, -1, self.frame)
        self._rest_CT = signal_CT[:, used:].copy()
        parts_CN2J = np.empty((sensors, frames, 2 * self.kept))
        whole_CN2J = parts_CN2J[:, 1:] if known else parts_CN2J
        if known:
            np.matmul(seam_CF[:, None], self._own_and_before_F2J, out=parts_CN2J[:, :1])
        for start in range(0, whole_CNF.shape[1], self._at_once):
            some = slice(start, start + self._at_once)
            np.matmul(whole_CNF[:, some], self._own_and_before_F2J, out=whole_CN2J[:, some])
        own_CNJ, before_CNJ = parts_CN2J[..., : self.kept], parts_CN2J[..., self.kept :]
        ready_CNJ = own_CNJ[:, :-1] + before_CNJ[:, 1:]
        if self._begun_CJ is not None:
            ready_CNJ = np.concatenate([(self._begun_CJ + before_CNJ[:, 0])[:, None], ready_CNJ], axis=1)
        self._begun_CJ = own_CNJ[:, -1].copy()
        return ready_CNJ.reshape(sensors, -1)
