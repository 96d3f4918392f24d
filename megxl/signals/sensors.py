"""Where the sensors are, which way they look, what they measure: `SensorArray`, from an `mne.Info` but without MNE.

Letters: C sensors.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from megxl.errors import InputError
from megxl.signals.chs_info import completed_channels
from megxl.signals.coils import (
    DEVICE_FRAME,
    ELECTRODE,
    GRADIOMETER,
    HEAD_FRAME,
    MAGNETOMETER,
    PLANAR_GRADIOMETER_COILS,
    coil_number,
    sensor_kind,
)
from megxl.signals.neuromag306 import neuromag306_channels


class MissingPositions(InputError):  # noqa: N818 (said as a sentence, as every InputError)
    """Sensors without a position; ``names`` are those of the electrodes among them."""

    def __init__(self, sentence: str, names: Sequence[str]) -> None:
        super().__init__(sentence)
        self.names = tuple(names)


@dataclass(frozen=True, kw_only=True, eq=False)
class SensorArray:
    """The sensors of one recording, in the order of its signal's rows.

    Parameters
    ----------
    names : tuple of str
        One name a sensor, all different.
    positions_C3 : array, shape (C, 3)
        Metres, in the frame of the device (MEG, and EEG beside MEG) or of the head (EEG alone).
    orientations_C3 : array, shape (C, 3)
        Unit vectors: the direction of the gradient for planar gradiometers, the coil's normal for other MEG sensors;
        zero for electrodes.
    kinds_C : array, shape (C,)
        0 gradiometer (planar or axial), 1 magnetometer, 2 electrode.

    Raises
    ------
    InputError
        Shapes that disagree, a name that occurs twice, a kind other than 0, 1, 2, a number that is not finite.
    """

    names: tuple[str, ...]
    positions_C3: np.ndarray
    orientations_C3: np.ndarray
    kinds_C: np.ndarray

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", tuple(self.names))
        for field, dtype, shape in (
            ("positions_C3", np.float64, (len(self), 3)),
            ("orientations_C3", np.float64, (len(self), 3)),
            ("kinds_C", np.int64, (len(self),)),
        ):
            values = np.array(getattr(self, field), dtype=dtype)  # a copy: nobody else can change what is stored
            if values.shape != shape:
                raise InputError(f"{field} has the shape {values.shape}, but {len(self)} sensors need {shape}.")
            if not np.isfinite(values).all():
                raise InputError(f"{field} holds NaN or infinite numbers; every sensor needs finite ones.")
            values.setflags(write=False)
            object.__setattr__(self, field, values)
        if not self.names:
            raise InputError("A sensor array needs at least one sensor.")
        _refuse_repeated(self.names)
        if not np.isin(self.kinds_C, (GRADIOMETER, MAGNETOMETER, ELECTRODE)).all():
            found = sorted(set(self.kinds_C.tolist()))
            raise InputError(f"kinds_C holds {found}; allowed: 0 gradiometer, 1 magnetometer, 2 electrode.")

    @classmethod
    def from_info(cls, info: Mapping[str, Any], names: Sequence[str] | None = None) -> "SensorArray":
        """Take the geometry of an `mne.Info` (or of anything whose ``["chs"]`` holds the same dictionaries).

        Parameters
        ----------
        info : mapping
            ``info["chs"]`` is used (``ch_name``, ``kind``, ``coil_type``, ``unit``, ``loc``, ``coord_frame``) and, for
            MEG and EEG together, ``info["dev_head_t"]``.
        names : sequence of str, optional
            Which channels, in which order. By default all MEG sensors (no reference sensors), or all electrodes if
            there are none.

        Returns
        -------
        SensorArray

        Raises
        ------
        InputError
            A channel that is missing or no sensor; a sensor without position (`MissingPositions`) or orientation;
            positions in two coordinate frames without a way from one to the other, or all in one point. The sentence
            counts, names the first and says how to mend it.
        """
        channels = _sensor_channels(info, names)
        array_names = tuple(channel["ch_name"] for channel in channels)
        kinds_C = np.array([sensor_kind(channel) for channel in channels])
        loc_C12 = np.array([np.asarray(channel["loc"], dtype=np.float64)[:12] for channel in channels])
        _refuse_missing_positions(array_names, loc_C12[:, :3], kinds_C)
        positions_C3 = _in_one_frame(channels, loc_C12[:, :3], info.get("dev_head_t"))
        planar_C = np.array([coil_number(channel) in PLANAR_GRADIOMETER_COILS for channel in channels])
        orientations_C3 = np.where(planar_C[:, None], loc_C12[:, 3:6], loc_C12[:, 9:12])
        orientations_C3[kinds_C == ELECTRODE] = 0.0  # an electrode's loc[3:6] is its reference's position
        _refuse_missing_orientations(array_names, orientations_C3, kinds_C)
        array = cls(names=array_names, positions_C3=positions_C3, orientations_C3=orientations_C3, kinds_C=kinds_C)
        array.normalized_positions()  # refuses sensors that are all in one point, before any signal is read
        return array

    @classmethod
    def from_chs_info(cls, chs_info: Sequence[Mapping[str, Any]]) -> "SensorArray":
        """Take the geometry of ``chs_info`` as braindecode's models do: one entry a row of the signal, in its order.

        Parameters
        ----------
        chs_info : sequence of mapping
            ``raw.info["chs"]``, or entries with ``ch_name``, ``kind`` (a number of MNE's or "eeg", "meg", "mag",
            "grad"), ``loc`` (12 numbers, in metres; for electrodes 3 will do) and, for MEG sensors, ``coil_type``.

        Raises
        ------
        InputError
            As of `from_info`; entries that lack what is needed, or are no sensors.
        """
        channels = completed_channels(chs_info)
        try:
            return cls.from_info({"chs": channels}, [channel["ch_name"] for channel in channels])
        except MissingPositions as error:
            raise MissingPositions(
                f"{error} For chs_info: take raw.info['chs'] after raw.set_montage(...), or give each entry its 'loc'.",
                error.names,
            ) from error

    def normalized_positions(self) -> np.ndarray:
        """Centre the positions and scale them to a mean squared norm of 1/3, as the model sees them.

        Returns
        -------
        array, shape (C, 3)
            Unitless.

        Raises
        ------
        InputError
            One sensor, or all in one point.
        """
        centred_C3 = self.positions_C3 - self.positions_C3.mean(axis=0)
        scale = np.sqrt(3.0 * np.mean(np.sum(centred_C3**2, axis=1)))
        if len(self) == 1:
            raise InputError(f"The one sensor {self.names[0]!r} has no geometry to normalise: at least two are needed.")
        if scale < 1e-6:  # a micrometre
            raise InputError(
                f"All {len(self)} sensors (first: {self.names[0]!r}) lie in one point: their positions cannot be "
                "normalised. Choose sensors of at least two places."
            )
        return centred_C3 / scale

    def select(self, names: Sequence[str]) -> "SensorArray":
        """Keep these sensors, in this order."""
        rows_of = {name: row for row, name in enumerate(self.names)}
        unknown = [name for name in names if name not in rows_of]
        if unknown:
            raise InputError(f"{_counted(unknown, names, 'names')} not in this sensor array (first: {unknown[0]!r}).")
        rows = [rows_of[name] for name in names]
        return SensorArray(
            names=tuple(names),
            positions_C3=self.positions_C3[rows],
            orientations_C3=self.orientations_C3[rows],
            kinds_C=self.kinds_C[rows],
        )

    def to_json(self) -> dict[str, list]:
        """Return plain lists that JSON holds without loss."""
        return {
            "names": list(self.names),
            "positions_m": self.positions_C3.tolist(),
            "orientations": self.orientations_C3.tolist(),
            "kinds": self.kinds_C.tolist(),
        }

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> "SensorArray":
        """Rebuild what `to_json` gave."""
        missing = {"names", "positions_m", "orientations", "kinds"} - set(fields)
        if missing:
            raise InputError(f"A stored sensor array lacks {', '.join(sorted(missing))}.")
        return cls(
            names=tuple(fields["names"]),
            positions_C3=np.asarray(fields["positions_m"], dtype=np.float64),
            orientations_C3=np.asarray(fields["orientations"], dtype=np.float64),
            kinds_C=np.asarray(fields["kinds"], dtype=np.int64),
        )

    def __len__(self) -> int:
        return len(self.names)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SensorArray):
            return NotImplemented
        return (
            self.names == other.names
            and np.array_equal(self.positions_C3, other.positions_C3)
            and np.array_equal(self.orientations_C3, other.orientations_C3)
            and np.array_equal(self.kinds_C, other.kinds_C)
        )

    def __hash__(self) -> int:
        return hash((self.names, self.positions_C3.tobytes()))


def neuromag306() -> SensorArray:
    """Return the 306 sensors of a Neuromag VectorView system, from this package's table (it names its source)."""
    return SensorArray.from_info({"chs": neuromag306_channels()})


