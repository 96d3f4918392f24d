"""Positions of electrodes from a montage: a file, or a name that MNE knows."""

import difflib
from pathlib import Path

import mne

from megxl.errors import InputError
from megxl.signals.coils import ELECTRODE, sensor_kind
from megxl.signals.messages import collected_warnings, refusal_of_system, repeatable


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
        What did not fit, one sentence each.

    Raises
    ------
    InputError
        No electrode, no such montage, one that cannot be read, or one that has none of the names.
    """
    electrodes = [channel["ch_name"] for channel in raw.info["chs"] if sensor_kind(channel) == ELECTRODE]
    if not electrodes:
        raise InputError(f"{recording} has no EEG channel to which the montage {montage} could give a position.")
    positions = _read_montage(montage)
    known = {name.lower() for name in positions.ch_names}
    unknown = [name for name in electrodes if name.lower() not in known]
    if len(unknown) == len(electrodes):
        raise InputError(
            f"None of the {len(electrodes)} electrodes of {recording} (first: {electrodes[0]!r}) is in the montage "
            f"{Path(montage).name} (first: {positions.ch_names[0]!r}). Use a montage with the recording's names."
        )
    with collected_warnings() as notes:
        raw.set_montage(positions, match_case=False, on_missing="ignore")
    if unknown:
        notes.append(
            f"Without a position, because not in the montage {Path(montage).name}: "
            f"{len(unknown)} of {len(electrodes)} electrodes ({', '.join(unknown)})."
        )
    return notes


def _read_montage(montage: str | Path) -> mne.channels.DigMontage:
    path = Path(montage).absolute()
    is_file = False
    try:
        is_file = path.exists()
        with collected_warnings():  # MNE is renaming its built-in montages: old names still work
            if is_file:
                return mne.channels.read_custom_montage(path)
            return mne.channels.make_standard_montage(str(montage))
    except Exception as error:  # as for recordings: whatever the file makes MNE stumble over
        if refusal := refusal_of_system(error, path.name):
            raise InputError(refusal) from error
        if is_file:
            raise InputError(f"{path.name} is no montage that MNE reads: {repeatable(error)}") from error
        built_in = [str(name) for name in mne.channels.get_builtin_montages()]
        some = ", ".join(difflib.get_close_matches(str(montage), built_in, cutoff=0.3) or built_in[:3])
        raise InputError(f"The montage {montage} is neither a file nor built into MNE (such as {some}).") from error
