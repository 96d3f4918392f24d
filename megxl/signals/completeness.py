"""Whether the files of a recording hold all that its header promises: readers go on with what is there."""

import glob
import re
import struct
from pathlib import Path

import mne

from megxl.errors import InputError

# where a CTF header says how many trials were saved: a 16-bit integer, its first byte the highest
_CTF_TRIALS_AT = 1312
_CTF_HEADER_BYTES = 8
_CTF_SAMPLE_BYTES = 4
# the entry of a KIT file's table of contents that says where its samples are
_KIT_SAMPLES = 9


def refuse_absent_content(path: Path) -> None:
    """Refuse a recording of which a file is only a link to content that was not fetched (git-annex, DataLad).

    Parameters
    ----------
    path : Path
        The file or folder that opens it; what lies in the folder, or has the file's name before the ending, counts.

    Raises
    ------
    InputError
        A link to a file that is not here.
    """
    inside = path.iterdir() if path.is_dir() else path.parent.glob(f"{glob.escape(path.stem)}.*")
    files = [path, *sorted(inside)]
    for file in files:
        if file.is_symlink() and not file.exists():
            raise InputError(
                f"{file.name} is a link to a file that is not here: fetch it with `datalad get` or `git annex get`."
            )


def refuse_incomplete(raw: mne.io.BaseRaw, name: str) -> None:
    """Refuse a KIT or CTF recording that has fewer samples than its header promises.

    A FIF file that ends early is noticed by MNE; where others end, it puts zeros or takes the recording for shorter.

    Parameters
    ----------
    raw : mne.io.BaseRaw
        As opened.
    name : str
        The recording, for the message.

    Raises
    ------
    InputError
        Missing samples, trials or parts.
    """
    paths = [Path(file) for file in raw.filenames if file is not None]
    reader = type(raw).__name__
    if reader == "RawKIT":
        _refuse_short_kit(paths[0], raw._raw_extras[0], name)
    elif reader == "RawCTF":
        _refuse_missing_ctf_parts(paths[0], name)
        _refuse_missing_ctf_trials(paths, raw._raw_extras[0], name)


def _refuse_short_kit(path: Path, header: dict, name: str) -> None:
    row_bytes = int(header["nchan"]) * header["dtype"].itemsize
    promised = int(header["n_samples"])
    present = (path.stat().st_size - int(header["dirs"][_KIT_SAMPLES]["offset"])) // row_bytes
    if present < promised:
        raise InputError(
            f"{name} ends in the middle of its data ({max(0, present)} of {promised} samples): copy or download it "
            "again."
        )


def _refuse_missing_ctf_parts(first: Path, name: str) -> None:
    """Refuse a gap in the numbers of the parts: the reader stops there."""
    pattern = re.compile(rf"{re.escape(first.stem)}\.(\d+)_meg4")
    numbers = {int(match[1]) for file in first.parent.iterdir() if (match := pattern.fullmatch(file.name))}
    missing = sorted(set(range(1, max(numbers, default=0))) - numbers)
    if missing:
        raise InputError(
            f"{name} lacks {first.stem}.{missing[0]}_meg4, one of the parts of its data: copy or download it again."
        )


def _refuse_missing_ctf_trials(paths: list[Path], header: dict, name: str) -> None:
    with paths[0].with_suffix(".res4").open("rb") as file:
        file.seek(_CTF_TRIALS_AT)
        (promised,) = struct.unpack(">h", file.read(2))
    trial_bytes = int(header["n_chan"]) * int(header["res4_nsamp"]) * _CTF_SAMPLE_BYTES
    present = sum((path.stat().st_size - _CTF_HEADER_BYTES) // trial_bytes for path in paths)
    if present < promised:  # more may be there: data that were put together from several recordings
        raise InputError(
            f"{name} ends in the middle of its data ({present} of {promised} trials): copy or download it again. "
            "Where the acquisition broke off before it was saved, let the system's own software correct the header."
        )
