"""Recordings in LibriBrain's HDF5 files as an `mne.io.BaseRaw` that reads only what is asked for.

Letters: C sensors, T samples.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mne
import numpy as np
from mne.io import BaseRaw

from megxl.errors import InputError
from megxl.signals.coils import MEG_CHANNEL, PLANAR_GRADIOMETER_COILS, TESLA, TESLA_PER_METRE
from megxl.signals.neuromag306 import neuromag306_channels

if TYPE_CHECKING:
    import h5py

# samples that are read at once, so that a long recording needs no second copy of itself
_BLOCK = 5_000


class RawLibriBrain(BaseRaw):
    """A recording of LibriBrain; the file is opened for each read and held by nobody, so it survives forks.

    Parameters
    ----------
    path : Path
        Dataset ``data`` (C, T) in tesla and tesla per metre; attributes ``sample_frequency``, ``channel_names``.
    sensors : mapping
        Entries of ``mne.Info["chs"]`` by the names of the channels.

    Raises
    ------
    InputError
        No such file, not HDF5, no recording of LibriBrain, a channel without geometry, h5py not installed.
    """

    def __init__(self, path: Path, sensors: Mapping[str, Mapping[str, Any]]) -> None:
        path = path.absolute()
        with open_hdf5(path) as file:
            n_channels, n_samples = _data(file).shape
            facts = dict(file.attrs)
        info = _info(path, facts, n_channels, sensors)
        super().__init__(
            info, preload=False, filenames=(path,), last_samps=(n_samples - 1,), orig_format="single", verbose="ERROR"
        )

    def _read_segment_file(self, data, idx, fi, start, stop, cals, mult) -> None:
        with open_hdf5(Path(self.filenames[fi])) as file:
            recorded_CT = _data(file)
            for begin in range(start, stop, _BLOCK):
                end = min(begin + _BLOCK, stop)
                part_CT = recorded_CT[:, begin:end]
                # mult: a projector that mixes channels
                data[:, begin - start : end - start] = part_CT[idx] if mult is None else mult @ part_CT


def read_sensors(path: Path) -> dict[str, dict[str, Any]]:
    """Read the geometry of sensors: a list of ``{ch_name, loc, coil_type}`` in JSON, by names without blanks.

    Returns
    -------
    dict
        Neuromag's own positions where the file is missing.

    Raises
    ------
    InputError
        A file that is no such list.
    """
    known = {_plain(channel["ch_name"]): channel for channel in neuromag306_channels()}
    if not path.is_file():
        return known
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
        given = {
            _plain(entry["ch_name"]): _sensor(np.array(entry["loc"], dtype=np.float64), int(entry["coil_type"]))
            for entry in entries
        }
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(
            f"{path.name} is no list of sensors with 'ch_name', 'loc' (12 numbers) and 'coil_type' ({error}). "
            "Download it again, or move it away: Neuromag's own positions are then taken."
        ) from error
    return known | given


def open_hdf5(path: Path) -> "h5py.File":
    """Open an HDF5 file for reading.

    Raises
    ------
    InputError
        No such file, something else under its name, a damaged one, h5py not installed.
    """
    try:
        import h5py
    except ImportError as error:
        raise InputError("Reading HDF5 files needs h5py: pip install 'megxl[corpora]'.") from error
    try:
        return h5py.File(path, "r")
    except OSError as error:
        raise InputError(_why_unreadable(path, error)) from error


def _data(file: "h5py.File") -> "h5py.Dataset":
    import h5py

    data_CT = file.get("data")
    if not isinstance(data_CT, h5py.Dataset) or data_CT.ndim != 2:
        name = Path(file.filename).name
        raise InputError(f"{name} has no table 'data' of sensors by samples: it is no file of LibriBrain.")
    return data_CT


def _why_unreadable(path: Path, error: OSError) -> str:
    if not path.is_file():
        return f"{path} does not exist."
    with path.open("rb") as file:
        start = file.read(64).lstrip()
    if not start:
        return f"{path.name} is empty (0 bytes): download it again."
    if start.startswith(b"<"):
        return f"{path.name} holds a web page instead of data: the download was refused. Log in and download it again."
    if start.startswith(b"version https://git-lfs"):
        return f"{path.name} holds a Git LFS pointer instead of data: fetch the data with 'git lfs pull'."
    return f"{path.name} is damaged or no HDF5 file ({error}): download it again."


def _info(path: Path, facts: Mapping[str, Any], n_channels: int, sensors: Mapping[str, Mapping[str, Any]]) -> mne.Info:
    missing = [name for name in ("sample_frequency", "channel_names") if name not in facts]
    if missing:
        raise InputError(f"{path.name} lacks the attribute {missing[0]!r}: it is no file of LibriBrain, or is damaged.")
    names = [name.strip() for name in str(facts["channel_names"]).split(",")]
    if len(names) != n_channels:
        raise InputError(f"{path.name} names {len(names)} channels and has data of {n_channels}: it is damaged.")
    unknown = [name for name in names if name.startswith("MEG") and _plain(name) not in sensors]
    if unknown:
        raise InputError(
            f"{path.name}: {len(unknown)} channels have no position (first: {unknown[0]!r}), neither in the list of "
            "sensors at the corpus's root nor among Neuromag's own; add them to meg_sensors_information.json."
        )
    info = mne.create_info(names, float(facts["sample_frequency"]), "misc")
    for entry in info["chs"]:
        entry.update({**sensors.get(_plain(entry["ch_name"]), {}), "ch_name": entry["ch_name"]})
    with info._unlock():  # what was done before, so that it is not done again
        info["highpass"] = float(facts.get("highpass_cutoff", info["highpass"]))
        info["lowpass"] = float(facts.get("lowpass_cutoff", info["lowpass"]))
    return info


def _sensor(loc: np.ndarray, coil_type: int) -> dict[str, Any]:
    if loc.shape != (12,):
        raise ValueError("a 'loc' has not 12 numbers")
    unit = TESLA_PER_METRE if coil_type in PLANAR_GRADIOMETER_COILS else TESLA
    return {"kind": MEG_CHANNEL, "coil_type": coil_type, "unit": unit, "coord_frame": 1, "loc": loc}


def _plain(name: str) -> str:
    """Name of a channel without blanks: ``MEG 0111`` is ``MEG0111``."""
    return name.replace(" ", "")
