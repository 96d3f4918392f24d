"""MNE's band-pass and its Fourier resampling of a whole recording, computed from every D-th sample of it.

`mne.io.Raw.resample` pads the filtered signal to a power of two with its own mirror image about its ends, and keeps
the bins of a Fourier transform below half of the new rate. For a signal without anything above half of the low rate
the same bins follow from every D-th sample of the padded one, if D is a power of two.

Letters: C sensors, J samples at the low rate, K bins, Q samples of the padded signal there, U at the new rate.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from megxl.signals.decimation import Decimator
from megxl.signals.filters import BandPass, symmetric_response


@dataclass(frozen=True)
class Padding:
    """How MNE pads so many samples before it resamples them, and what it cuts off afterwards.

    Parameters
    ----------
    n_samples : int
        Length of the recording.
    ratio : float
        New rate over old rate.
    """

    n_samples: int
    ratio: float

    @cached_property
    def total(self) -> int:
        """Length of the padded signal, a power of two."""
        return 2 ** int(np.ceil(np.log2(self.n_samples + 2 * min(self.n_samples // 8, 100))))

    @property
    def before(self) -> int:
        """Samples put before the signal."""
        return (self.total - self.n_samples) // 2

    @property
    def after(self) -> int:
        """Samples put behind the signal."""
        return self.total - self.n_samples - self.before

    @property
    def new_total(self) -> int:
        """Length of the padded signal at the new rate."""
        return max(round(self.ratio * self.total), 1)

    @property
    def kept(self) -> slice:
        """Which samples of it are the resampled signal."""
        start = round(self.ratio * self.before)
        return slice(start, start + max(round(self.ratio * self.n_samples), 1))


class LowRateResampler:
    """Filter and resample rows of a decimated recording.

    Parameters
    ----------
    band : BandPass
        The filter, at the recording's own rate.
    decimator : Decimator
        What made the rows; its response is divided out.
    padding : Padding
        How the recording would be padded at its own rate.
    first : int
        Samples at the low rate before the first sample of the recording. There and behind its end the rows hold the
        mirrored signal as far as the filter reaches.
    samples : int
        Length of a row.
    """

    def __init__(self, band: BandPass, decimator: Decimator, padding: Padding, first: int, samples: int) -> None:
        from scipy.fft import next_fast_len

        self._factor, self._padding, self._first = decimator.factor, padding, first
        n: Any = next_fast_len(samples, real=True)  # scipy's annotation allows for None
        self._n = int(n)
        bins, fine = self._n // 2 + 1, self._n * decimator.factor
        self._gain_K = symmetric_response(band.taps, fine, bins) / symmetric_response(decimator.taps, fine, bins)
        last = padding.n_samples - 1
        self._mirror_K = self._shift(2 * last % self._factor).astype(np.complex64)
        # the end of the recording; what stands mirrored where the padded signal begins, and where it ends
        begin, end = padding.before, 2 * last - (padding.total - padding.before)
        weights = (self._at(last), self._at(begin), self._at(end), self._slope_at(begin), self._slope_at(end))
        # conjugated and laid out as real and imaginary parts: a real product gives the real part of the complex one
        self._corners_5K2 = np.conj(np.stack(weights)).view(np.float64)
        self._bins = padding.new_total // 2 + 1
        phase_K, missed_2K = self._bins_of_padded()
        gain_K = np.full(self._bins, padding.new_total / padding.total)
        if padding.new_total % 2 == 0:
            gain_K[-1] *= 2  # two bins of the old spectrum meet there
        self._phase_K, self._missed_2K = (
            (phase_K * gain_K).astype(np.complex64),
            (missed_2K * gain_K).astype(np.complex64),
        )

    @property
    def samples(self) -> int:
        """Length of a resampled row."""
        return self._padding.kept.stop - self._padding.kept.start

    def __call__(self, rows_CJ: np.ndarray) -> np.ndarray:
        """Filter and resample.

        Parameters
        ----------
        rows_CJ : array, shape (C, J)

        Returns
        -------
        array, shape (C, U)
            float32.
        """
        from scipy.fft import irfft, rfft

        padding = self._padding
        spectrum_CK = np.asarray(rfft(rows_CJ, self._n, axis=1))
        spectrum_CK *= self._gain_K
        last_C, begin_C, end_C, begin_slope_C, end_slope_C = self._at_corners(spectrum_CK)
        # without the drifts, which the filter took away, half of the digits are enough
        spectrum_CK = spectrum_CK.astype(np.complex64)
        straight_CJ = np.asarray(irfft(spectrum_CK, self._n, axis=1))
        spectrum_CK *= self._mirror_K
        mirrored_CJ = np.asarray(irfft(spectrum_CK, self._n, axis=1, overwrite_x=True))
        padded_CQ = self._padded(straight_CJ, mirrored_CJ, last_C)
        jump_C = (2 * last_C - end_C) - (2 * straight_CJ[:, self._first] - begin_C)
        bins_CK = np.asarray(rfft(padded_CQ, axis=1, overwrite_x=True))[:, : self._bins] * self._phase_K
        bins_CK += jump_C[:, None] * self._missed_2K[0]
        bins_CK += (end_slope_C - begin_slope_C)[:, None] * self._missed_2K[1]
        return np.asarray(irfft(bins_CK, padding.new_total, axis=1))[:, padding.kept]

    def _padded(self, straight_CJ: np.ndarray, mirrored_CJ: np.ndarray, last_C: np.ndarray) -> np.ndarray:
        """Every D-th sample of the signal as MNE pads it, such that the signal's first sample is among them."""
        padding, factor, first = self._padding, self._factor, self._first
        before = padding.before // factor
        inside = (padding.n_samples - 1) // factor + 1
        after = padding.total // factor - before - inside
        # the mirror image of sample i behind the end is the sample 2 (n - 1) - i D
        newest = first + 2 * (padding.n_samples - 1) // factor - inside
        return np.concatenate(
            [
                2 * straight_CJ[:, first, None] - straight_CJ[:, first + before : first : -1],
                straight_CJ[:, first : first + inside],
                2 * last_C[:, None] - mirrored_CJ[:, newest : newest - after : -1],
            ],
            axis=1,
        )

    def _at_corners(self, spectrum_CK: np.ndarray) -> np.ndarray:
        # no matrix product: BLAS would start threads in each thread that calls this
        corners_5C = np.einsum("ck,sk->sc", spectrum_CK.view(np.float64), self._corners_5K2)
        return corners_5C.astype(np.float32)

    def _shift(self, by: float) -> np.ndarray:
        """Factors on the bins that move a row by so many samples of the recording."""
        return np.exp(2j * np.pi * by / (self._n * self._factor) * np.arange(self._n // 2 + 1))

    def _at(self, sample: int) -> np.ndarray:
        """Weights of the bins whose sum has the value at a sample of the recording as its real part."""
        weights_K = self._shift(sample + self._first * self._factor) * (2 / self._n)
        weights_K[0] /= 2
        if self._n % 2 == 0:
            weights_K[-1] /= 2
        return weights_K

    def _slope_at(self, sample: int) -> np.ndarray:
        """As `_at`, for the change from one sample of the recording to the next."""
        return self._at(sample) * 2j * np.pi / (self._n * self._factor) * np.arange(self._n // 2 + 1)

    def _bins_of_padded(self) -> tuple[np.ndarray, np.ndarray]:
        """Factors that make bins of the full-rate transform out of those of every D-th sample, and what these miss.

        Where the padded signal ends and begins anew it jumps, and its slope does: it is not free of high frequencies.
        A ramp that takes the jump away, and a parabola that takes the change of slope away, have both transforms in
        closed form. Their differences, times jump and change of slope, are missing in the transform of every D-th
        sample. What is left of it after the two is a few hundredths.
        """
        total, factor = self._padding.total, self._factor
        offset = self._padding.before % factor
        angle_K = 2 * np.pi / total * np.arange(self._bins)
        phase_K = factor * np.exp(-1j * offset * angle_K)
        half_K = angle_K[1:] / 2
        # with w = exp(-i angle): 1 / (w - 1) and -w / (w - 1)^2, in forms that lose no digits at small angles
        (ramp_K, parabola_K), (coarse_ramp_K, coarse_parabola_K) = (
            (-0.5 + 0.5j / np.tan(turns * half_K), 0.25 / np.sin(turns * half_K) ** 2) for turns in (1, factor)
        )
        missed_2K = np.empty((2, self._bins), dtype=np.complex128)
        missed_2K[0, 1:] = ramp_K - phase_K[1:] * coarse_ramp_K
        missed_2K[1, 1:] = parabola_K - phase_K[1:] * (offset * coarse_ramp_K + factor * coarse_parabola_K)
        share = offset / factor
        missed_2K[:, 0] = (factor - 1) / 2 - offset, (1 / 6 - factor**2 * (share**2 - share + 1 / 6)) / 2
        return phase_K, missed_2K
