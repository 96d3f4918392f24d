"""What sensors measure of current dipoles in a head that is a conducting sphere, and of fields from far away.

Letters: C sensors, N dipoles, K far fields.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from megxl.signals.coils import AXIAL_GRADIOMETER_COILS, PLANAR_GRADIOMETER_COILS

if TYPE_CHECKING:
    import mne

PLANAR_BASELINE_M = 0.0168
AXIAL_BASELINE_M = 0.05
"""Of CTF and KIT: the second coil lies further out, along the normal, and is wound the other way."""


def lead_field(
    info: Mapping[str, Any], positions_N3: np.ndarray, moments_N3: np.ndarray, centre_3: np.ndarray
) -> np.ndarray:
    """What each MEG sensor measures of each current dipole in a sphere, shape (C, N).

    Parameters
    ----------
    info : mapping
        An `mne.Info`; magnetometers, planar gradiometers and axial ones of CTF or KIT, in the frame of the device.
    positions_N3, moments_N3 : array, shape (N, 3)
        Metres from the centre of the sphere; ampere metres.
    centre_3 : array, shape (3,)
        Centre of the sphere in the frame of the device, metres.

    Returns
    -------
    array, shape (C, N)
        Tesla, or tesla per metre.
    """
    gains = []
    for channel in info["chs"]:
        place, along, normal = channel["loc"][:3] - centre_3, channel["loc"][3:6], channel["loc"][9:12]
        if channel["coil_type"] in PLANAR_GRADIOMETER_COILS:
            half = 0.5 * PLANAR_BASELINE_M * along
            ahead, behind = (dipole_fields(p, positions_N3, moments_N3) @ normal for p in (place + half, place - half))
            gains.append((ahead - behind) / PLANAR_BASELINE_M)
        elif channel["coil_type"] in AXIAL_GRADIOMETER_COILS:
            further = place + AXIAL_BASELINE_M * normal
            near, far = (dipole_fields(p, positions_N3, moments_N3) @ normal for p in (place, further))
            gains.append(near - far)
        else:
            gains.append(dipole_fields(place, positions_N3, moments_N3) @ normal)
    return np.array(gains)


def dipole_fields(place_3: np.ndarray, positions_N3: np.ndarray, moments_N3: np.ndarray) -> np.ndarray:
    """Magnetic field in tesla at a place outside the sphere, of each dipole (A m) inside, shape (N, 3).

    J. Sarvas, Phys. Med. Biol. 32 (1987) 11, equation 25.
    """
    a_N3 = place_3 - positions_N3
    a_N1 = np.linalg.norm(a_N3, axis=1, keepdims=True)
    r = np.linalg.norm(place_3)
    along_N1 = (a_N3 @ place_3)[:, None]
    f_N1 = a_N1 * (r * a_N1 + r**2 - (positions_N3 @ place_3)[:, None])
    gradient_N3 = (a_N1**2 / r + along_N1 / a_N1 + 2 * a_N1 + 2 * r) * place_3 - (
        a_N1 + 2 * r + along_N1 / a_N1
    ) * positions_N3
    torque_N3 = np.cross(moments_N3, positions_N3)
    return 1e-7 * (f_N1 * torque_N3 - (torque_N3 @ place_3)[:, None] * gradient_N3) / f_N1**2


def far_field(info: Mapping[str, Any]) -> np.ndarray:
    """What each MEG sensor measures of the eight simplest fields from far away, shape (C, 8).

    Three homogeneous fields of 1 T and five whose gradient is 1 T/m, which have neither curl nor sources.
    """
    x, y, z = np.eye(3)
    gradients = [np.outer(a, b) + np.outer(b, a) for a, b in ((x, y), (y, z), (z, x))]
    gradients += [np.diag(x - z), np.diag(y - z)]
    rows = []
    for channel in info["chs"]:
        place, along, normal = channel["loc"][:3], channel["loc"][3:6], channel["loc"][9:12]
        if channel["coil_type"] in PLANAR_GRADIOMETER_COILS:
            rows.append([0.0, 0.0, 0.0, *(normal @ gradient @ along for gradient in gradients)])
        elif channel["coil_type"] in AXIAL_GRADIOMETER_COILS:
            rows.append([0.0, 0.0, 0.0, *(-AXIAL_BASELINE_M * normal @ gradient @ normal for gradient in gradients)])
        else:
            rows.append([*normal, *(normal @ gradient @ place for gradient in gradients)])
    return np.array(rows)


def electrode_lead_field(
    info: "mne.Info", centre_3: np.ndarray, positions_N3: np.ndarray, moments_N3: np.ndarray
) -> np.ndarray:
    """What each electrode measures of each dipole in MNE's four-shell sphere, against the mean of all, shape (C, N).

    Parameters
    ----------
    info : mne.Info
        Electrodes with positions in the frame of the head.
    centre_3 : array, shape (3,)
        Centre of the sphere, metres.
    positions_N3, moments_N3 : array, shape (N, 3)
        Metres from the centre; ampere metres.

    Returns
    -------
    array, shape (C, N)
        Volts.
    """
    import mne

    sphere = mne.make_sphere_model(tuple(centre_3), 0.095, verbose="ERROR")
    directions_N3 = moments_N3 / np.linalg.norm(moments_N3, axis=1, keepdims=True)
    places: Any = {"rr": positions_N3 + centre_3, "nn": directions_N3}
    source = mne.setup_volume_source_space(pos=places, sphere=sphere, sphere_units="m", verbose="ERROR")
    forward = mne.make_forward_solution(info, None, source, sphere, meg=False, eeg=True, mindist=0.0, verbose="ERROR")
    gains_CN3 = forward["sol"]["data"].reshape(len(info["chs"]), -1, 3)
    gains_CN = np.einsum("cnd,nd->cn", gains_CN3, moments_N3)
    return gains_CN - gains_CN.mean(axis=0)
