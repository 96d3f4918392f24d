"""From rows to numbers with intervals: means over rows, drawn anew by recording, and means of each sensor.

Letters: N rows (one sensor of one window each), W windows, C sensors.
"""

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from megxl.training.intervals import bootstrap_means, interval
from megxl.training.tokenizer.judged import Estimate, SensorErrors, Spread
from megxl.training.tokenizer.judged_windows import JudgedWindows


class RowTable:
    """Which row belongs to which window, recording and sensor.

    Parameters
    ----------
    windows : JudgedWindows
    seed : int
        Of the bootstrap.
    """

    def __init__(self, windows: JudgedWindows, seed: int) -> None:
        self._windows, self._seed, self._keys = windows, seed, windows.keys
        self._window_N = np.repeat(np.arange(len(windows)), [len(sensors_N) for _, sensors_N in windows.rows])
        self._array_N = np.array([array for array, _ in windows.rows])[self._window_N]
        self._sensor_N = np.concatenate([sensors_N for _, sensors_N in windows.rows])

    def __len__(self) -> int:
        return len(self._window_N)

    @property
    def intervals_over(self) -> str | None:
        """What is drawn anew; None: there is one window, and nothing to draw."""
        return "recordings" if len(set(self._keys)) > 1 else "windows" if len(self._windows) > 1 else None

    def estimate(self, values_N: Tensor) -> Estimate:
        """Mean over the rows that have a value, with its interval."""
        there_N = ~values_N.isnan().numpy()
        found = values_N.numpy()[there_N]
        if not len(found):
            return Estimate(mean=None)
        counts_W, sums_W = (
            np.bincount(self._window_N[there_N], weights=weights, minlength=len(self._windows))
            for weights in (None, found)
        )
        means_R1 = bootstrap_means(sums_W[:, None], counts_W, self._keys, seed=self._seed)
        low, high = (None, None) if means_R1 is None else interval(means_R1[:, 0])
        return Estimate(mean=float(found.mean()), low=low, high=high)

    def spread(self, values_N: Tensor) -> Spread:
        """Mean with its interval, and percentiles of the rows."""
        found = values_N[~values_N.isnan()].numpy()
        median, p5, p95 = map(float, np.quantile(found, (0.5, 0.05, 0.95))) if len(found) else (None,) * 3
        return Spread(**vars(self.estimate(values_N)), median=median, p5=p5, p95=p95)

    def by_sensor(self, r_N: Tensor, error_N: Tensor) -> tuple[SensorErrors, ...]:
        """Means of each sensor of each array over the windows in which it was looked at."""
        return tuple(
            SensorErrors(
                sensors=sensors,
                recordings=tuple(dict.fromkeys(self._keys_of(array))),
                r_C=self._sensor_means(array, r_N.numpy()),
                error_C=self._sensor_means(array, error_N.numpy()),
                rows_C=np.bincount(self._sensor_N[self._array_N == array], minlength=len(sensors)),
            )
            for array, sensors in enumerate(self._windows.arrays)
        )

    def _keys_of(self, array: int) -> Sequence[str]:
        return [key for key, (own, _) in zip(self._keys, self._windows.rows, strict=True) if own == array]

    def _sensor_means(self, array: int, values_N: np.ndarray) -> np.ndarray:
        chosen_N = (self._array_N == array) & ~np.isnan(values_N)
        counts_C, sums_C = (
            np.bincount(self._sensor_N[chosen_N], weights=weights, minlength=len(self._windows.arrays[array]))
            for weights in (None, values_N[chosen_N])
        )
        return np.where(counts_C > 0, sums_C / np.maximum(counts_C, 1), np.nan)
