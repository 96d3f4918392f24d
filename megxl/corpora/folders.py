"""Recordings in folders of any layout: which files are recordings, what their places tell, where their words lie."""

import re
from pathlib import Path

from megxl.corpora.corpus import UNKNOWN_SUBJECT
from megxl.corpora.layouts import named_recording
from megxl.corpora.names import entity
from megxl.errors import InputError

ENDINGS = (".fif", ".fif.gz", ".ds", ".sqd", ".con", ".set", ".vhdr", ".edf", ".bdf", ".mff")
WORD_ENDINGS = (".tsv", ".csv", ".TextGrid", ".txt")
LEVELS = ("subject", "session", "task", "run")
# what MNE's conventions for names, and KIT's markers, say is no recording
_NO_RECORDING = re.compile(
    r"-(eve|cov|epo|ave|fwd|inv|ica|proj|trans|src|bem|sol|annot|morph|tfr|corr)\.|_mrk\.|headshape"
)


def is_recording(path: Path, root: Path) -> bool:
    """Say whether a file below a root is, by its name, a recording."""
    below = path.relative_to(root)
    hidden = any(part.startswith(".") for part in below.parts)
    inside = any(parent.suffix.lower() in (".ds", ".mff") for parent in below.parents)
    ending = path.name.lower().endswith(ENDINGS)
    return ending and not hidden and not inside and not _NO_RECORDING.search(path.name.lower())


def levels_of(path: Path, root: Path) -> dict[str, str | None]:
    """Tell subject, session, task and run of a recording by its BIDS name, or else by its place below the root.

    A folder ``sub-X``, or else the first folder, is the subject; other folders are the session, the file is the run.
    Where there is no folder, the subject is `UNKNOWN_SUBJECT`.
    """
    if entity(path.name, "sub"):
        named = named_recording("", root, path)
        return {level: getattr(named, level) for level in LEVELS}
    folders = list(path.relative_to(root).parent.parts) if path.is_relative_to(root) else []
    people = [place for place, folder in enumerate(folders) if re.match(r"sub-\w", folder)]
    subject = folders.pop(people[0] if people else 0) if folders else UNKNOWN_SUBJECT
    session = "-".join(folders)
    return {"subject": _name(subject), "session": _name(session) or None, "task": None, "run": _name(stem(path))}


def stem(path: Path) -> str:
    """Name a recording without its ending."""
    ending = next((ending for ending in ENDINGS if path.name.lower().endswith(ending)), path.suffix)
    return path.name[: len(path.name) - len(ending)]


def words_beside(path: Path) -> Path | None:
    """Find the file of a recording's name that may hold its words.

    Raises
    ------
    InputError
        There are several.
    """
    there = [path.with_name(stem(path) + ending) for ending in WORD_ENDINGS]
    there = [candidate for candidate in there if candidate.is_file()]
    if len(there) > 1:
        raise InputError(
            f"{path.name}: {' and '.join(file.name for file in there)} lie beside it. Move all but one away, or say "
            "which it is in a table of recordings (columns: recording, words)."
        )
    return there[0] if there else None


def _name(text: str) -> str:
    return re.sub(r"[^\w.-]+", "-", text)
