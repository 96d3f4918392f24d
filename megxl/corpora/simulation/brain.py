"""One listener's head: dipoles, the one matrix that leads from them to the sensors, and how strong each of them is.

Letters: C sensors, N sources, M language dipoles, W words, D numbers of a meaning vector, F frequencies.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from megxl.corpora.simulation.arrays import SensorSystem
from megxl.corpora.simulation.noise import unit_power
from megxl.corpora.simulation.recipe import Recipe
from megxl.corpora.simulation.response import Response, make_response, stack_meanings
from megxl.corpora.simulation.story import LEAD_S, story_minutes, vocabulary, words_heard

SNR_BAND_HZ = (0.5, 20.0)
N_BACKGROUND = 120
"""As many as a helmet can tell apart, about: with few, a decoder would just leave their directions out."""
_ALPHA_M = ((-0.02, -0.06, 0.02), (0.02, -0.06, 0.02), (-0.03, -0.055, 0.035), (0.03, -0.055, 0.035))
_LANGUAGE_M = (
    (-0.055, 0.0, 0.02),  # auditory cortex, left
    (-0.055, -0.03, 0.02),  # behind it
    (-0.052, 0.022, 0.005),  # temporal pole
    (-0.058, -0.015, 0.005),  # middle temporal gyrus
    (-0.045, 0.045, 0.03),  # inferior frontal gyrus
    (-0.045, -0.045, 0.035),  # angular gyrus
    (0.055, 0.0, 0.02),  # auditory cortex, right
    (0.053, 0.02, 0.008),  # temporal pole
)
_ALPHA_STRENGTH = 1.5
_HEADS_DIFFER_M = 0.004
_GAIN_SFREQ_HZ = 100.0


@dataclass(frozen=True, kw_only=True, eq=False)
class Brain:
    """Where the sources of one listener are, and what they send to the sensors.

    Parameters
    ----------
    positions_N3, moments_N3 : array, shape (N, 3)
        Metres from the centre of the head; unit vectors. First background, then alpha, then language dipoles.
    lead_CN : array, shape (C, N)
        What each sensor measures of each dipole, SI units by ampere metre.
    strength_N : array, shape (N,)
        Root mean square of background and alpha dipoles, ampere metres; one for language dipoles.
    response : Response
        What the language dipoles do after words.
    """

    positions_N3: np.ndarray
    moments_N3: np.ndarray
    lead_CN: np.ndarray
    strength_N: np.ndarray
    response: Response

    @property
    def n_ongoing(self) -> int:
        """How many dipoles are active without words."""
        return len(self.positions_N3) - len(_LANGUAGE_M)

    @property
    def kinds(self) -> list[str]:
        """What each dipole is."""
        return ["background"] * N_BACKGROUND + ["alpha"] * len(_ALPHA_M) + ["language"] * len(_LANGUAGE_M)

    @property
    def ongoing_powers(self) -> list[Callable[[np.ndarray], np.ndarray]]:
        """Spectrum of each of them."""
        return [pink] * N_BACKGROUND + [alpha] * len(_ALPHA_M)


def pink(frequencies_hz: np.ndarray) -> np.ndarray:
    """Power that falls as the frequency rises, and faster above 20 Hz, as that of brains does."""
    return 1 / (frequencies_hz * (1 + frequencies_hz / 20))


def alpha(frequencies_hz: np.ndarray) -> np.ndarray:
    """Power around 10 Hz; as it is about 2 Hz wide, the rhythm waxes and wanes within a second."""
    return np.exp(-0.5 * ((frequencies_hz - 10.0) / 0.8) ** 2)


def make_brain(recipe: Recipe, system: SensorSystem, meanings: Mapping[str, np.ndarray]) -> Brain:
    """Draw a listener and set the gain of the response to the signal-to-noise ratio of the recipe."""
    rng = recipe.generator("brain", recipe.subject)
    known_N3 = np.array(_ALPHA_M + _LANGUAGE_M)
    known_N3 = known_N3 + _HEADS_DIFFER_M * rng.uniform(-1, 1, known_N3.shape)
    positions_N3 = np.concatenate([_background_places(rng), known_N3])
    moments_N3 = _tangential(rng, positions_N3)
    lead_CN = system.lead_field(positions_N3, moments_N3)
    n_language = len(_LANGUAGE_M)
    strength_N = np.ones(len(positions_N3))
    strength_N[N_BACKGROUND:-n_language] = _ALPHA_STRENGTH
    strength_N[:-n_language] *= system.strength_for((lead_CN * strength_N)[:, :-n_language])
    brain = Brain(
        positions_N3=positions_N3,
        moments_N3=moments_N3,
        lead_CN=lead_CN,
        strength_N=strength_N,
        response=make_response(recipe, n_language, stack_meanings(vocabulary(), meanings)),
    )
    return replace(brain, response=replace(brain.response, gain=_gain(brain, recipe, system, meanings)))


def _gain(brain: Brain, recipe: Recipe, system: SensorSystem, meanings: Mapping[str, np.ndarray]) -> float:
    """Size of the response at which its power at the median sensor is to that of all else as the recipe says.

    The response is that to the whole story, once: it is the same in all sessions of a listener.
    """
    if recipe.snr == 0:
        return 0.0
    lead_CM = brain.lead_CN[:, brain.n_ongoing :]
    response_C = ((lead_CM @ _response_covariance(brain.response, recipe, meanings)) * lead_CM).sum(axis=1)
    ratio_C = response_C / _ongoing_power(brain, recipe, system)
    return float(np.sqrt(recipe.snr / np.median(ratio_C)))


def _response_covariance(response: Response, recipe: Recipe, meanings: Mapping[str, np.ndarray]) -> np.ndarray:
    """Covariance of the language dipoles in the band while the story is told, shape (M, M)."""
    minutes = story_minutes(recipe.words_per_minute)
    heard = words_heard(replace(recipe, session=1, minutes=minutes))
    amplitudes_WJM = response.amplitudes(stack_meanings([one.word.text for one in heard], meanings))
    onsets_W = np.array([one.onset_s for one in heard])
    start, stop = (round(at_s * _GAIN_SFREQ_HZ) for at_s in (LEAD_S, minutes * 60 - LEAD_S))
    courses_MT = response.courses(onsets_W, amplitudes_WJM, start, stop, _GAIN_SFREQ_HZ)
    spectrum_MF = np.fft.rfft(courses_MT)
    frequencies_F = np.fft.rfftfreq(courses_MT.shape[1], 1 / _GAIN_SFREQ_HZ)
    inside_MF = spectrum_MF[:, (frequencies_F >= SNR_BAND_HZ[0]) & (frequencies_F <= SNR_BAND_HZ[1])]
    return 2 * (inside_MF @ inside_MF.conj().T).real / courses_MT.shape[1] ** 2


def _ongoing_power(brain: Brain, recipe: Recipe, system: SensorSystem) -> np.ndarray:
    """Power of brain and sensor noise in the band, shape (C,); drifts lie below it."""
    n_samples = round(20 * recipe.sfreq_hz)
    power_NF = unit_power(brain.ongoing_powers, recipe.highpass_hz, recipe.sfreq_hz, n_samples)
    frequencies_F = np.fft.rfftfreq(n_samples, 1 / recipe.sfreq_hz)
    low_hz, high_hz = SNR_BAND_HZ
    share_N = power_NF[:, (frequencies_F >= low_hz) & (frequencies_F <= high_hz)].sum(axis=1)
    reach_CN = brain.lead_CN[:, : brain.n_ongoing] * brain.strength_N[: brain.n_ongoing]
    return reach_CN**2 @ share_N + system.noise_density_C**2 * (high_hz - low_hz)


def _background_places(rng: np.random.Generator) -> np.ndarray:
    """Dipoles 4 to 7 cm from the centre, in the upper part of the head."""
    direction = rng.standard_normal((N_BACKGROUND, 3))
    direction[:, 2] = np.abs(direction[:, 2])
    return direction / np.linalg.norm(direction, axis=1, keepdims=True) * rng.uniform(0.04, 0.07, (N_BACKGROUND, 1))


def _tangential(rng: np.random.Generator, positions_N3: np.ndarray) -> np.ndarray:
    """Unit moments at right angles to the radius: a radial dipole is not seen outside of a sphere."""
    moments = np.cross(positions_N3, rng.standard_normal(positions_N3.shape))
    return moments / np.linalg.norm(moments, axis=1, keepdims=True)
