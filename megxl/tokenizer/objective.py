"""What a tokenizer is trained to lower: error in time, error in short-time spectra, and commitment to the codes.

Letters: N rows (one sensor each), T samples, F frequencies, S frames of a short-time spectrum.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from megxl.errors import InputError

OVERLAP = 8
"""Spectral windows that overlap at every sample."""
FAINT = 1e-2
"""Modulus below which the phase of a spectral coefficient fades out; block-scaled signals have about 1 to 10."""


@dataclass(frozen=True, kw_only=True)
class ObjectiveWeights:
    """How much each part of the objective counts; the defaults are the published ones."""

    time: float = 0.2
    """Weight of the error in time."""
    time_beta: float = 0.7
    """Error, in the signal's unit, from which on that term grows linearly instead of quadratically."""
    spectral: float = 1.0
    """Weight of the error in short-time spectra."""
    n_ffts: tuple[int, ...] = (32, 64, 128, 256)
    """Samples in the spectral windows, one scale each."""
    phase: float = 0.2
    """Weight of the cosine and of the sine of the phase, beside 1 for the modulus."""
    commitment: float = 0.25
    """Weight of the distance of the quantizer's inputs to their codes."""

    def __post_init__(self) -> None:
        """Refuse weights that mean nothing, by name."""
        object.__setattr__(self, "n_ffts", tuple(self.n_ffts))
        for name in ("time", "time_beta", "spectral", "phase", "commitment"):
            if not 0 <= (value := getattr(self, name)) < math.inf:
                raise InputError(f"ObjectiveWeights: {name} must be a number from 0 up, not {value!r}.")
        if self.spectral and not self.n_ffts:
            raise InputError("ObjectiveWeights: n_ffts is empty; name at least one window or set spectral to 0.")
        if bad := [n_fft for n_fft in self.n_ffts if n_fft < OVERLAP or n_fft % OVERLAP]:
            raise InputError(f"ObjectiveWeights: n_ffts must be multiples of {OVERLAP} samples, not {bad[0]!r}.")


class ObjectiveTerms(NamedTuple):
    """The objective and its parts, each a mean over rows (no dimensions)."""

    total: Tensor
    """Sum of the parts, each times its weight."""
    time: Tensor
    """Smooth L1 error of the samples."""
    spectral: Tensor
    """Error of the short-time spectra, summed over scales; 0, and not computed, where its weight is 0."""
    commitment: Tensor
    """As given."""


def objective(
    output_N1T: Tensor, target_N1T: Tensor, commitment: Tensor, weights: ObjectiveWeights | None = None
) -> ObjectiveTerms:
    """Score what a codec made of a signal; at least float32 whatever autocast says.

    Parameters
    ----------
    output_N1T, target_N1T : Tensor, shape (N, 1, T)
        Decoded and true block-scaled signal. T must reach the shortest spectral window; the scales that are longer
        than T are left out.
    commitment : Tensor
        Unweighted commitment of the quantizer.
    weights : ObjectiveWeights, optional
        The published ones by default.

    Raises
    ------
    InputError
        Rows too short for every scale.
    """
    weights = weights or ObjectiveWeights()
    assert output_N1T.shape == target_N1T.shape
    with torch.autocast(output_N1T.device.type, enabled=False):
        output_NT, target_NT = (_widened(x_N1T[:, 0]) for x_N1T in (output_N1T, target_N1T))
        commitment = _widened(commitment)
        time = F.smooth_l1_loss(output_NT, target_NT, beta=weights.time_beta)
        spectral = time.new_zeros(())
        if weights.spectral:
            spectral = spectral_error(output_NT, target_NT, weights.n_ffts, weights.phase)
        total = weights.time * time + weights.spectral * spectral + weights.commitment * commitment
    return ObjectiveTerms(total, time, spectral, commitment)


def spectral_error(output_NT: Tensor, target_NT: Tensor, n_ffts: tuple[int, ...], phase: float) -> Tensor:
    """Distance of the short-time spectra of two signals, summed over the scales that the signals are long enough for.

    At each scale the features log(1 + modulus), cosine and sine of the phase give mean absolute + mean squared
    difference over rows, frames and frequencies, weighted 1, `phase`, `phase`.
    """
    samples = output_NT.shape[-1]
    fitting = [n_fft for n_fft in n_ffts if n_fft <= samples]
    if not fitting:
        raise InputError(
            f"The spectral error needs at least {min(n_ffts)} samples a row (the shortest of n_ffts), not {samples}; "
            "take longer segments or a shorter spectral window."
        )
    error = output_NT.new_zeros(())
    for n_fft in fitting:
        pairs = zip(spectral_features(output_NT, n_fft), spectral_features(target_NT, n_fft), strict=True)
        for weight, (ours_NFS, theirs_NFS) in zip((1.0, phase, phase), pairs, strict=True):
            error = error + weight * (F.l1_loss(ours_NFS, theirs_NFS) + F.mse_loss(ours_NFS, theirs_NFS))
    return error


def spectral_features(signal_NT: Tensor, n_fft: int) -> tuple[Tensor, Tensor, Tensor]:
    """Log(1 + modulus), cosine and sine of the phase of the short-time spectrum, each (N, F, S).

    Periodic Hann window, hop `n_fft / 8`, reflected ends, plain sums. The modulus is `sqrt(|X|^2 + FAINT^2)`: a phase
    has no direction where nothing is, so it fades out there, and all gradients stay finite.
    """
    window_T = torch.hann_window(n_fft, dtype=signal_NT.dtype, device=signal_NT.device)
    spectrum_NFS = torch.stft(
        signal_NT, n_fft, hop_length=n_fft // OVERLAP, window=window_T, pad_mode="reflect", return_complex=True
    )
    real_NFS, imaginary_NFS = spectrum_NFS.real, spectrum_NFS.imag
    modulus_NFS = (real_NFS.square() + imaginary_NFS.square() + FAINT**2).sqrt()
    return modulus_NFS.log1p(), real_NFS / modulus_NFS, imaginary_NFS / modulus_NFS


def _widened(x: Tensor) -> Tensor:
    return x.to(torch.promote_types(x.dtype, torch.float32))
