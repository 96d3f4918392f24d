"""The sensor systems that recordings can be simulated for: geometry, noise, and how a brain reaches them.

Letters: C sensors, N dipoles, K slow disturbances.
"""

import difflib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from megxl.corpora.simulation.physics import electrode_lead_field, far_field, lead_field
from megxl.errors import InputError
from megxl.signals.coils import AXIAL_GRADIOMETER_COILS, ELECTRODE, GRADIOMETER, MAGNETOMETER, sensor_kind

if TYPE_CHECKING:
    import mne

NEUROMAG = "neuromag306"
_MAGNETOMETERS = re.compile(r"neuromag(?!306)\d+")
_FEWEST = 4

_NOISE_DENSITY = {MAGNETOMETER: 3.5e-15, GRADIOMETER: 3.5e-13, ELECTRODE: 2e-7}
"""White noise of a sensor and its surroundings, in T, T/m and V by the root of a hertz."""
_AXIAL_NOISE_DENSITY = 5e-15
"""That of an axial gradiometer, which measures in tesla with two coils."""
_BRAIN_LEVEL = {MAGNETOMETER: 3.3e-13, ELECTRODE: 1e-5, GRADIOMETER: 2.4e-13}
"""Root mean square of what the median sensor of the first of these kinds measures of the brain, T and V; the others
follow from the physics. Where gradiometers are the first they are axial ones, all alone: their far coil takes away
more than a quarter of what the near one measures."""
_FAR_FIELD_T, _FAR_GRADIENT_T_M = 2e-13, 1e-12
_ELECTRODE_DRIFT_V = 5e-6
_HEAD_CENTRE_M = np.array([0.0, 0.0, 0.04])


@dataclass(frozen=True, kw_only=True, eq=False)
class SensorSystem:
    """Sensors of one system.

    Parameters
    ----------
    info : mne.Info
        Names, geometry and rate.
    kinds_C : array, shape (C,)
        0 gradiometer, 1 magnetometer, 2 electrode.
    drift_CK : array, shape (C, K)
        What sensors measure of slow disturbances of unit size (far fields; drifts of electrodes), SI units.
    centre_3 : array, shape (3,)
        Where the centre of the head is: in the frame of the device (MEG) or of the head (EEG), metres.
    template : Path, optional
        The recording whose sensors these are.
    """

    info: "mne.Info"
    kinds_C: np.ndarray
    drift_CK: np.ndarray
    centre_3: np.ndarray
    template: Path | None = None

    @property
    def noise_density_C(self) -> np.ndarray:
        """White noise of each sensor, SI units by the root of a hertz."""
        axial_C = [channel["coil_type"] in AXIAL_GRADIOMETER_COILS for channel in self.info["chs"]]
        return np.where(axial_C, _AXIAL_NOISE_DENSITY, [_NOISE_DENSITY[kind] for kind in self.kinds_C.tolist()])

    @property
    def is_eeg(self) -> bool:
        """Whether the sensors are electrodes."""
        return bool((self.kinds_C == ELECTRODE).all())

    def lead_field(self, positions_N3: np.ndarray, moments_N3: np.ndarray) -> np.ndarray:
        """What the sensors measure of dipoles (metres from the centre of the head, ampere metres), shape (C, N)."""
        if self.is_eeg:
            return electrode_lead_field(self.info, self.centre_3, positions_N3, moments_N3)
        return lead_field(self.info, positions_N3, moments_N3, self.centre_3)

    def strength_for(self, lead_CN: np.ndarray) -> float:
        """Size of independent dipoles at which the median sensor (magnetometer, if any) has the level of a real one."""
        kind = next(kind for kind in _BRAIN_LEVEL if kind in self.kinds_C)
        level_C = np.sqrt((lead_CN[self.kinds_C == kind] ** 2).sum(axis=1))
        return _BRAIN_LEVEL[kind] / float(np.median(level_C))


def sensor_system(name: str, sfreq_hz: float) -> SensorSystem:
    """Make a sensor system by its name.

    Parameters
    ----------
    name : str
        ``neuromag306``; ``neuromag24`` for 24 of its 102 magnetometers, spread evenly (any number from 4 on); or an
        electrode montage that MNE knows.
    sfreq_hz : float
        Samples a second.

    Raises
    ------
    InputError
        An unknown name.
    """
    if name == NEUROMAG or _MAGNETOMETERS.fullmatch(name):
        return magnetic_system(_neuromag(name, sfreq_hz), centre_3=np.zeros(3))
    info = _electrodes(name, sfreq_hz)
    # each electrode's skin and gel drift by themselves; the average reference takes the mean out
    drift_CK = _ELECTRODE_DRIFT_V * (np.eye(len(info["chs"])) - 1 / len(info["chs"]))
    return SensorSystem(info=info, kinds_C=_kinds(info), drift_CK=drift_CK, centre_3=_HEAD_CENTRE_M)


def magnetic_system(info: "mne.Info", centre_3: np.ndarray, template: Path | None = None) -> SensorSystem:
    """Make the system of these MEG sensors around a head; slow disturbances come from far away."""
    drift_CK = far_field(info) * ([_FAR_FIELD_T] * 3 + [_FAR_GRADIENT_T_M] * 5)
    return SensorSystem(info=info, kinds_C=_kinds(info), drift_CK=drift_CK, centre_3=centre_3, template=template)


def _neuromag(name: str, sfreq_hz: float) -> "mne.Info":
    """All sensors, or some magnetometers: each as far as can be from those before it."""
    import mne

    from megxl.signals.reading import neuromag306_info

    info = neuromag306_info(sfreq_hz)
    if name == NEUROMAG:
        return info
    places = np.flatnonzero(_kinds(info) == MAGNETOMETER)
    number = int(name.removeprefix("neuromag"))
    if not _FEWEST <= number <= len(places):
        raise InputError(
            f"There is no sensor system {name!r}: choose neuromag{_FEWEST} to neuromag{len(places)} for so many "
            f"magnetometers, or {NEUROMAG}."
        )
    positions_C3 = np.array([info["chs"][place]["loc"][:3] for place in places])
    chosen, far_C = [int(positions_C3[:, 2].argmax())], np.full(len(places), np.inf)
    while len(chosen) < number:
        far_C = np.minimum(far_C, np.linalg.norm(positions_C3 - positions_C3[chosen[-1]], axis=1))
        chosen.append(int(far_C.argmax()))
    return mne.pick_info(info, places[np.sort(chosen)], verbose="ERROR")


def _kinds(info: "mne.Info") -> np.ndarray:
    return np.array([sensor_kind(channel) for channel in info["chs"]])


def _electrodes(name: str, sfreq_hz: float) -> "mne.Info":
    import mne

    from megxl.signals.montage import make_built_in

    try:
        montage = make_built_in(name)
    except ValueError as error:
        known = [str(montage) for montage in mne.channels.get_builtin_montages()]
        near = difflib.get_close_matches(name, [NEUROMAG, *known], n=1, cutoff=0.3) or ["biosemi64"]
        raise InputError(
            f"There is no sensor system {name!r}; did you mean {near[0]!r}? Allowed: {NEUROMAG}, neuromag24 (so "
            "many of its magnetometers), or an electrode montage of mne.channels.get_builtin_montages()."
        ) from error
    info = mne.create_info(montage.ch_names, sfreq_hz, "eeg")
    info.set_montage(montage)
    return info
