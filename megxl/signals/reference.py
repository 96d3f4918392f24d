"""What electrodes are measured against: their average in place of the recording's own reference electrode.

Letters: C sensors, T samples.
"""

from collections.abc import Collection, Sequence
from typing import Literal

import mne
import numpy as np

from megxl.signals import preparation_notes
from megxl.signals.coils import ELECTRODE
from megxl.signals.quality import QualityReport
from megxl.signals.samples import picks_of
from megxl.signals.sensors import SensorArray

Reference = Literal["average", "recorded"]
# samples at once: their mean takes little memory beside the signal itself
_AT_ONCE = 2**16


def refer_electrodes(
    signal_CT: np.ndarray,
    raw: mne.io.BaseRaw,
    sensors: SensorArray,
    reference: Reference,
    *,
    bads: Collection[str],
    quality: QualityReport,
) -> tuple[Reference | None, list[str]]:
    """Give the electrodes of a recording their reference, in place; MEG sensors have none.

    The average is that of the good electrodes. Bad ones get it too; those without a signal (flat, NaN) stay silent,
    since the others' mean, turned over, would look like one. The electrode against which all were recorded is in some
    files as zeros: alone of its kind it counts as good, and the average gives it a signal.

    Parameters
    ----------
    signal_CT : array, shape (C, T)
        Filtered or not: the mean over sensors commutes with filters over time.
    raw : mne.io.BaseRaw
        The recording, as it was.
    sensors : SensorArray
        What the rows are.
    reference : {"average", "recorded"}
        What was asked for.
    bads : collection of str
        Sensors that take no part in the average.
    quality : QualityReport
        What was found in the recording.

    Returns
    -------
    reference : {"average", "recorded"} or None
        What the electrodes have now; None: there are none.
    notes : list of str
        What a person should know of it, one sentence each.
    """
    rows = {sensors.names[row]: int(row) for row in np.flatnonzero(sensors.kinds_C == ELECTRODE)}
    if not rows:
        return None, []
    if reference == "recorded":
        return "recorded", preparation_notes.on_recorded_reference()
    sound = [name for name in rows if name not in {*bads, *quality.nonfinite}]
    origin = _recorded_against(raw, [name for name in sound if name in quality.flat])
    silent = {*quality.flat, *quality.nonfinite} - {origin}
    good = [rows[name] for name in sound if name not in silent]
    if len(good) < 2:
        return "recorded", preparation_notes.on_no_average(len(rows), len(good))
    _subtract_mean(signal_CT, [row for name, row in rows.items() if name not in silent], good)
    dead = [name for name in sound if name in silent]
    return "average", preparation_notes.on_average(len(rows), len(good), origin, dead)


def _recorded_against(raw: mne.io.BaseRaw, flat: Sequence[str]) -> str | None:
    """Name the electrode that is zero throughout; one that rests elsewhere, or several, are broken."""
    if len(flat) != 1:
        return None
    first = np.asarray(raw.get_data(picks=picks_of(raw.info, flat), start=0, stop=1))
    return None if first.any() else flat[0]


def _subtract_mean(signal_CT: np.ndarray, rows: Sequence[int], good: Sequence[int]) -> None:
    for start in range(0, signal_CT.shape[1], _AT_ONCE):
        some = slice(start, start + _AT_ONCE)
        signal_CT[rows, some] -= signal_CT[good, some].mean(axis=0, dtype=np.float64)
