"""Recordings found by the names of files, as BIDS writes them: `sub-01_ses-1_task-story_run-2_meg.fif`."""

import logging
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from megxl.corpora.corpus import RecordingFile
from megxl.corpora.names import entity, natural

logger = logging.getLogger("megxl")

NOT_BRAIN = frozenset({"emptyroom", "noise"})
"""Values of subject or task (in lower case) under which corpora keep recordings of an empty room."""


def find_recordings(
    corpus: str, root: str | Path, pattern: str, needs: Sequence[str] = ("sub", "task")
) -> list[RecordingFile]:
    """Find the recordings whose paths below the root match a pattern, as for `Path.glob`; see `recordings_among`."""
    return recordings_among(corpus, root, Path(root).glob(pattern), needs)


def recordings_among(
    corpus: str,
    root: str | Path,
    paths: Iterable[Path],
    needs: Sequence[str] = ("sub", "task"),
    *,
    not_brain: Collection[str] = NOT_BRAIN,
) -> list[RecordingFile]:
    """Make recordings of files; subject, session, task and run stand in their names.

    Left out are empty rooms, hidden files and the later parts of split recordings (they are read with the first; the
    log tells of those whose first part is missing).

    Parameters
    ----------
    corpus : str
        Name of the corpus.
    root : path
        Its root.
    paths : iterable of Path
        Files and folders that may be recordings.
    needs : sequence of str
        Entities without which a file is no recording of this corpus; such names are told in the log.
    not_brain : collection of str
        Values of subject or task, in lower case, that mean an empty room.

    Returns
    -------
    list of RecordingFile
        In natural order of their ids.
    """
    root = Path(root)
    found, unfit, later = [], [], []
    for path in paths:
        name = path.name
        if name.startswith(".") or any((entity(name, key) or "").lower() in not_brain for key in ("sub", "task")):
            continue
        if _is_later_part(name):
            later.append(path)
        elif all(entity(name, key) for key in needs):
            found.append(named_recording(corpus, root, path))
        else:
            unfit.append(path)
    whole = {_without_split(file.path) for file in found}
    warn_of(
        corpus, [path for path in later if _without_split(path) not in whole], "the first part (split-01) is missing"
    )
    warn_of(corpus, unfit, f"the name lacks {' or '.join(f'{key}-' for key in needs)}")
    return in_order(found)


def named_recording(corpus: str, root: Path, path: Path) -> RecordingFile:
    """Make the recording that a file's name tells of."""
    values = {key: entity(path.name, key) for key in ("sub", "ses", "task", "run")}
    return RecordingFile(
        corpus=corpus,
        path=path,
        root=root,
        subject=f"sub-{values['sub']}",
        session=values["ses"] and f"ses-{values['ses']}",
        task=values["task"],
        run=values["run"] and f"run-{values['run']}",
    )


def in_order(found: Iterable[RecordingFile]) -> list[RecordingFile]:
    """Sort recordings by their ids, run-2 before run-10."""
    return sorted(found, key=lambda file: natural(file.id))


def warn_of(corpus: str, paths: Sequence[Path], reason: str) -> None:
    """Say in the log which files look like recordings and are not taken."""
    if paths:
        first = min(path.name for path in paths)
        logger.warning("%s: %d left out, %s (first: %s).", corpus, len(paths), reason, first)


def _is_later_part(name: str) -> bool:
    split = entity(name, "split")
    return split is not None and split.isdigit() and int(split) > 1


def _without_split(path: Path) -> Path:
    return path.with_name(path.name.replace(f"_split-{entity(path.name, 'split')}", ""))
