"""Open a recording of any format that MNE reads, choose its sensors, say where it came from without naming anybody."""

import difflib
import logging
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import mne

from megxl.errors import InputError
from megxl.signals.coils import ELECTRODE, GRADIOMETER, MAGNETOMETER, sensor_kind
from megxl.signals.completeness import refuse_absent_content, refuse_incomplete
from megxl.signals.messages import collected_warnings, refusal_of_system, repeatable
from megxl.signals.montage import place_electrodes
from megxl.signals.neuromag306 import neuromag306_channels

logger = logging.getLogger("megxl")

FORMATS = (
    "FIF, CTF .ds, KIT .sqd or .con, 4D/BTi, EEGLAB .set, BrainVision .vhdr, EDF, BDF "
    "and what else mne.io.read_raw knows"
)

_FORMAT_OF_READER = {"Raw": "FIF", "RawBTi": "4D/BTi", "RawArray": "in memory"}
_MEG_NAMES: dict[int | None, str] = {GRADIOMETER: "grad", MAGNETOMETER: "mag"}
_KINDS_OF_CHOICE: dict[str, tuple[int, ...]] = {
    "meg": (GRADIOMETER, MAGNETOMETER),
    "mag": (MAGNETOMETER,),
    "grad": (GRADIOMETER,),
    "eeg": (ELECTRODE,),
    "meg+eeg": (GRADIOMETER, MAGNETOMETER, ELECTRODE),
}
CHOICES = ("auto", *_KINDS_OF_CHOICE)
"""Which sensors to take, as `choose_channels` knows them."""
# files that belong to a recording, and the one beside them that opens it
_OPENED_BY = {".fdt": ".set", ".vmrk": ".vhdr", ".eeg": ".vhdr"}


def open_recording(
    path: str | Path, *, allow_maxshield: bool = False, montage: str | Path | None = None
) -> mne.io.BaseRaw:
    """Open a recording without reading its samples.

    Parameters
    ----------
    path : path
        A file, or the folder of a CTF or 4D/BTi recording; the first part of a split FIF recording.
    allow_maxshield : bool
        Take raw MaxShield data as they are.
    montage : path or str, optional
        Electrode positions: a file for `mne.channels.read_custom_montage`, or the name of a built-in montage.

    Returns
    -------
    mne.io.BaseRaw
        Not preloaded. What MNE warned of while reading stands in ``provenance(raw)["notes"]``.

    Raises
    ------
    InputError
        No such file, one that may not be read, no recording, a damaged or incomplete one, a reader
        that is not installed, MaxShield data, a montage that does not fit.
    """
    try:
        path = _entrance(Path(path)).absolute()
    except OSError as error:
        raise InputError(_why_unreadable(Path(path), error)) from error
    with collected_warnings() as notes:
        raw = _read(path)
        _refuse_later_part(path)
    if any("Invalid tag with only" in note for note in notes):  # MNE goes on with what is there
        raise InputError(f"{path.name} ends in the middle of its data: copy or download it again.")
    refuse_incomplete(raw, path.name)
    if raw.info.get("maxshield"):
        if not allow_maxshield:
            raise InputError(
                f"{path.name} holds raw MaxShield (internal active shielding) data, distorted until corrected. "
                "Run MaxFilter or mne.preprocessing.maxwell_filter first, or go on with --allow-maxshield "
                "(megxl prepare: --set allow_maxshield=true; in Python: allow_maxshield=True)."
            )
        notes.append("Raw MaxShield data, not corrected by MaxFilter: they may be distorted.")
    if montage is not None:
        notes += place_electrodes(raw, montage, path.name)
    for note in notes:
        logger.info("%s: %s", path.name, note)
    raw.info["temp"] = {"megxl_notes": notes}  # MNE's place for such things: copied with the recording, never written
    return raw


