"""Random signals of any length that can be made from any place on: what a block holds depends on its number alone.

Letters: N rows, F frequencies, K disturbances, J waves, T samples.
"""

from collections.abc import Callable

import numpy as np

from megxl.corpora.simulation.recipe import Recipe


class SpectralNoise:
    """Gaussian noise of unit variance with a spectrum of its own in each row.

    It is made in segments of two blocks, each a spectrum of random numbers, which overlap by a block and are faded into
    each other so that the variance stays the same everywhere.

    Parameters
    ----------
    recipe : Recipe
        Of the recording; its subject and session decide the numbers.
    power_N : list of callable
        For each row, power by frequency in hertz, of any scale; nothing lies below the recipe's high-pass edge.
    block : int
        Samples in a block.
    """

    def __init__(self, recipe: Recipe, power_N: list[Callable[[np.ndarray], np.ndarray]], block: int) -> None:
        self._recipe, self._block = recipe, block
        power_NF = unit_power(power_N, recipe.highpass_hz, recipe.sfreq_hz, 2 * block)
        # the inverse transform divides by its length
        self._amplitude_NF = (block * np.sqrt(power_NF)).astype(np.float32)
        fade = np.sin(np.pi * (np.arange(2 * block) + 0.5) / (2 * block)).astype(np.float32)
        self._rising, self._falling = fade[:block], fade[block:]
        self._segments: dict[int, np.ndarray] = {}

    def make(self, index: int) -> np.ndarray:
        """Make a block, shape (N, T) float32."""
        before, after = self._segment(index), self._segment(index + 1)
        # going on in time, each segment is made once
        self._segments = {index + 1: after}
        return before[:, self._block :] * self._falling + after[:, : self._block] * self._rising

    def _segment(self, index: int) -> np.ndarray:
        if index in self._segments:
            return self._segments[index]
        from scipy.fft import irfft  # NumPy's computes in double precision

        rng = self._recipe.generator("brain noise", self._recipe.subject, self._recipe.session, index)
        numbers = rng.standard_normal((*self._amplitude_NF.shape, 2), dtype=np.float32)
        spectrum_NF = numbers.view(np.complex64)[..., 0] * self._amplitude_NF
        return np.asarray(irfft(spectrum_NF, 2 * self._block, axis=1))


def unit_power(
    power_N: list[Callable[[np.ndarray], np.ndarray]], highpass_hz: float, sfreq_hz: float, n_samples: int
) -> np.ndarray:
    """Power of each row by frequency (those of a real transform of so many samples), of sum one, shape (N, F)."""
    frequencies_F = np.fft.rfftfreq(n_samples, 1 / sfreq_hz)
    inside_F = (frequencies_F > 0) & (frequencies_F >= highpass_hz) & (frequencies_F < sfreq_hz / 2)
    power_NF = np.zeros((len(power_N), len(frequencies_F)))
    for row, power in zip(power_NF, power_N, strict=True):
        row[inside_F] = power(frequencies_F[inside_F])
    return power_NF / power_NF.sum(axis=1, keepdims=True)


class Drift:
    """Slow disturbances of unit variance: sums of sine waves of 12 to 500 seconds, weaker the faster.

    Parameters
    ----------
    recipe : Recipe
        Of the recording.
    count : int
        How many there are.
    """

    WAVES = 8
    LOWEST_HZ, HIGHEST_HZ = 0.002, 0.08

    def __init__(self, recipe: Recipe, count: int) -> None:
        self._sfreq_hz = recipe.sfreq_hz
        rng = recipe.generator("drift", recipe.subject, recipe.session)
        logarithms = rng.uniform(np.log(self.LOWEST_HZ), np.log(self.HIGHEST_HZ), (count, self.WAVES))
        self._frequency_KJ = np.exp(logarithms)
        self._phase_KJ = rng.uniform(0, 2 * np.pi, (count, self.WAVES))
        power_KJ = 1 / self._frequency_KJ
        power_KJ /= power_KJ.sum(axis=1, keepdims=True)
        self._amplitude_KJ = np.sqrt(2 * power_KJ) * (self._frequency_KJ >= recipe.highpass_hz)

    def make(self, start: int, stop: int) -> np.ndarray:
        """Make samples, shape (K, T) float32."""
        times_T = np.arange(start, stop) / self._sfreq_hz
        waves_KJT = np.sin(2 * np.pi * self._frequency_KJ[..., None] * times_T + self._phase_KJ[..., None])
        return np.einsum("kj,kjt->kt", self._amplitude_KJ, waves_KJT).astype(np.float32)
