"""How true a decoded signal is to the signal that was coded: row by row, and summed up over many rows.

Letters: N rows (one sensor each), T samples, S segments of a row, F frequency bands, K frequencies, M measures.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

BANDS = {"delta": 0.0, "theta": 4.0, "alpha": 8.0, "beta": 13.0, "gamma": 30.0}
"""Lowest frequency of each band in Hz; a band ends where the next one begins, the last one at half the rate."""
SEGMENT_S = 4.0
"""Length of the half-overlapping Hann segments over which power spectra are averaged."""
MOST_DB = 100.0
"""Ratios of powers are told up to plus or minus so many decibels: float32 signals hold no more."""
EMPTY_BAND = 1e-12
"""Share of a row's power below which a band holds nothing but rounding."""
PERCENTILES = {"median": 0.5, "p5": 0.05, "p95": 0.95}


def correlation_N(estimate_NT: Tensor, target_NT: Tensor) -> Tensor:
    """Pearson correlation of each row with its target, float64.

    Returns
    -------
    Tensor, shape (N,)
        NaN where the target is flat; 0 where only the estimate is, which then tells nothing about its target.
    """
    estimate_NT, target_NT = _centred(estimate_NT), _centred(target_NT)
    lengths_N = estimate_NT.norm(dim=-1) * target_NT.norm(dim=-1)
    r_N = ((estimate_NT * target_NT).sum(-1) / lengths_N).clamp(-1, 1)
    r_N = torch.where(estimate_NT.any(-1), r_N, 0.0)
    return torch.where(target_NT.any(-1), r_N, torch.nan)


def si_sdr_N(estimate_NT: Tensor, target_NT: Tensor) -> Tensor:
    """Scale-invariant signal-to-distortion ratio of each row in dB, float64, within plus or minus `MOST_DB`.

    Means are removed. An inverted estimate scores as an upright one: only the correlation tells the sign.

    Returns
    -------
    Tensor, shape (N,)
        NaN where the target is flat; the lowest value where only the estimate is.
    """
    estimate_NT, target_NT = _centred(estimate_NT), _centred(target_NT)
    gain_N1 = (estimate_NT * target_NT).sum(-1, keepdim=True) / _power(target_NT)[:, None]
    explained_NT = gain_N1 * target_NT
    ratio_N = _decibels(_power(explained_NT), _power(estimate_NT - explained_NT))
    ratio_N = torch.where(estimate_NT.any(-1), ratio_N, -MOST_DB)
    return torch.where(target_NT.any(-1), ratio_N, torch.nan)


def variance_explained_N(estimate_NT: Tensor, target_NT: Tensor) -> Tensor:
    """Share of each row's variance that the estimate explains (R squared), float64; below 0 if its mean did better.

    Unlike the other measures it sees a wrong gain or offset. NaN where the target is flat.
    """
    error_NT = _wide(estimate_NT) - _wide(target_NT)
    target_NT = _centred(target_NT)
    return torch.where(target_NT.any(-1), 1 - _power(error_NT) / _power(target_NT), torch.nan)


def band_errors_NF(estimate_NT: Tensor, target_NT: Tensor, sfreq_hz: float) -> Tensor:
    """Power of the error over the power of the target in each band, in dB, float64, within plus or minus `MOST_DB`.

    Powers are averaged over Hann segments of `SEGMENT_S` that overlap by half, each without its mean; a shorter row is
    one segment, and less than half a segment at the end of a row may stay out.

    Returns
    -------
    Tensor, shape (N, F)
        One column a name of `band_names`. 0 is as bad as decoding silence. NaN where the target has no power or no
        frequency of the band can be told apart.
    """
    target_NF = _band_powers_NF(_centred(target_NT), sfreq_hz)
    error_NF = _band_powers_NF(_wide(estimate_NT) - _wide(target_NT), sfreq_hz)
    there_NF = target_NF > EMPTY_BAND * target_NF.sum(-1, keepdim=True)
    return torch.where(there_NF, _decibels(error_NF, target_NF), torch.nan)


def band_names(sfreq_hz: float) -> tuple[str, ...]:
    """Bands that begin below half the sampling rate."""
    return tuple(name for name, lowest_hz in BANDS.items() if lowest_hz < sfreq_hz / 2)


