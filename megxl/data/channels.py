"""Canonical order of a corpus's sensors: row n is the same sensor in every recording, missing ones are zero and masked.

A decoding head that reads a row by its number needs it: recordings of one corpus differ in which channels they have and
in how these are named. Letters: C sensors (of the recording or of the order), T samples.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from megxl.corpora.corpus import natural
from megxl.errors import InputError
from megxl.signals.coils import ELECTRODE
from megxl.signals.sensors import SensorArray
from megxl.store.entry import StoredRecording


def sensor_labels(sensors: SensorArray) -> list[str]:
    """Names that one sensor has in all recordings of a system.

    Blanks are removed; of MEG sensors also the number of the dewar, which all of them carry in a CTF file
    (``MLC11-4304``). What tells sensors apart stays (``L1-X``, ``L1-Y``), as does an electrode's ``F3-A1``.
    """
    plain = ["".join(name.split()) for name in sensors.names]
    meg = [name for name, kind in zip(plain, sensors.kinds_C, strict=True) if kind != ELECTRODE]
    serials = {name.partition("-")[2] for name in meg}
    serial = f"-{serials.pop()}" if len(serials) == 1 else ""
    if not serial[1:].isdigit():
        return plain
    return [
        name if kind == ELECTRODE else name.removesuffix(serial)
        for name, kind in zip(plain, sensors.kinds_C, strict=True)
    ]


@dataclass(frozen=True, kw_only=True)
class ChannelOrder:
    """The sensors of a corpus in the order of the rows.

    Parameters
    ----------
    sensors : SensorArray
        Named by their labels; where each lies is taken from the first recording (by key) that has it.
    """

    sensors: SensorArray

    def __len__(self) -> int:
        return len(self.sensors)

    @cached_property
    def _row_of(self) -> dict[str, int]:
        return {label: row for row, label in enumerate(self.sensors.names)}

    def place(self, sensors: SensorArray) -> "Placement":
        """Find the rows of a recording's sensors in this order; sensors that the order does not name are left out."""
        labels = _distinct_labels(sensors, "the recording")
        pairs = [(self._row_of[label], row) for row, label in enumerate(labels) if label in self._row_of]
        if not pairs:
            raise InputError(
                f"None of the recording's {len(sensors)} sensors (first: {sensors.names[0]!r}) is in the canonical "
                f"order (first: {self.sensors.names[0]!r}); is it of another corpus?"
            )
        to_C, from_C = np.array(sorted(pairs)).T
        geometry = {}
        for name in ("positions_C3", "orientations_C3", "kinds_C"):
            geometry[name] = getattr(self.sensors, name).copy()
            geometry[name][to_C] = getattr(sensors, name)[from_C]
        present_C = np.zeros(len(self), dtype=bool)
        present_C[to_C] = True
        return Placement(
            to_C=to_C, from_C=from_C, present_C=present_C, sensors=SensorArray(names=self.sensors.names, **geometry)
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Placement:
    """Where the rows of one recording go.

    Parameters
    ----------
    to_C, from_C : array of int
        Row `from_C[n]` of the recording becomes row `to_C[n]`.
    present_C : array of bool
        Which rows of the order the recording has.
    sensors : SensorArray
        All sensors of the order: the recording's own geometry, where it has the sensor.
    """

    to_C: np.ndarray
    from_C: np.ndarray
    present_C: np.ndarray
    sensors: SensorArray

    def rows(self, values_C: np.ndarray) -> np.ndarray:
        """Put rows (of a signal, of codes) in order; missing ones are zero."""
        rows_C = np.array(values_C, order="C")  # stored signals are time-major: whole rows move fast, columns do not
        source_C = np.zeros(len(self.present_C), dtype=np.intp)
        source_C[self.to_C] = self.from_C
        if len(rows_C) == len(source_C) and (source_C == np.arange(len(source_C))).all() and self.present_C.all():
            return rows_C
        arranged_C = rows_C[source_C]
        arranged_C[~self.present_C] = 0
        return arranged_C


def arrange(signal_CT: np.ndarray, sensors: SensorArray, order: ChannelOrder) -> tuple[np.ndarray, np.ndarray]:
    """Bring a signal into the canonical order.

    Returns
    -------
    signal_CT : array
        One row a sensor of the order; zero where the recording lacks it.
    present_C : array of bool
        False where the recording lacks it.
    """
    placement = order.place(sensors)
    return placement.rows(signal_CT), placement.present_C


def canonical_order(recordings: Iterable[StoredRecording], names: Sequence[str] | None = None) -> ChannelOrder:
    """Order the sensors that occur in any of a corpus's recordings by their labels, numbers by value.

    The same set of sensors gives the same order, whatever the order of recordings and of channels in their files.

    Parameters
    ----------
    recordings : iterable of StoredRecording
        Of one corpus: training, validation and test together.
    names : sequence of str, optional
        These sensors in this order instead of all.

    Raises
    ------
    InputError
        Two sensors of one label in a recording, a label that is a coil here and an electrode there, a name that no
        recording has.
    """
    found: dict[str, tuple[SensorArray, int]] = {}
    for recording in sorted(recordings, key=lambda recording: natural(recording.key)):
        for row, label in enumerate(_distinct_labels(recording.sensors, recording.key)):
            sensors, other = found.setdefault(label, (recording.sensors, row))
            if sensors.kinds_C[other] != recording.sensors.kinds_C[row]:
                raise InputError(
                    f"{recording.key}: the sensor {label!r} is of another kind than in an earlier recording; "
                    "one canonical order needs recordings of one system."
                )
    if not found:
        raise InputError("No recording to take a canonical order of sensors from.")
    labels = _asked(names, found) if names is not None else sorted(found, key=natural)
    geometry = {
        name: np.array([getattr(found[label][0], name)[found[label][1]] for label in labels])
        for name in ("positions_C3", "orientations_C3", "kinds_C")
    }
    return ChannelOrder(sensors=SensorArray(names=tuple(labels), **geometry))


def _asked(names: Sequence[str], found: dict[str, tuple[SensorArray, int]]) -> list[str]:
    labels = []
    for name in names:
        plain = "".join(name.split())
        label = plain if plain in found else plain.split("-")[0]
        if label not in found:
            raise InputError(f"No recording has the sensor {name!r} of the canonical order that was asked for.")
        labels.append(label)
    return labels


def _distinct_labels(sensors: SensorArray, where: str) -> list[str]:
    labels = sensor_labels(sensors)
    if len(set(labels)) < len(labels):
        seen: dict[str, str] = {}
        for label, name in zip(labels, sensors.names, strict=True):
            if label in seen:
                raise InputError(
                    f"{where}: the sensors {seen[label]!r} and {name!r} would both be {label!r} in a canonical order; "
                    "rename one of them, or use the order of the file."
                )
            seen[label] = name
    return labels
