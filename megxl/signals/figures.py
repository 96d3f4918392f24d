"""What is remembered of sensors while their samples stream by: limits, rests at the limits, five figures a second.

Letters: C sensors, T samples, K seconds of the recording, F figures of a sensor's second.
"""

import numpy as np


class Figures:
    """The figures of a few sensors; whole seconds must come, but for the last one.

    Parameters
    ----------
    sensors : int
        How many; so few that their samples stay in the processor's cache while they are looked at several times.
    second : int
        Samples of a second.
    """

    def __init__(self, sensors: int, second: int) -> None:
        self._second = second
        self.n_samples = 0
        self.top_C, self.bottom_C = np.full(sensors, -np.inf), np.full(sensors, np.inf)
        self.n_nonfinite_C = np.zeros(sensors, dtype=np.int64)
        self.first_nonfinite_C = np.full(sensors, -1)
        self._at_top_C, self._at_bottom_C = np.zeros((2, sensors), dtype=np.int64)
        self._last_C = np.zeros(sensors)
        self._parts_CKF = [np.empty((sensors, 0, 5))]

    @property
    def saturated_share_C(self) -> np.ndarray:
        """Share of the samples that repeat the maximum or minimum."""
        return (self._at_top_C + self._at_bottom_C) / max(1, self.n_samples)

    @property
    def figures_CKF(self) -> np.ndarray:
        """Maximum, minimum, largest step, first sample and mean step of each second."""
        if len(self._parts_CKF) > 1:
            self._parts_CKF = [np.concatenate(self._parts_CKF, axis=1)]
        return self._parts_CKF[0]

    def take(self, signal_CT: np.ndarray) -> None:
        """Look at the samples that follow."""
        sensors, samples = signal_CT.shape
        if not samples:
            return
        step_CT = np.empty(signal_CT.shape)
        with np.errstate(invalid="ignore", over="ignore"):  # infinite samples; they are counted below
            np.subtract(signal_CT[:, 1:], signal_CT[:, :-1], out=step_CT[:, 1:])
            np.subtract(signal_CT[:, 0], self._last_C, out=step_CT[:, 0])
        np.abs(step_CT, out=step_CT)
        if not self.n_samples:
            step_CT[:, 0] = -1.0  # no step leads to the first sample
        shape = (sensors, -1, min(self._second, samples))
        seconds_CKT, step_CKT = signal_CT.reshape(shape), step_CT.reshape(shape)
        top_CK, bottom_CK = seconds_CKT.max(axis=2), seconds_CKT.min(axis=2)
        mean_step_CK = step_CKT[:, :, 1:].sum(axis=2) / step_CKT.shape[2]  # not the mark of the first sample
        figures = (top_CK, bottom_CK, step_CKT.max(axis=2), seconds_CKT[:, :, 0], mean_step_CK)
        # what is equal shall have equal bits: 0.0 for -0.0
        self._parts_CKF.append(np.stack(figures, axis=2) + 0.0)
        self.top_C = _stays(seconds_CKT, step_CKT, top_CK, self.top_C, np.maximum, self._at_top_C)
        self.bottom_C = _stays(seconds_CKT, step_CKT, bottom_CK, self.bottom_C, np.minimum, self._at_bottom_C)
        self._count_nonfinite(signal_CT, ~(np.isfinite(top_CK) & np.isfinite(bottom_CK)).all(axis=1))
        self.n_samples += samples
        self._last_C = signal_CT[:, -1].copy()

    def _count_nonfinite(self, signal_CT: np.ndarray, suspect_C: np.ndarray) -> None:
        for row in np.flatnonzero(suspect_C):
            bad = np.flatnonzero(~np.isfinite(signal_CT[row]))
            if bad.size and not self.n_nonfinite_C[row]:
                self.first_nonfinite_C[row] = self.n_samples + bad[0]
            self.n_nonfinite_C[row] += bad.size


def _stays(
    seconds_CKT: np.ndarray,
    step_CKT: np.ndarray,
    limit_CK: np.ndarray,
    known_C: np.ndarray,
    extreme: np.ufunc,
    count_C: np.ndarray,
) -> np.ndarray:
    """Count the samples at the limit that repeat the one before them, and return the limit that holds now.

    Runs, not single samples: a quiet sensor with few converter levels touches its extremes often, but does not stay
    there. A new limit begins anew.
    """
    limit_C = extreme(known_C, extreme.reduce(limit_CK, axis=1))
    count_C[limit_C != known_C] = 0
    sensor, second = np.nonzero(limit_CK == limit_C[:, None])  # few seconds reach it
    stays_T = (step_CKT[sensor, second] == 0) & (seconds_CKT[sensor, second] == limit_C[sensor, None])
    np.add.at(count_C, sensor, stays_T.sum(axis=1))
    return limit_C
