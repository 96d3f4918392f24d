"""The tables beside a BIDS recording: which hold for it, and what they say of channels and electrodes."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from megxl.corpora.corpus import RecordingFile
from megxl.corpora.names import entities
from megxl.corpora.tables import Table, read_table, read_text
from megxl.errors import InputError
from megxl.signals.coils import ELECTRODE, sensor_kind

if TYPE_CHECKING:
    import mne

_KINDS = {
    "EEG": "eeg",
    "EOG": "eog",
    "VEOG": "eog",
    "HEOG": "eog",
    "ECG": "ecg",
    "EMG": "emg",
    "TRIG": "stim",
    "STIM": "stim",
    "MISC": "misc",
    "REF": "misc",
    "RESP": "resp",
    "GSR": "gsr",
    "TEMP": "temperature",
    "OTHER": "misc",
    "AUDIO": "misc",
    "EYEGAZE": "misc",
    "PUPIL": "misc",
    "SYSCLOCK": "misc",
    "ADC": "misc",
    "DAC": "misc",
}
"""Kinds of channels in BIDS and in MNE; those of MEG are told by their coils."""
_UNITS_M = {"m": 1.0, "cm": 1e-2, "mm": 1e-3}
_HEAD_SYSTEMS = frozenset({"captrak", "elektaneuromag", "neuromag"})


def sidecar(file: RecordingFile, ending: str, *, space: str | None = "*") -> Path | None:
    """Find the file of a kind (``events.tsv``) that holds for a recording, by BIDS' rule of inheritance.

    From the recording's folder up to the root, the first level at which a file of this kind has no entity that the
    recording lacks or has otherwise; on one level the one with the most entities.

    Parameters
    ----------
    file : RecordingFile
    ending : str
        Kind of file.
    space : str, optional
        Value of its entity ``space``, which is no property of a recording; None: it has none; "*": any.
    """
    own = entities(file.path.name)
    folder = file.path.parent
    while True:
        fitting = [
            path
            for path in folder.glob(f"*{ending}")
            if _is_kind(path, ending) and _holds(entities(path.name), own, space)
        ]
        if fitting:
            return max(fitting, key=lambda path: (len(entities(path.name)), path.name))
        if folder == file.root or folder == folder.parent:
            return None
        folder = folder.parent


def electrode_files(file: RecordingFile) -> tuple[Path, ...]:
    """Find ``electrodes.tsv`` and the ``coordsystem.json`` that says in which space its positions are, if there are."""
    electrodes = sidecar(file, "electrodes.tsv")
    if electrodes is None:
        return ()
    space = entities(electrodes.name).get("space")
    fallback = sidecar(file, "coordsystem.json", space=None if space else "*")
    system = sidecar(file, "coordsystem.json", space=space) or fallback
    return (electrodes,) if system is None else (electrodes, system)


def apply_channels(raw: "mne.io.BaseRaw", table: Path | None) -> list[str]:
    """Mark the bad channels of a ``channels.tsv`` and set the kinds of those that are not MEG, in place.

    Returns
    -------
    list of str
        What did not fit, one sentence each.
    """
    if table is None:
        return []
    read = read_table(table, ("name", "type"))
    rows = [row for _, row in read.rows]
    there = [row for row in rows if row["name"] in raw.ch_names]
    bads = [row["name"] for row in there if row.get("status", "").strip().lower() == "bad"]
    raw.info["bads"] = list(dict.fromkeys([*raw.info["bads"], *bads]))
    theirs = dict(zip(raw.ch_names, raw.get_channel_types(), strict=True))
    kinds = {row["name"]: _KINDS[kind] for row in there if (kind := row["type"].strip().upper()) in _KINDS}
    changed = {
        name: kind
        for name, kind in kinds.items()
        if theirs[name] != kind and theirs[name] not in ("mag", "grad", "ref_meg", "stim")
    }
    if changed:
        raw.set_channel_types(changed, on_unit_change="ignore", verbose="ERROR")
    notes = _malformed(read)
    if missing := len(rows) - len(there):
        notes.append(f"{missing} of {len(rows)} channels are not in the recording: {table.name}.")
    return notes


def apply_electrodes(raw: "mne.io.BaseRaw", table: Path | None = None, system: Path | None = None) -> list[str]:
    """Give electrodes the positions of an ``electrodes.tsv``, in place.

    Returns
    -------
    list of str
        What did not fit, one sentence each.

    Raises
    ------
    InputError
        Positions in a unit that is no length.
    """
    import mne

    from megxl.signals.messages import collected_warnings

    if table is None:
        return []
    frame = _frame(system)
    unit = str(frame.get("EEGCoordinateUnits", "m"))
    if unit not in _UNITS_M:
        raise InputError(f"{system.name if system else table.name}: positions are in {unit!r}; allowed: m, cm, mm.")
    electrodes = {channel["ch_name"] for channel in raw.info["chs"] if sensor_kind(channel) == ELECTRODE}
    positions = {}
    read = read_table(table, ("name", "x", "y", "z"))
    for _, row in read.rows:
        place = _place([row[axis] for axis in "xyz"], _UNITS_M[unit])
        if row["name"] in electrodes and place is not None:
            positions[row["name"]] = place
    notes = _malformed(read)
    if system is None:
        notes.append(f"No coordsystem.json says in which unit positions are, metres are taken: {table.name}.")
    if len(positions) < len(electrodes):
        notes.append(
            f"{len(electrodes) - len(positions)} of {len(electrodes)} electrodes have no position: {table.name}."
        )
    if positions:
        head = str(frame.get("EEGCoordinateSystem", "")).lower() in _HEAD_SYSTEMS
        montage = mne.channels.make_dig_montage(
            positions, **_landmarks(frame), coord_frame="head" if head else "unknown"
        )
        with collected_warnings() as warned:
            raw.set_montage(montage, on_missing="ignore")
        notes += warned
    return notes


def _is_kind(path: Path, ending: str) -> bool:
    return not path.name.startswith(".") and (path.name == ending or path.name.endswith(f"_{ending}"))


def _holds(theirs: Mapping[str, str], own: Mapping[str, str], space: str | None) -> bool:
    fits = all(own.get(key) == value for key, value in theirs.items() if key != "space")
    return fits and space in ("*", theirs.get("space"))


def _malformed(table: Table) -> list[str]:
    if not table.malformed:
        return []
    line, reason = table.malformed[0]
    count, total = len(table.malformed), len(table.malformed) + len(table.rows)
    return [f"{count} of {total} rows left out, malformed: {table.path.name}, first in line {line}, {reason}."]


def _frame(system: Path | None) -> dict[str, Any]:
    if system is None:
        return {}
    try:
        frame = json.loads(read_text(system))
    except ValueError as error:
        raise InputError(f"{system.name} is not JSON: {error}.") from error
    if not isinstance(frame, dict):
        raise InputError(f"{system.name} is no object in JSON.")
    return frame


def _landmarks(frame: Mapping[str, Any]) -> dict[str, Any]:
    """Nasion and ears in metres, if all three are known: MNE turns positions into the frame of the head by them."""
    scale = _UNITS_M.get(str(frame.get("AnatomicalLandmarkCoordinateUnits", frame.get("EEGCoordinateUnits", "m"))))
    points = frame.get("AnatomicalLandmarkCoordinates")
    if scale is None or not isinstance(points, dict):
        return {}
    known = {str(name).lower(): point for name, point in points.items()}
    places = {name: known.get(short) for name, short in (("nasion", "nas"), ("lpa", "lpa"), ("rpa", "rpa"))}
    found = {name: _place(point, scale) for name, point in places.items() if point is not None}
    return found if len(found) == 3 and all(place is not None for place in found.values()) else {}


def _place(values: Any, scale: float) -> list[float] | None:
    """Position in metres; None where one of the numbers is missing."""
    try:
        numbers = [float(value) * scale for value in values]
    except (TypeError, ValueError):
        return None
    return numbers if len(numbers) == 3 and all(map(math.isfinite, numbers)) else None
