"""The signal around single words, small enough to stand in a page: bytes in the unit of a kind of sensor.

Letters: C sensors, T samples, N places on the head (a pair of planar gradiometers is one).
"""

from base64 import b64encode
from typing import Any

import numpy as np

from megxl.reporting.maps import SensorGroup, project, sensor_groups
from megxl.signals.sensors import ELECTRODE, GRADIOMETER, SensorArray
from megxl.store.entry import StoredRecording

LATENCIES_S = (0.1, 0.2, 0.4)
"""Times after the onset whose maps are drawn."""


class DrawnArray:
    """How the good sensors of one array are drawn: by kind, in a unit, at places seen from above.

    Parameters
    ----------
    sensors : SensorArray
    bads : sequence of str
        Sensors that are left out.
    """

    def __init__(self, sensors: SensorArray, bads: tuple[str, ...]) -> None:
        good_C = np.array([name not in bads for name in sensors.names])
        xy_C2 = project(sensors.positions_C3)
        self.rows: list[np.ndarray] = []
        """Rows of the signal that each kind takes."""
        self.factors: list[float] = []
        """From SI units to those of each kind."""
        self.kinds: list[dict[str, Any]] = []
        """What the page is told of each kind."""
        for group in sensor_groups(sensors):
            places = [kept for place in group.places if (kept := place[good_C[place]]).size]
            if places:
                self._add(group, places, sensors, xy_C2)

    def _add(self, group: SensorGroup, places: list[np.ndarray], sensors: SensorArray, xy_C2: np.ndarray) -> None:
        rows = np.concatenate(places)
        factor, unit = unit_of(group.title, int(sensors.kinds_C[rows[0]]))
        xy_N2 = np.array([xy_C2[place].mean(axis=0) for place in places])
        ends = np.cumsum([place.size for place in places])
        self.rows.append(rows)
        self.factors.append(factor)
        self.kinds.append({
            "title": group.title.partition(" (")[0],
            "unit": unit,
            "sensors": len(rows),
            "xy": np.round(xy_N2, 3).tolist(),
            "reach": round(_spacing(xy_N2), 4),
            # the two sensors of a planar pair have no common sign
            "signed": not any(place.size > 1 for place in group.places),
            "places": [list(range(end - place.size, end)) for end, place in zip(ends.tolist(), places, strict=True)],
        })  # fmt: skip

    def packed(self, signal_CT: np.ndarray, onset: int) -> list[dict[str, Any]]:
        """Give the bytes of a word's signal, kind by kind, without the mean before the onset (a sample of it)."""
        if onset > 0:
            signal_CT = signal_CT - signal_CT[:, :onset].mean(axis=1, keepdims=True)
        packed = []
        for rows, factor in zip(self.rows, self.factors, strict=True):
            values_CT = signal_CT[rows].astype(np.float64) * factor
            step = float(np.abs(values_CT).max()) / 127 or 1.0
            data = np.round(values_CT / step).astype(np.int8)
            packed.append({"step": step, "data": b64encode(data.tobytes()).decode("ascii")})
        return packed


def unit_of(title: str, kind: int) -> tuple[float, str]:
    """Factor from SI units, and the unit for people: only planar gradiometers measure tesla per metre."""
    if kind == ELECTRODE:
        return 1e6, "µV"
    return (1e13, "fT/cm") if kind == GRADIOMETER and title.startswith("Planar") else (1e15, "fT")


def read_word(recording: StoredRecording, onset_s: float, offset_s: float, window_s: float) -> np.ndarray | None:
    """Read the signal in the window of a word, shape (C, T) in SI units; None where it leaves the recording."""
    start = round((onset_s + offset_s) * recording.sfreq_hz)
    stop = start + round(window_s * recording.sfreq_hz)
    if start < 0 or stop > recording.n_samples:
        return None
    return np.asarray(recording.read(start, stop), dtype=np.float64)


def _spacing(xy_N2: np.ndarray) -> float:
    """Typical distance of a place to the next one, over which a map is smoothed."""
    if len(xy_N2) < 2:
        return 1.0
    distance_NN = np.linalg.norm(xy_N2[:, None] - xy_N2, axis=-1)
    np.fill_diagonal(distance_NN, np.inf)
    return max(0.05, float(np.median(distance_NN.min(axis=1))))
