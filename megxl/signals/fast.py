"""Preparation in one pass over the file: decimated as it streams by, filtered and resampled at the low rate.

Letters: C sensors, T samples.
"""

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import mne
import numpy as np

from megxl.signals.decimation import Decimator
from megxl.signals.filters import BandPass
from megxl.signals.low_rate import LowRateResampler, Padding
from megxl.signals.marks import skips
from megxl.signals.quality import Inspector, QualityReport
from megxl.signals.samples import Scratch, in_time_order, picks_of, scratch
from megxl.signals.streaming import PaddedDecimation

# the low rate is at least this many times the highest frequency that is kept: room for the decimator's low-pass
_ROOM = 2.4
# bytes of one array in the low-rate stage, in which each thread holds about six
ROWS_BYTES = 4 * 2**20
# so many rows at once take the FFT as long as one
_ROWS = 4
_THREADS = 4
# share of the time that the pass over the file takes
_PASS_SHARE = 0.75


def why_not_fast(raw: mne.io.BaseRaw, band: BandPass, sfreq_hz: float) -> str | None:
    """Tell why a recording cannot be prepared this way; None if it can."""
    if raw.n_times < 2 * len(band.taps):
        return "it is shorter than twice the filter"
    if skips(raw):
        return "marks (edge, bad_acq_skip) divide the recording into stretches that are prepared one by one"
    if decimation(band, sfreq_hz) < 2:
        return f"{band.sfreq_hz:g} samples a second leave no room for a lower rate"
    return None


def decimation(band: BandPass, sfreq_hz: float) -> int:
    """Return the largest power of two by which the recording can be decimated before it is filtered."""
    factor = 1
    # below twice the new rate, what the padded signal's ends fold into the band is felt (1e-4 instead of 1e-6)
    while band.sfreq_hz / (2 * factor) >= max(_ROOM * _keep_hz(band, sfreq_hz), 2 * sfreq_hz):
        factor *= 2
    return factor


def prepare_fast(
    raw: mne.io.BaseRaw,
    names: Sequence[str],
    band: BandPass,
    sfreq_hz: float,
    inspector: Inspector,
    zero: Callable[[QualityReport], Sequence[str]],
    reach: Callable[[float], None],
) -> np.ndarray:
    """Filter and resample the named channels.

    Parameters
    ----------
    raw : mne.io.BaseRaw
        A recording of which `why_not_fast` has nothing to say.
    names : sequence of str
        The channels, in order.
    band : BandPass
        The filter at the recording's rate.
    sfreq_hz : float
        The new rate.
    inspector : Inspector
        Sees all samples.
    zero : callable
        Told what was found, names the channels to set to zero, or refuses the recording.
    reach : callable
        Told which share of the work is done.

    Returns
    -------
    array, shape (C, T)
        float32.

    Raises
    ------
    InputError
        Samples that cannot be read, no space for the temporary file.
    MixedRatesError
        Channels that are read right only over the whole length at once.
    """
    decimator = Decimator(decimation(band, sfreq_hz), band.sfreq_hz, _keep_hz(band, sfreq_hz))
    passing = PaddedDecimation(decimator, band.reach, raw.n_times, band.sfreq_hz)

    def looked_at(chunks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Inspect each piece on its way."""
        seen = 0
        for data_CT in chunks:
            inspector.update(data_CT)
            yield data_CT
            seen += data_CT.shape[1]
            reach(_PASS_SHARE * seen / raw.n_times)

    with (
        scratch(len(names), passing.samples, raw.n_times / band.sfreq_hz) as low_rate,
        closing(in_time_order(raw, picks_of(raw.info, names))) as chunks,
    ):
        # a sensor with infinite samples spoils itself alone, and is set to zero below
        with np.errstate(invalid="ignore", over="ignore"):
            for low_CT in passing.run(looked_at(chunks)):
                low_rate.append(low_CT)
        resampler = LowRateResampler(
            band, decimator, Padding(raw.n_times, sfreq_hz / band.sfreq_hz), passing.first, passing.samples
        )
        return _resampled(resampler, low_rate, passing.samples, names, set(zero(inspector.report())), reach)


def _resampled(
    resampler: LowRateResampler,
    low_rate: Scratch,
    samples: int,
    names: Sequence[str],
    silent: Collection[str],
    reach: Callable[[float], None],
) -> np.ndarray:
    """Filter and resample what was decimated, a few rows at a time on each processor."""
    signal_CT = np.empty((len(names), resampler.samples), dtype=np.float32)
    size = max(1, ROWS_BYTES // (8 * samples * _ROWS)) * _ROWS

    def resample(start: int) -> int:
        rows = slice(start, start + size)
        low_CT = low_rate.rows(rows)
        low_CT[[name in silent for name in names[rows]]] = 0.0
        signal_CT[rows] = resampler(low_CT)
        return min(rows.stop, len(names))

    with ThreadPoolExecutor(max_workers=_threads()) as pool:
        for done in pool.map(resample, range(0, len(names), size)):
            reach(_PASS_SHARE + (1 - _PASS_SHARE) * done / len(names))
    return signal_CT


def _threads() -> int:
    """Threads for the low-rate stage: what was allowed to numerical libraries counts here too."""
    allowed = os.environ.get("OMP_NUM_THREADS", "")
    return min(_THREADS, int(allowed) if allowed.isdigit() and int(allowed) else os.cpu_count() or 1)


def _keep_hz(band: BandPass, sfreq_hz: float) -> float:
    return max(band.stop_hz, sfreq_hz / 2)
