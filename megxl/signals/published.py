"""Preparation as it was published, by MNE's own filter and resampling, a few channels at a time.

Letters: C sensors, T samples, K channels of one block.
"""

from collections.abc import Callable, Sequence
from contextlib import closing

import mne
import numpy as np

from megxl.signals.filters import BandPass
from megxl.signals.quality import Inspector, QualityReport
from megxl.signals.samples import picks_of, read_blocks


def prepare_by_mne(
    raw: mne.io.BaseRaw,
    names: Sequence[str],
    band: BandPass,
    sfreq_hz: float,
    inspector: Inspector,
    zero: Callable[[QualityReport], Sequence[str]],
    reach: Callable[[float], None],
) -> np.ndarray:
    """Filter and resample the named channels; parameters and result as of `prepare_fast`."""
    signal_CT = np.empty((0, 0), dtype=np.float32)
    done = 0
    with closing(read_blocks(raw, names)) as blocks:
        for block, data_KT in blocks:
            seen = inspector.of(block)
            seen.update(data_KT)
            silent = set(zero(seen.report()))
            data_KT[[name in silent for name in block]] = 0.0
            signal_KT = _filter_and_resample(raw, block, data_KT, band, sfreq_hz)
            if done == 0:
                signal_CT = np.empty((len(names), signal_KT.shape[1]), dtype=np.float32)
            signal_CT[done : done + len(block)] = signal_KT
            done += len(block)
            reach(done / len(names))
    return signal_CT


def _filter_and_resample(
    raw: mne.io.BaseRaw, block: Sequence[str], data_KT: np.ndarray, band: BandPass, sfreq_hz: float
) -> np.ndarray:
    part = mne.io.RawArray(data_KT, mne.pick_info(raw.info, picks_of(raw.info, block)))
    # the filter works around marked skips and edges; onsets count from the first sample here
    marks = raw.annotations
    onsets_s = marks.onset - raw.first_time
    part.set_annotations(mne.Annotations(onsets_s, marks.duration, marks.description), emit_warning=False)
    part.filter(band.low_hz, band.high_hz)
    if abs(band.sfreq_hz - sfreq_hz) > 1e-6:
        part.resample(sfreq_hz)
    return np.asarray(part.get_data())
