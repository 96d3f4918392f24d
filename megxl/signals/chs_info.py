"""braindecode's ``chs_info`` made whole: entries of ``mne.Info["chs"]``, also if they were typed or read from JSON."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from megxl.errors import InputError
from megxl.signals.coils import DEVICE_FRAME, EEG_CHANNEL, HEAD_FRAME, MEG_CHANNEL

_KINDS = {"eeg": EEG_CHANNEL, "meg": MEG_CHANNEL, "mag": MEG_CHANNEL, "grad": MEG_CHANNEL}
_LOC = 12


def completed_channels(chs_info: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Fill in what ``chs_info`` may lack, so that `SensorArray.from_info` reads it; the entries stay as they are.

    A kind may be a word. Positions without a frame (configurations of braindecode store none) are on the head for
    electrodes, in the device for MEG sensors. Numbers that ``loc`` lacks become NaN: not known.

    Raises
    ------
    InputError
        No entry, an entry without a name, neither electrode nor MEG sensor, an MEG sensor without a coil, a ``loc``
        that is not up to 12 numbers.
    """
    if not isinstance(chs_info, Sequence) or not chs_info or not all(isinstance(entry, Mapping) for entry in chs_info):
        raise InputError("chs_info is a list of dictionaries as in mne.Info['chs'], one a sensor; here it is not.")
    return [_completed(number, entry) for number, entry in enumerate(chs_info)]


def _completed(number: int, entry: Mapping[str, Any]) -> dict[str, Any]:
    entry = {key: value for key, value in entry.items() if value is not None}  # JSON's null: not known
    if "ch_name" not in entry:
        raise InputError(f"chs_info[{number}] has no 'ch_name'; every sensor needs one.")
    name = entry["ch_name"]
    kind = _kind(name, entry.get("kind"))
    if kind == MEG_CHANNEL and "coil_type" not in entry:
        raise InputError(
            f"chs_info: {name!r} has no 'coil_type', which says what an MEG sensor measures; take chs_info from "
            "info['chs'] of a recording."
        )
    frame = HEAD_FRAME if kind == EEG_CHANNEL else DEVICE_FRAME
    return {"coord_frame": frame, "unit": None, "coil_type": 0} | dict(entry) | {"kind": kind, "loc": _loc(name, entry)}


def _kind(name: str, kind: Any) -> int:
    number = _KINDS.get(kind.lower()) if isinstance(kind, str) else kind
    if number not in (MEG_CHANNEL, EEG_CHANNEL):
        raise InputError(
            f"chs_info: {name!r} has the kind {kind!r}; allowed: {EEG_CHANNEL} or 'eeg', {MEG_CHANNEL} or 'meg', "
            "'mag', 'grad'. Leave other channels out, of the signal too."
        )
    return int(number)


def _loc(name: str, entry: Mapping[str, Any]) -> np.ndarray:
    loc = entry.get("loc")
    try:
        known = np.asarray([] if loc is None else loc, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"chs_info: the 'loc' of {name!r} is {loc!r}; allowed: 3 or 12 numbers, in metres.") from error
    if known.ndim != 1 or known.size not in (0, 3, _LOC):
        raise InputError(f"chs_info: the 'loc' of {name!r} has the shape {known.shape}; allowed: 3 or 12 numbers.")
    return np.concatenate([known, np.full(_LOC - known.size, np.nan)])
