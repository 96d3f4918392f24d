"""What is wrong with a signal before anything is done to it: flat, broken, jumping, doubled sensors, wrong units.

Letters: C sensors, T samples, K seconds of the recording, F figures of a sensor's second.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from megxl.signals.coils import ELECTRODE, GRADIOMETER, MAGNETOMETER
from megxl.signals.figures import Figures
from megxl.signals.quality_report import TOO_SMALL, QualityReport

# sensors that are looked at together: some seconds of them fit into a core's cache
_AT_ONCE = 32
# a sensor counts as saturated when it stays at its maximum or minimum for more than this share of its samples: real
# ones stay below 0.001, and one that loses a hundredth of its samples on either side stays there for 0.005 to 0.015
SATURATED_SHARE = 0.003
# a second holds a jump when its largest step exceeds this many times the median of the largest steps of all seconds:
# white noise stays below 2, and a SQUID that loses its lock moves by hundreds. Where a sensor jumps all the time, that
# many times the median of its like and the mean step of the second: white noise stays below 6
JUMP_FACTOR = 20.0
# sensors of real recordings cover 0.2 to 7 times as much as the median of their kind, but for broken ones
NOISE_FACTOR = 10.0
# fewer sensors of one kind, or fewer seconds (averages), say nothing about what is usual
_PEERS, _PEER_SECONDS = 8, 2

# what a sensor covers (maximum - minimum) in the median second: from less than a converter's step to passing trains ...
_PLAUSIBLE = {GRADIOMETER: (1e-16, 1e-6), MAGNETOMETER: (1e-16, 1e-7), ELECTRODE: (1e-8, 2e-2)}
# ... and about how much of it there is in the units that people forget to convert
_OTHER_UNITS = {
    GRADIOMETER: {"fT or fT/cm": 1e3, "pT or pT/cm": 1.0, "nT or nT/cm": 1e-3},
    MAGNETOMETER: {"fT": 3e3, "pT": 3.0, "nT": 3e-3},
    ELECTRODE: {"nV": 5e4, "uV": 50.0, "mV": 5e-2},
}


class Inspector:
    """Look at a recording piece by piece; what it finds does not depend on where the pieces end.

    Parameters
    ----------
    names : sequence of str
        One name a row.
    sfreq_hz : float
        Samples a second, as recorded.
    kinds_C : sequence of int, optional
        What each sensor is (as in `SensorArray`); without them units are not judged.
    """

    def __init__(
        self, names: Sequence[str], sfreq_hz: float, kinds_C: Sequence[int] | np.ndarray | None = None
    ) -> None:
        self.names = list(names)
        self._kinds_C = [None] * len(names) if kinds_C is None else [int(kind) for kind in kinds_C]
        self._sfreq_hz, self._second = sfreq_hz, max(2, round(sfreq_hz))
        starts = range(0, len(names), _AT_ONCE)
        self._figures = [Figures(len(names[start : start + _AT_ONCE]), self._second) for start in starts]
        self._rest_CT = np.empty((len(names), 0))
        self._parts: list[Inspector] = []

    def update(self, signal_CT: np.ndarray) -> None:
        """Look at the samples, shape (C, T), that follow those seen before; as recorded, not filtered."""
        if self._rest_CT.shape[1]:
            signal_CT = np.concatenate([self._rest_CT, signal_CT], axis=1)
        whole = signal_CT.shape[1] // self._second * self._second
        self._take(signal_CT[:, :whole])
        self._rest_CT = signal_CT[:, whole:].copy()

    def of(self, names: Sequence[str]) -> "Inspector":
        """Return one that looks at some of the sensors alone; this one looks at no more, and reports what they saw."""
        kinds = [self._kinds_C[self.names.index(name)] for name in names]
        self._parts.append(Inspector(names, self._sfreq_hz))
        self._parts[-1]._kinds_C = kinds
        return self._parts[-1]

    def finish(self) -> None:
        """Look at the last, broken second, if there is one; nothing may follow."""
        self._take(self._rest_CT)
        self._rest_CT = self._rest_CT[:, :0]

    def report(self) -> QualityReport:
        """Tell what was found in all samples; nothing may follow."""
        report = QualityReport()
        same: dict[bytes, list[str]] = {}
        moving: list[_Sensor] = []
        seen = {name: sensor for part in self._parts or [self] for name, sensor in part._sensors()}
        for name, kind in zip(self.names, self._kinds_C, strict=True):
            figures, row = seen[name]
            if figures.n_nonfinite_C[row]:
                report.nonfinite[name] = int(figures.n_nonfinite_C[row])
                report.first_nonfinite[name] = int(figures.first_nonfinite_C[row])
            elif figures.n_samples and figures.top_C[row] == figures.bottom_C[row]:
                report.flat.append(name)
            elif figures.n_samples:
                share = float(figures.saturated_share_C[row])
                moving.append(_Sensor(name, kind, figures.figures_CKF[row], share, figures.n_samples // self._second))
                # the mean step depends in its last digits on where the pieces ended
                same.setdefault(figures.figures_CKF[row, :, :4].tobytes(), []).append(name)
        _judge_all(report, moving)
        report.duplicates = [names for names in same.values() if len(names) > 1]
        return report

    def _take(self, signal_CT: np.ndarray) -> None:
        for figures, start in zip(self._figures, range(0, len(self.names), _AT_ONCE), strict=True):
            figures.take(signal_CT[start : start + _AT_ONCE])

    def _sensors(self) -> Iterator[tuple[str, tuple[Figures, int]]]:
        """Give each sensor's name, and where its figures are."""
        self.finish()
        for row, name in enumerate(self.names):
            yield name, (self._figures[row // _AT_ONCE], row % _AT_ONCE)


def inspect(
    signal_CT: np.ndarray,
    names: Sequence[str],
    sfreq_hz: float,
    kinds_C: Sequence[int] | np.ndarray | None = None,
) -> QualityReport:
    """Look at a whole recording at once.

    Parameters
    ----------
    signal_CT : array, shape (C, T)
        As recorded, before any filter: a filter turns a flat line into rounding noise.
    names, sfreq_hz, kinds_C
        See `Inspector`.

    Returns
    -------
    QualityReport
    """
    inspector = Inspector(names, sfreq_hz, kinds_C)
    inspector.update(signal_CT)
    return inspector.report()


class _Sensor(NamedTuple):
    """A sensor that moves, and what is known of it."""

    name: str
    kind: int | None
    figures_KF: np.ndarray
    saturated: float
    whole: int
    """Seconds that are not broken off."""

    @property
    def extent(self) -> float:
        """What it covers in the median second."""
        return float(np.median(self.figures_KF[:, 0] - self.figures_KF[:, 1]))

    @property
    def step(self) -> float:
        """Its largest step in the median second; seconds at rest say nothing about that."""
        step_K = self.figures_KF[:, 2]
        return float(np.median(step_K[step_K > 0]))

    @property
    def rests_K(self) -> np.ndarray:
        """Whether it rests throughout a second."""
        return self.figures_KF[: self.whole, 0] == self.figures_KF[: self.whole, 1]


def _judge_all(report: QualityReport, moving: Sequence[_Sensor]) -> None:
    """Write down what is odd about sensors that move, each compared with itself and its like."""
    # all rest where the acquisition paused
    counts_K = np.ones(moving[0].whole, dtype=bool) if moving else np.empty(0)
    if len(moving) > 1:
        counts_K = ~np.all([sensor.rests_K for sensor in moving], axis=0)
    usual = {kind: _usual([sensor for sensor in moving if sensor.kind == kind]) for kind in {s.kind for s in moving}}
    for sensor in moving:
        if resting := int(np.count_nonzero(sensor.rests_K & counts_K)):
            report.flat_s[sensor.name] = resting
        if sensor.saturated > SATURATED_SHARE:
            report.saturated[sensor.name] = sensor.saturated
        if sensor.kind is not None and sensor.extent > 0:
            _judge_unit(report, sensor.name, sensor.kind, sensor.extent)
        extent, step = usual[sensor.kind]
        _judge_jumps(report, sensor, step)
        # of a wrong unit was spoken already
        if sensor.kind is not None and sensor.name not in report.unit_suspects and sensor.extent > 0:
            if sensor.extent > NOISE_FACTOR * extent:
                report.noisy[sensor.name] = float(f"{sensor.extent / extent:.2g}")
            elif sensor.extent * NOISE_FACTOR < extent < np.inf:
                report.quiet[sensor.name] = float(f"{sensor.extent / extent:.2g}")


def _usual(alike: Sequence[_Sensor]) -> tuple[float, float]:
    """Return what sensors of a kind cover and how far they step in the median second; infinite if unknown."""
    alike = [sensor for sensor in alike if sensor.extent > 0 and sensor.whole >= _PEER_SECONDS]
    if len(alike) < _PEERS:
        return np.inf, np.inf
    extents, steps = zip(*((sensor.extent, sensor.step) for sensor in alike), strict=True)
    return float(np.median(extents)), float(np.median(steps))


def _judge_jumps(report: QualityReport, sensor: _Sensor, usual_step: float) -> None:
    step_K, mean_step_K = sensor.figures_KF[:, 2], sensor.figures_KF[:, 4]
    jumps_K = step_K > JUMP_FACTOR * sensor.step
    jumps_K |= step_K > JUMP_FACTOR * np.maximum(usual_step, mean_step_K)
    if jumps_K[0]:
        report.jumpy_at_start.append(sensor.name)
    if jumps := int(np.count_nonzero(jumps_K[1:])):
        report.jumpy[sensor.name] = jumps


def _judge_unit(report: QualityReport, name: str, kind: int, extent: float) -> None:
    smallest, largest = _PLAUSIBLE[kind]
    if extent < smallest:
        report.unit_suspects[name] = TOO_SMALL
    elif extent > largest:
        distance = {unit: abs(np.log(extent / usual)) for unit, usual in _OTHER_UNITS[kind].items()}
        report.unit_suspects[name] = min(distance, key=lambda unit: distance[unit])
