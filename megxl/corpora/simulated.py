"""A made-up recording for the demo: Neuromag 306 sensors over a sphere with a rhythm, responses to tones, and noise.

Letters: C sensors, N dipoles, T samples.
"""

from typing import TYPE_CHECKING

import numpy as np

from megxl.signals.reading import neuromag306_info
from megxl.signals.sensors import MAGNETOMETER, PLANAR_GRADIOMETER_COILS, SensorArray

if TYPE_CHECKING:
    import mne

SFREQ_HZ = 250.0
MAGNETOMETER_LEVEL_T = 4e-13
"""Root mean square of a typical magnetometer; gradiometers follow from the physics, near 8e-12 T/m."""
PLANAR_BASELINE_M = 0.0168
N_BACKGROUND = 60
OCCIPITAL_M = ((-0.02, -0.06, 0.02), (0.02, -0.06, 0.02))
AUDITORY_M = ((-0.055, 0.0, 0.02), (0.055, 0.0, 0.02))


def make_recording(seconds: float, seed: int = 0) -> "mne.io.RawArray":
    """Make a recording of the given length; the same seed gives the same recording.

    Background of pink noise from dipoles all over, a waxing and waning 10 Hz rhythm at the back of the head, a response
    100 ms after each of some tones (annotated) at both sides, and white sensor noise.
    """
    import mne

    rng = np.random.default_rng(seed)
    n_samples = round(seconds * SFREQ_HZ)
    info = neuromag306_info(SFREQ_HZ)
    onsets_s = np.arange(0.5, seconds - 0.5, 1.2) + rng.uniform(0, 0.3, len(np.arange(0.5, seconds - 0.5, 1.2)))
    positions_N3 = np.concatenate([_background_places(rng), OCCIPITAL_M, AUDITORY_M])
    courses_NT = np.concatenate(
        [
            pink_noise(rng, N_BACKGROUND, n_samples),
            2.0 * _rhythm(rng, n_samples)[None].repeat(2, axis=0),
            4.0 * _responses(onsets_s, n_samples)[None].repeat(2, axis=0),
        ]
    )
    signal_CT = lead_field(info, positions_N3, _tangential(rng, positions_N3)) @ courses_NT
    magnetometers = SensorArray.from_info(info).kinds_C == MAGNETOMETER
    signal_CT *= MAGNETOMETER_LEVEL_T / np.median(signal_CT[magnetometers].std(axis=1))
    # sensors themselves are a tenth as loud
    signal_CT += (
        0.1 * np.median(signal_CT.std(axis=1)[:, None], axis=1, keepdims=True) * rng.standard_normal(signal_CT.shape)
    )
    raw = mne.io.RawArray(signal_CT, info, verbose="ERROR")
    raw.set_annotations(mne.Annotations(onsets_s, 0.1, "tone"))
    return raw


def lead_field(info: "mne.Info", positions_N3: np.ndarray, moments_N3: np.ndarray) -> np.ndarray:
    """What each sensor measures of each current dipole in a conducting sphere around the origin, shape (C, N)."""
    gains = []
    for channel in info["chs"]:
        place, along, normal = channel["loc"][:3], channel["loc"][3:6], channel["loc"][9:12]
        if channel["coil_type"] in PLANAR_GRADIOMETER_COILS:
            half = 0.5 * PLANAR_BASELINE_M * along
            ahead, behind = (dipole_fields(p, positions_N3, moments_N3) @ normal for p in (place + half, place - half))
            gains.append((ahead - behind) / PLANAR_BASELINE_M)
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


def pink_noise(rng: np.random.Generator, rows: int, n_samples: int) -> np.ndarray:
    """Noise of unit variance whose power falls with frequency, shape (rows, T)."""
    frequencies = np.fft.rfftfreq(n_samples, 1 / SFREQ_HZ)
    spectrum = rng.standard_normal((rows, len(frequencies))) + 1j * rng.standard_normal((rows, len(frequencies)))
    noise = np.fft.irfft(spectrum / np.sqrt(np.maximum(frequencies, 0.5)), n_samples)
    return noise / noise.std(axis=1, keepdims=True)


def _rhythm(rng: np.random.Generator, n_samples: int) -> np.ndarray:
    """10 Hz that waxes and wanes over seconds."""
    times_s = np.arange(n_samples) / SFREQ_HZ
    envelope = 1 + 0.8 * np.sin(2 * np.pi * 0.15 * times_s + rng.uniform(0, 2 * np.pi))
    return envelope * np.sin(2 * np.pi * 10.0 * times_s)


def _responses(onsets_s: np.ndarray, n_samples: int) -> np.ndarray:
    """A peak 100 ms after each onset and a slower one of the other sign at 200 ms."""
    delay_s = np.arange(n_samples) / SFREQ_HZ - onsets_s[:, None]
    peaks = np.exp(-0.5 * ((delay_s - 0.1) / 0.02) ** 2) - 0.6 * np.exp(-0.5 * ((delay_s - 0.2) / 0.04) ** 2)
    return peaks.sum(axis=0)


def _background_places(rng: np.random.Generator) -> np.ndarray:
    """Dipoles 4 to 7 cm from the centre, in the upper part of the head."""
    direction = rng.standard_normal((N_BACKGROUND, 3))
    direction[:, 2] = np.abs(direction[:, 2])
    return direction / np.linalg.norm(direction, axis=1, keepdims=True) * rng.uniform(0.04, 0.07, (N_BACKGROUND, 1))


def _tangential(rng: np.random.Generator, positions_N3: np.ndarray) -> np.ndarray:
    """Unit moments at right angles to the radius: a radial dipole is not seen outside of a sphere."""
    moments = np.cross(positions_N3, rng.standard_normal(positions_N3.shape))
    return moments / np.linalg.norm(moments, axis=1, keepdims=True)