def unplaced(positions_C3: np.ndarray) -> np.ndarray:
    """Tell which sensors have no position, shape (C,): readers write NaN, or all zeros, where a file holds none."""
    return np.asarray(~np.isfinite(positions_C3).all(axis=1) | ~positions_C3.any(axis=1))


def _sensor_channels(info: Mapping[str, Any], names: Sequence[str] | None) -> list[Mapping[str, Any]]:
    if names is None:
        for kinds in ((GRADIOMETER, MAGNETOMETER), (ELECTRODE,)):
            channels = [channel for channel in info["chs"] if sensor_kind(channel) in kinds]
            if channels:
                return channels
        raise InputError(f"None of the {len(info['chs'])} channels is an MEG sensor or an EEG electrode.")
    by_name = {channel["ch_name"]: channel for channel in info["chs"]}
    unknown = [name for name in names if name not in by_name]
    if unknown:
        raise InputError(f"{_counted(unknown, names, 'channels')} not in the recording (first: {unknown[0]!r}).")
    _refuse_repeated(names)
    channels = [by_name[name] for name in names]
    if not channels:
        raise InputError("No channel was chosen; a sensor array needs at least one.")
    others = [channel["ch_name"] for channel in channels if sensor_kind(channel) is None]
    if others:
        raise InputError(
            f"{_counted(others, names, 'channels')} neither MEG sensors nor EEG electrodes "
            f"(first: {others[0]!r}); leave them out with --exclude."
        )
    return channels


