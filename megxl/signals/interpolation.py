"""Bad sensors are replaced from their neighbours, at the low rate.

Letters: C sensors, T samples.
"""

from collections.abc import Sequence

import mne
import numpy as np

from megxl.errors import InputError
from megxl.signals.messages import repeatable
from megxl.signals.samples import picks_of


def interpolate(
    signal_CT: np.ndarray, info: mne.Info, names: Sequence[str], bads: Sequence[str], sfreq_hz: float
) -> None:
    """Replace the bad rows of ``signal_CT`` in place: linear over sensors, it commutes with filters over time."""
    picked = mne.pick_info(info, picks_of(info, names), verbose="ERROR")
    picked["bads"] = list(bads)
    if len(bads) == len(names):
        raise InputError(f"All {len(names)} sensors are marked bad: there is nothing to interpolate from.")
    with picked._unlock():
        picked["sfreq"], picked["lowpass"] = sfreq_hz, min(picked["lowpass"], sfreq_hz / 2)
    low_rate = mne.io.RawArray(signal_CT.astype(np.float64), picked, verbose="ERROR")
    try:
        low_rate.interpolate_bads(reset_bads=False, verbose="ERROR")
    except (ValueError, RuntimeError, np.linalg.LinAlgError) as error:
        raise InputError(
            f"{len(bads)} bad sensor{'s' if len(bads) > 1 else ''} (first: {bads[0]!r}) cannot be interpolated "
            f"({repeatable(error)}). "
            "Leave them out with --exclude, or use --bads mask or keep."
        ) from error
    rows = picks_of(picked, bads)
    signal_CT[rows] = low_rate.get_data(picks=rows)