def choose_channels(
    raw: mne.io.BaseRaw | mne.BaseEpochs, channels: str = "auto", exclude: Sequence[str] = ()
) -> list[str]:
    """Name the sensors to use, in the order of the file, with those that are marked bad and without reference sensors.

    Parameters
    ----------
    raw : mne.io.BaseRaw or mne.BaseEpochs
        The recording.
    channels : {"auto", "meg", "mag", "grad", "eeg", "meg+eeg"}
        "auto" takes MEG sensors if there are any, else electrodes. Axial gradiometers (CTF, KIT) are "grad".
    exclude : sequence of str
        Channels to leave out.

    Returns
    -------
    list of str

    Raises
    ------
    InputError
        An unknown choice, an excluded name that the file does not have, nothing left.
    """
    if channels not in CHOICES:
        raise InputError(f"channels = {channels!r}; allowed: {', '.join(CHOICES)}.")
    unknown = [name for name in exclude if name not in raw.ch_names]
    if unknown:
        near = difflib.get_close_matches(unknown[0], raw.ch_names, cutoff=0.4)
        hint = f"; the nearest names are {', '.join(map(repr, near))}" if near else ""
        what = "1 channel to exclude is" if len(unknown) == 1 else f"{len(unknown)} channels to exclude are"
        raise InputError(f"{what} not in the recording (first: {unknown[0]!r}{hint}).")
    kind_of = {channel["ch_name"]: sensor_kind(channel) for channel in raw.info["chs"]}
    if channels == "auto":
        channels = "eeg" if set(kind_of.values()).isdisjoint(_KINDS_OF_CHOICE["meg"]) else "meg"
    names = [name for name, kind in kind_of.items() if kind in _KINDS_OF_CHOICE[channels] and name not in set(exclude)]
    lacking = channels == "meg+eeg" and len({kind_of[name] == ELECTRODE for name in names}) < 2
    if not names or lacking:
        found = ", ".join(f"{count} {kind}" for kind, count in _count_channels(raw).items())
        left = f" after leaving out {len(exclude)}" if exclude else ""
        raise InputError(f"No channel of the kind {channels!r} is left{left}; the recording has: {found}.")
    return names


def has_electrodes(raw: mne.io.BaseRaw, names: Sequence[str]) -> bool:
    """Say whether there are electrodes among the named channels."""
    kind_of = {channel["ch_name"]: sensor_kind(channel) for channel in raw.info["chs"]}
    return any(kind_of[name] == ELECTRODE for name in names)


def provenance(raw: mne.io.BaseRaw) -> dict[str, Any]:
    """Describe a recording for the files made from it: nothing here says who was measured, by whom, where or when.

    Names of files are recorded, names of folders are not; the name of a file can itself identify a person.

    Returns
    -------
    dict
        JSON-able: names of files (without folders), format, rates, duration, channels by kind, header filters, bad
        channels, MaxShield, Maxwell filter, CTF compensation, projectors, seconds marked bad, and ``notes`` (what MNE
        warned of while reading).
    """
    paths = [_opener(Path(name)) for name in raw.filenames if name is not None]
    # a CTF recording is known by its folder
    files = dict.fromkeys(path.parent.name if path.parent.suffix.lower() == ".ds" else path.name for path in paths)
    reader = type(raw).__name__
    max_infos = [entry.get("max_info") or {} for entry in raw.info.get("proc_history") or ()]
    projectors = raw.info["projs"]
    return {
        "files": list(files),
        "parts": max(1, len(paths)),
        "format": _FORMAT_OF_READER.get(reader, reader.removeprefix("Raw")),
        "sfreq_hz": float(raw.info["sfreq"]),
        "duration_s": float(raw.n_times / raw.info["sfreq"]),
        "channels": _count_channels(raw),
        "highpass_hz": float(raw.info["highpass"]),
        "lowpass_hz": float(raw.info["lowpass"]),
        "bads": list(raw.info["bads"]),
        "maxshield": bool(raw.info.get("maxshield")),
        "sss": any(info.get("sss_info") for info in max_infos),
        "tsss": any(info.get("max_st") for info in max_infos),
        "ctf_compensation_grade": raw.compensation_grade,
        "projectors": len(projectors),
        "projectors_active": sum(bool(projector["active"]) for projector in projectors),
        "bad_seconds": _bad_seconds(raw),
        "notes": list((raw.info.get("temp") or {}).get("megxl_notes", ())),
    }


def neuromag306_info(sfreq_hz: float) -> mne.Info:
    """Make the `mne.Info` of a Neuromag 306 system, with real sensor geometry, for recordings that are made up."""
    channels = neuromag306_channels()
    types: Any = [_MEG_NAMES[sensor_kind(channel)] for channel in channels]  # MNE's own annotation forgets lists
    info = mne.create_info([channel["ch_name"] for channel in channels], sfreq_hz, types)
    for entry, channel in zip(info["chs"], channels, strict=True):
        entry.update(channel)
    return info


def _entrance(path: Path) -> Path:
    """Return the file or folder that opens the recording to which this path belongs."""
    if path.is_symlink() or path.is_file() or path.suffix.lower() == ".ds":
        refuse_absent_content(path)
    if not path.exists():
        raise InputError(f"{path} does not exist.")
    if path.is_file():
        if path.stat().st_size == 0:
            raise InputError(f"{path.name} is empty (0 bytes): it was not copied, or only its name was.")
        opener = _opener(path)
        if opener != path:
            raise InputError(f"{path.name} is one file of a recording; open it by {opener.name}.")
        # CTF: a file inside of the folder; 4D/BTi: the data file stands beside its configuration
        return path.parent if path.parent.suffix.lower() == ".ds" else path
    if path.suffix.lower() in {".ds", ".mff", ".mefd"}:
        return path
    data_files = sorted(file for file in path.iterdir() if _is_bti(file))
    if len(data_files) == 1:
        return data_files[0]
    if data_files:
        raise InputError(f"{path.name} holds {len(data_files)} 4D/BTi data files; open one: {_listed(data_files)}.")
    endings = {".fif", ".ds", ".sqd", ".con", ".set", ".vhdr", ".edf", ".bdf"}
    inside = sorted(file for file in path.iterdir() if file.suffix.lower() in endings)
    hint = f"; it holds {_listed(inside)}" if inside else ""
    raise InputError(f"{path} is a folder, but no recording{hint}. Allowed: {FORMATS}.")