def _counted(some: Sequence[str], of: Sequence[str], what: str) -> str:
    return f"{len(some)} of {len(of)} {what} {'is' if len(some) == 1 else 'are'}"


def _refuse_repeated(names: Sequence[str]) -> None:
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        raise InputError(
            f"Sensor names that occur more than once: {len(repeated)} (first: {repeated[0]!r}); allowed: once each."
        )


def _refuse_missing_positions(names: Sequence[str], positions_C3: np.ndarray, kinds_C: np.ndarray) -> None:
    missing_C = unplaced(positions_C3)
    missing = int(missing_C.sum())
    if missing:
        first = names[int(np.argmax(missing_C))]
        what = "electrodes" if kinds_C[missing_C].min() == ELECTRODE else "sensors"
        raise MissingPositions(
            f"{missing} of {len(names)} {what} {'has' if missing == 1 else 'have'} no position (first: {first!r}). "
            "Set them with raw.set_montage(...) or --montage FILE, or leave these channels out with --exclude.",
            [name for name, lacks in zip(names, missing_C & (kinds_C == ELECTRODE), strict=True) if lacks],
        )


def _refuse_missing_orientations(names: Sequence[str], orientations_C3: np.ndarray, kinds_C: np.ndarray) -> None:
    missing_C = (kinds_C != ELECTRODE) & (~np.isfinite(orientations_C3).all(axis=1) | ~orientations_C3.any(axis=1))
    missing = int(missing_C.sum())
    if missing:
        first = names[int(np.argmax(missing_C))]
        raise InputError(
            f"{missing} of {len(names)} MEG sensors {'has' if missing == 1 else 'have'} no orientation "
            f"(first: {first!r}). "
            "Write their coil directions to info['chs'][i]['loc'][3:12], or leave these channels out with --exclude."
        )


def _in_one_frame(
    channels: Sequence[Mapping[str, Any]], positions_C3: np.ndarray, dev_head_t: Mapping[str, Any] | None
) -> np.ndarray:
    """Bring electrodes, which are placed on the head, to the sensors of the device, if there are both."""
    frames_C = np.array([int(channel["coord_frame"]) for channel in channels])
    others = [channel["ch_name"] for channel in channels if int(channel["coord_frame"]) != frames_C[0]]
    if not others:
        return positions_C3
    if dev_head_t is None or not set(frames_C.tolist()) <= {DEVICE_FRAME, HEAD_FRAME}:
        raise InputError(
            f"The positions of {len(others)} of {len(channels)} sensors (first: {others[0]!r}) are in another "
            f"coordinate frame than that of {channels[0]['ch_name']!r}, and the recording does not say how the head "
            "lay in the device (info['dev_head_t']). Choose MEG or EEG, not both."
        )
    to_head_44 = np.asarray(dev_head_t["trans"], dtype=np.float64)
    turn_33, shift_3 = to_head_44[:3, :3], to_head_44[:3, 3]
    in_device_C3 = np.linalg.solve(turn_33, (positions_C3 - shift_3).T).T
    return np.where((frames_C == HEAD_FRAME)[:, None], in_device_C3, positions_C3)
