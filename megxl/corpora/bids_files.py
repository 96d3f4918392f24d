"""Which files of a BIDS data set are recordings, and which of them are versions of one another."""

from collections.abc import Sequence
from pathlib import Path

from megxl.corpora.corpus import RecordingFile
from megxl.corpora.layouts import recordings_among, warn_of
from megxl.corpora.names import entity
from megxl.errors import InputError

DATATYPES = ("meg", "eeg")
# in lower case; a folder without ending is that of a 4D/BTi recording
_ENDINGS = {"meg": (".fif", ".fif.gz", ".ds", ".con", ".sqd"), "eeg": (".set", ".vhdr", ".edf", ".bdf")}
# what lies beside a recording under its name
_COMPANIONS = (".json", ".eeg", ".dat", ".vmrk", ".fdt")
# values of acq- under which files of the datatype are no recordings
_CALIBRATION = frozenset({"calibration", "crosstalk"})
# of the subject or task; a task may well be called noise
_NOT_BRAIN = frozenset({"emptyroom"})


def find_bids_recordings(
    name: str, root: Path, datatypes: Sequence[str], *, acquisition: str | None = None, processing: str | None = None
) -> list[RecordingFile]:
    """Find the recordings below the subjects' folders; derivatives, empty rooms and calibrations are none.

    Parameters
    ----------
    name : str
        Of the corpus.
    root : Path
    datatypes : sequence of {"meg", "eeg"}
    acquisition, processing : str, optional
        Value of ``acq-`` and ``proc-`` in their names; None: any.

    Raises
    ------
    InputError
        Names that differ only by other entities than subject, session, task and run, or by their endings.
    """
    chosen = {"acq": acquisition, "proc": processing}
    paths = [
        path
        for path in _data_files(name, root, datatypes)
        if all(value in (None, entity(path.name, key)) for key, value in chosen.items())
    ]
    found = recordings_among(name, root, paths, not_brain=_NOT_BRAIN)
    _refuse_versions(found)
    return found


def datatype_of(file: RecordingFile) -> str:
    """Say what a recording is, "meg" or "eeg": its folder is called so."""
    return file.path.parent.name


def _data_files(name: str, root: Path, datatypes: Sequence[str]) -> list[Path]:
    """Find what may be a recording, broken links too: that they lead nowhere is told when they are read."""
    found, unknown = [], []
    for datatype in datatypes:
        for path in sorted([*root.glob(f"sub-*/{datatype}/sub-*"), *root.glob(f"sub-*/ses-*/{datatype}/sub-*")]):
            stem, dot, ending = path.name.lower().partition(".")
            if not stem.endswith(f"_{datatype}") or entity(path.name, "acq") in _CALIBRATION:
                continue
            if dot + ending in _ENDINGS[datatype] or (not dot and path.is_dir()):
                found.append(path)
            elif dot + ending not in _COMPANIONS:
                unknown.append(path)
    endings = ", ".join(ending for datatype in datatypes for ending in _ENDINGS[datatype])
    warn_of(name, unknown, f"their endings are not those of recordings ({endings})")
    return found


def _refuse_versions(found: Sequence[RecordingFile]) -> None:
    by_id: dict[str, RecordingFile] = {}
    for file in found:
        other = by_id.setdefault(file.id, file)
        if other is not file:
            names = f"{other.path.name} and {file.path.name}"
            raise InputError(f"{names} are two versions of {file.id}: {_remedy(other, file)}.")


def _remedy(one: RecordingFile, other: RecordingFile) -> str:
    differs = {
        "datatype": datatype_of(one) != datatype_of(other),
        "acquisition": entity(one.path.name, "acq") != entity(other.path.name, "acq"),
        "processing": entity(one.path.name, "proc") != entity(other.path.name, "proc"),
    }
    options = [option for option, is_so in differs.items() if is_so]
    return f"choose one by {' or '.join(options)}" if options else "move one of them out of the data set"
