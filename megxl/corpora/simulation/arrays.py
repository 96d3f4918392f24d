"""The sensor systems that recordings can be simulated for: geometry, noise, and how a brain reaches them.

Letters: C sensors, N dipoles, K slow disturbances.
"""

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from megxl.corpora.simulation.physics import electrode_lead_field, far_field, lead_field
from megxl.errors import InputError
from megxl.signals.coils import ELECTRODE, GRADIOMETER, MAGNETOMETER, sensor_kind

if TYPE_CHECKING:
    import mne

NEUROMAG = "neuromag306"

_NOISE_DENSITY = {MAGNETOMETER: 3.5e-15, GRADIOMETER: 3.5e-13, ELECTRODE: 2e-7}
"""White noise of a sensor and its surroundings, in T, T/m and V by the root of a hertz."""
_BRAIN_LEVEL = {MAGNETOMETER: 3.3e-13, ELECTRODE: 1e-5}
"""Root mean square of what the median sensor of a kind measures of the brain; gradiometers follow from the physics."""
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
    """

    info: "mne.Info"
    kinds_C: np.ndarray
    drift_CK: np.ndarray

    @property
    def noise_density_C(self) -> np.ndarray:
        """White noise of each sensor, SI units by the root of a hertz."""
        return np.array([_NOISE_DENSITY[kind] for kind in self.kinds_C.tolist()])

    @property
    def is_eeg(self) -> bool:
        """Whether the sensors are electrodes."""
        return bool((self.kinds_C == ELECTRODE).all())

    def lead_field(self, positions_N3: np.ndarray, moments_N3: np.ndarray) -> np.ndarray:
        """What the sensors measure of dipoles (metres from the centre of the head, ampere metres), shape (C, N)."""
        if self.is_eeg:
            return electrode_lead_field(self.info, _HEAD_CENTRE_M, positions_N3, moments_N3)
        return lead_field(self.info, positions_N3, moments_N3)

    def strength_for(self, lead_CN: np.ndarray) -> float:
        """Size of independent dipoles at which the median magnetometer (or electrode) has the level of a real one."""
        kind = ELECTRODE if self.is_eeg else MAGNETOMETER
        level_C = np.sqrt((lead_CN[self.kinds_C == kind] ** 2).sum(axis=1))
        return _BRAIN_LEVEL[kind] / float(np.median(level_C))


def sensor_system(name: str, sfreq_hz: float) -> SensorSystem:
    """Make a sensor system by its name: ``neuromag306`` or an electrode montage that MNE knows.

    Raises
    ------
    InputError
        An unknown name.
    """
    if name == NEUROMAG:
        from megxl.signals.reading import neuromag306_info

        info = neuromag306_info(sfreq_hz)
        drift_CK = far_field(info) * ([_FAR_FIELD_T] * 3 + [_FAR_GRADIENT_T_M] * 5)
    else:
        info = _electrodes(name, sfreq_hz)
        # each electrode's skin and gel drift by themselves; the average reference takes the mean out
        drift_CK = _ELECTRODE_DRIFT_V * (np.eye(len(info["chs"])) - 1 / len(info["chs"]))
    kinds_C = np.array([sensor_kind(channel) for channel in info["chs"]])
    return SensorSystem(info=info, kinds_C=kinds_C, drift_CK=drift_CK)


def _electrodes(name: str, sfreq_hz: float) -> "mne.Info":
    import mne

    known = [str(montage) for montage in mne.channels.get_builtin_montages()]
    if name not in known:
        near = difflib.get_close_matches(name, [NEUROMAG, *known], n=1, cutoff=0.3) or ["biosemi64"]
        raise InputError(
            f"There is no sensor system {name!r}; did you mean {near[0]!r}? Allowed: {NEUROMAG}, or an electrode "
            "montage of mne.channels.get_builtin_montages()."
        )
    montage = mne.channels.make_standard_montage(name)
    info = mne.create_info(montage.ch_names, sfreq_hz, "eeg")
    info.set_montage(montage)
    return info