def _opener(path: Path) -> Path:
    """Return the file beside this one by which its recording is opened, or this one."""
    opener = path.with_suffix(_OPENED_BY.get(path.suffix.lower(), path.suffix))
    return opener if opener.exists() else path


def _is_bti(path: Path) -> bool:
    return ",rf" in path.name and (path.parent / "config").is_file()


def _listed(files: Sequence[Path]) -> str:
    return ", ".join(file.name for file in files[:3]) + (f" and {len(files) - 3} more" if len(files) > 3 else "")


def _read(path: Path) -> mne.io.BaseRaw:
    try:
        if _is_bti(path):
            shape = path.parent / "hs_file"
            return mne.io.read_raw_bti(path, path.parent / "config", shape if shape.is_file() else None, preload=False)
        # MaxShield is looked at by the caller, who can say what to do
        more = {"allow_maxshield": "yes"} if path.name.lower().endswith((".fif", ".fif.gz")) else {}
        return mne.io.read_raw(path, preload=False, **more)
    except Exception as error:  # MNE's readers raise whatever a damaged file makes them stumble over
        raise InputError(_why_unreadable(path, error)) from error


def _why_unreadable(path: Path, error: Exception) -> str:
    if refusal := refusal_of_system(error, path.name):
        return refusal
    text = repeatable(error)
    if part := re.search(r"Split raw file detected but next file (.+?) does not exist", text):
        return (
            f"{path.name} is a split recording and its part {Path(part[1]).name} is missing. "
            "Put all parts into one folder under their original names."
        )
    if module := re.search(r"[Tt]he (\S+) (?:module is needed|package .*is required)|No module named '([^'.]+)", text):
        return f"Reading {path.name} needs a package that is not installed: pip install {module[1] or module[2]}."
    if text.startswith("Unsupported file type"):
        return f"{path.name} has no ending of a recording. Allowed: {FORMATS}."
    if missing := re.fullmatch(r"Standard file (.+) not found", text):
        return (
            f"{path.name} lacks {missing[1]}: the files in a .ds folder keep the folder's name. "
            "Give a renamed folder its old name back, or copy an incomplete one again."
        )
    # of other kinds are the errors that a damaged file makes code stumble into: they say nothing to a person
    said = f" (MNE says {text!r})" if text and isinstance(error, ValueError | RuntimeError | OSError) else ""
    return (
        f"{path.name} is not readable as its ending promises{said}: it is no recording, or is damaged "
        "(then copy or download it again)."
    )


def _refuse_later_part(path: Path) -> None:
    """Refuse a part of a split recording that is not its first, when the first lies beside it."""
    match = re.fullmatch(r"(.+)-\d+(\.fif(?:\.gz)?)", path.name) or re.fullmatch(r"(.+_split-)\d+(_.+\.fif)", path.name)
    if match is None:
        return
    number = "01" if match[1].endswith("_split-") else ""
    first = path.with_name(f"{match[1]}{number}{match[2]}")
    if first == path or not first.exists():
        return
    if path.resolve() in {Path(name).resolve() for name in _read(first).filenames if name}:
        raise InputError(f"{path.name} is a later part of a split recording; open {first.name}, all parts are read.")


def _count_channels(raw: mne.io.BaseRaw | mne.BaseEpochs) -> dict[str, int]:
    # MNE calls all sensors that measure in tesla "mag"; here the coil decides
    types = zip(raw.info["chs"], raw.get_channel_types(), strict=True)
    return dict(Counter(_MEG_NAMES.get(sensor_kind(channel), theirs) for channel, theirs in types))


def _bad_seconds(raw: mne.io.BaseRaw) -> float:
    """Length of the union of all annotations that begin with "bad", within the recording."""
    marks = raw.annotations
    total_s, covered_s = 0.0, 0.0
    for onset_s, duration_s, text in sorted(
        zip(marks.onset - raw.first_time, marks.duration, marks.description, strict=True)
    ):
        if str(text).lower().startswith("bad"):
            until_s = onset_s + duration_s  # MNE ends marks where the recording ends
            total_s += max(0.0, until_s - max(onset_s, covered_s))
            covered_s = max(covered_s, until_s)
    return round(float(total_s), 6)