class Fidelity:
    """Every measure of every row added, with the group (recording, sensor...) that it belongs to.

    Rows are kept one by one, some bytes each, so that any order of adding gives the same percentiles.

    Parameters
    ----------
    sfreq_hz : float
        Sampling rate of the signals.

    Attributes
    ----------
    measures : tuple of str
        `r`, `si_sdr_db`, `variance_explained`, and `<band>_error_db` for each band.
    groups : list of str
        Group of each row.
    """

    def __init__(self, sfreq_hz: float) -> None:
        self.sfreq_hz = sfreq_hz
        self.measures = ("r", "si_sdr_db", "variance_explained", *(f"{b}_error_db" for b in band_names(sfreq_hz)))
        self.groups: list[str] = []
        self._values: list[Tensor] = []
        self._nonfinite: list[Tensor] = []

    @torch.no_grad()
    def add(self, estimate_NT: Tensor, target_NT: Tensor, groups: Sequence[str] | None = None) -> None:
        """Measure rows; without `groups` they all belong to the group ''."""
        assert estimate_NT.shape == target_NT.shape
        groups = [""] * len(target_NT) if groups is None else list(groups)
        assert len(groups) == len(target_NT)
        per_row = (correlation_N, si_sdr_N, variance_explained_N)
        values_NM = torch.stack([measure(estimate_NT, target_NT) for measure in per_row], 1)
        values_NM = torch.cat([values_NM, band_errors_NF(estimate_NT, target_NT, self.sfreq_hz)], 1)
        finite_N = (estimate_NT.isfinite() & target_NT.isfinite()).all(-1)
        self.groups += groups
        self._values.append(torch.where(finite_N[:, None], values_NM, torch.nan).cpu())
        self._nonfinite.append(~finite_N.cpu())

    def merge(self, other: "Fidelity") -> None:
        """Add the rows of another one, of another process for instance (it can be pickled)."""
        assert other.measures == self.measures
        self.groups += other.groups
        self._values += other._values
        self._nonfinite += other._nonfinite

    @property
    def values_NM(self) -> Tensor:
        """Measures of each row, float64; NaN where they mean nothing (flat target, samples not finite)."""
        return torch.cat([torch.empty(0, len(self.measures), dtype=torch.float64), *self._values])

    @property
    def nonfinite_N(self) -> Tensor:
        """Which rows hold NaN or infinite samples, decoded or true; all their measures are NaN."""
        return torch.cat([torch.empty(0, dtype=torch.bool), *self._nonfinite])

    def summary(self) -> dict[str, Any]:
        """Say how true all rows are.

        Returns
        -------
        dict
            JSON-able. `rows`; `flat_rows`, whose target does not vary, and `nonfinite_rows`, neither of which is in
            any number below; for each measure a dict of `mean`, `median`, `p5` and `p95` over rows, under `bands` one
            for each band (error over target in dB). None where no row has the measure.
        """
        return self._told(self.values_NM, self.nonfinite_N)

    def by_group(self) -> dict[str, dict[str, Any]]:
        """Give the summary of each group, in the order in which groups were first met."""
        rows: dict[str, list[int]] = {}
        for row, group in enumerate(self.groups):
            rows.setdefault(group, []).append(row)
        values_NM, nonfinite_N = self.values_NM, self.nonfinite_N
        return {group: self._told(values_NM[own], nonfinite_N[own]) for group, own in rows.items()}

    def _told(self, values_NM: Tensor, nonfinite_N: Tensor) -> dict[str, Any]:
        told = [_spread(values_N) for values_N in values_NM.unbind(1)]
        return {
            "rows": len(values_NM),
            "flat_rows": int((values_NM[:, 0].isnan() & ~nonfinite_N).sum()),
            "nonfinite_rows": int(nonfinite_N.sum()),
            **dict(zip(self.measures[:3], told[:3], strict=True)),
            "bands": dict(zip(band_names(self.sfreq_hz), told[3:], strict=True)),
        }


def _wide(x_NT: Tensor) -> Tensor:
    return (x_NT.cpu() if x_NT.device.type == "mps" else x_NT).double()


def _centred(x_NT: Tensor) -> Tensor:
    # the first sample goes first: whatever the offset, a flat row becomes exactly zero
    x_NT = _wide(x_NT)
    x_NT = x_NT - x_NT[:, :1]
    return x_NT - x_NT.mean(-1, keepdim=True)


def _power(x_NT: Tensor) -> Tensor:
    return x_NT.square().sum(-1)


def _decibels(above: Tensor, below: Tensor) -> Tensor:
    return (10 * (above / below).log10()).clamp(-MOST_DB, MOST_DB)


def _band_powers_NF(x_NT: Tensor, sfreq_hz: float) -> Tensor:
    segment = min(x_NT.shape[-1], round(SEGMENT_S * sfreq_hz))
    segments_NST = x_NT.unfold(-1, segment, max(1, segment // 2))
    window_T = torch.hann_window(segment, dtype=x_NT.dtype, device=x_NT.device)
    spectrum_NSK = torch.fft.rfft((segments_NST - segments_NST.mean(-1, keepdim=True)) * window_T)
    # frequency 0 was taken out with the mean; a one-sided spectrum holds half the rate once and all others twice
    powers_NK = spectrum_NSK.abs().square().mean(1)[:, 1:]
    if segment % 2 == 0:
        powers_NK[:, -1] /= 2
    frequencies_K = torch.arange(1, segment // 2 + 1, dtype=x_NT.dtype, device=x_NT.device) * sfreq_hz / segment
    lowest_F = torch.tensor([BANDS[name] for name in band_names(sfreq_hz)], dtype=x_NT.dtype, device=x_NT.device)
    bands_K = torch.bucketize(frequencies_K, lowest_F, right=True) - 1
    return powers_NK @ F.one_hot(bands_K, len(lowest_F)).to(x_NT)


def _spread(values_N: Tensor) -> dict[str, float | None]:
    values_N = values_N[~values_N.isnan()]
    if not len(values_N):
        return dict.fromkeys(("mean", *PERCENTILES))
    return {"mean": values_N.mean().item()} | {k: values_N.quantile(q).item() for k, q in PERCENTILES.items()}
