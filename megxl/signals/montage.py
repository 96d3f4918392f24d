"""Positions of electrodes from a montage: a file, or a name that MNE knows, and which of those would do."""

import difflib
from collections.abc import Sequence
from pathlib import Path

import mne
import numpy as np

from megxl.errors import InputError
from megxl.signals.coils import ELECTRODE, sensor_kind
from megxl.signals.messages import collected_warnings, refusal_of_system, repeatable
from megxl.signals.sensors import MissingPositions, SensorArray, unplaced

# named first of those that know all names: positions of the 10-05 system on one average head
_USUAL = "standard_1005"


def place_electrodes(raw: mne.io.BaseRaw, montage: str | Path, recording: str) -> list[str]:
    """Give the electrodes of a recording their positions, in place.

    Parameters
    ----------
    raw : mne.io.BaseRaw
        The recording.
    montage : path or str
        A file for `mne.channels.read_custom_montage`, or the name of a built-in montage.
    recording : str
        What errors call the recording.

    Returns
    -------
    list of str
        That positions are those of a template, and what did not fit, one sentence each.

    Raises
    ------
    InputError
        No electrode, no such montage, one that cannot be read, or one that has none of the names.
    """
    electrodes = [channel["ch_name"] for channel in raw.info["chs"] if sensor_kind(channel) == ELECTRODE]
    if not electrodes:
        raise InputError(f"{recording} has no EEG channel to which the montage {montage} could give a position.")
    positions, is_file = _read_montage(montage)
    known = {name.lower() for name in positions.ch_names}
    unknown = [name for name in electrodes if name.lower() not in known]
    if len(unknown) == len(electrodes):
        raise InputError(
            f"None of the {len(electrodes)} electrodes of {recording} (first: {electrodes[0]!r}) is in the montage "
            f"{Path(montage).name} (first: {positions.ch_names[0]!r}). Use a montage with the recording's names; "
            f"{_hint(electrodes)}."
        )
    with collected_warnings() as notes:
        raw.set_montage(positions, match_case=False, on_missing="ignore")
    if not is_file:
        count = len(electrodes) - len(unknown)
        notes.append(f"Positions of electrodes are those of a template, not measured: {count} from {montage}.")
    if unknown:
        notes.append(
            f"Without a position, because not in the montage {Path(montage).name}: "
            f"{len(unknown)} of {len(electrodes)} electrodes ({', '.join(unknown)})."
        )
    return notes


def without_position(info: mne.Info) -> list[str]:
    """Name the electrodes that have no position."""
    electrodes = [channel for channel in info["chs"] if sensor_kind(channel) == ELECTRODE]
    if not electrodes:
        return []
    lacks_C = unplaced(np.array([channel["loc"][:3] for channel in electrodes]))
    return [channel["ch_name"] for channel, lacks in zip(electrodes, lacks_C, strict=True) if lacks]


def place_sensors(info: mne.Info, names: Sequence[str]) -> SensorArray:
    """Take the geometry of the named sensors; where electrodes have no position, say which template knows them.

    Raises
    ------
    InputError
        As of `SensorArray.from_info`.
    """
    try:
        return SensorArray.from_info(info, names)
    except MissingPositions as error:
        if not error.names:
            raise
        hint = _hint(error.names)
        raise InputError(
            f"{error} For megxl prepare: --set montage=NAME, or electrodes.tsv in a BIDS data set; {hint}."
        ) from error


def _hint(names: Sequence[str]) -> str:
    """Name the built-in montages that know all names, or the one that knows most of them."""
    wanted = {name.lower() for name in names}
    knows = {montage: wanted & known for montage, known in _built_in().items()}
    all_known = [montage for montage, known in knows.items() if known == wanted]
    if all_known:
        return f"{' and '.join(all_known[:2])} know{'s' if len(all_known) == 1 else ''} all {len(wanted)} of them"
    best = max(knows, key=lambda montage: len(knows[montage]))
    if not knows[best]:
        return "no built-in montage knows any of these names"
    left = [name for name in names if name.lower() not in knows[best]]
    return f"{best} knows {len(knows[best])} of these {len(wanted)} names, not {left[0]!r}"


def _built_in() -> dict[str, set[str]]:
    """Names of electrodes of each built-in montage, in lower case: the usual one first, then the smallest."""
    with collected_warnings():
        names = [str(name) for name in mne.channels.get_builtin_montages()]
        # of those on the usual head, parts and other spellings, nobody needs to hear
        others = [name for name in names if not name.startswith(("standard_", "colin27", "fsaverage", "artinis"))]
        montages = {name: make_built_in(name).ch_names for name in [_USUAL, *others]}
    ordered = sorted(montages, key=lambda name: (name != _USUAL, len(montages[name])))
    return {name: {electrode.lower() for electrode in montages[name]} for name in ordered}


def make_built_in(name: str) -> mne.channels.DigMontage:
    """Make a built-in montage, by the name that it has in whatever version of MNE; ValueError for an unknown one."""
    renamed = name.replace("standard_", "colin27_", 1)
    return mne.channels.make_standard_montage(renamed if renamed in mne.channels.get_builtin_montages() else name)


def _read_montage(montage: str | Path) -> tuple[mne.channels.DigMontage, bool]:
    """Read a montage, and say whether it is a file."""
    path = Path(montage).absolute()
    is_file = False
    try:
        is_file = path.exists()
        with collected_warnings():  # MNE is renaming its built-in montages: old names still work
            if is_file:
                return mne.channels.read_custom_montage(path), True
            return make_built_in(str(montage)), False
    except Exception as error:  # as for recordings: whatever the file makes MNE stumble over
        if refusal := refusal_of_system(error, path.name):
            raise InputError(refusal) from error
        if is_file:
            raise InputError(f"{path.name} is no montage that MNE reads: {repeatable(error)}") from error
        built_in = [str(name) for name in mne.channels.get_builtin_montages()]
        some = ", ".join(difflib.get_close_matches(str(montage), built_in, cutoff=0.3) or built_in[:3])
        raise InputError(f"The montage {montage} is neither a file nor built into MNE (such as {some}).") from error
