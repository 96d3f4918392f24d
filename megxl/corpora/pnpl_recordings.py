"""Recordings that a LibriBrain data set of the `pnpl` package holds, as recordings of our corpus: `from_pnpl`."""

from pathlib import Path
from typing import Any

from megxl.corpora.corpus import RecordingFile
from megxl.corpora.libribrain import LibriBrain
from megxl.errors import InputError

_REPOSITORY = "pnpl/LibriBrain"


def from_pnpl(dataset: Any) -> list[RecordingFile]:
    """Find the files of a data set's runs, as pnpl has put them on disk; nothing is copied or downloaded.

    The data set's windows, task and standardisation play no part: `LibriBrain.read` and `LibriBrain.words` give whole
    recordings, in SI units, and ``Request(keys=...)`` prepares them.

    Parameters
    ----------
    dataset : pnpl.datasets.LibriBrain, LibriBrain100, or one derived from them

    Returns
    -------
    list of RecordingFile
        One a run, in natural order; their root is the data set's ``data_path``.

    Raises
    ------
    InputError
        Another data set, or runs whose files are not downloaded yet.
    """
    if not str(getattr(dataset, "HUGGINGFACE_REPO", "")).startswith(_REPOSITORY):
        raise InputError(
            f"from_pnpl takes a LibriBrain data set of pnpl, not {type(dataset).__name__}; other corpora are read from "
            "their folders: megxl prepare CORPUS ROOT --store STORE."
        )
    # some of pnpl's classes leave run_keys empty and say what was asked for
    runs = list(dataset.run_keys or dataset.intended_run_keys)
    wanted = {f"sub-{subject}_ses-{session}_task-{task}_run-{run}" for subject, session, task, run in runs}
    root = Path(dataset.data_path).absolute()
    files = [file for file in LibriBrain().recordings(root) if file.id in wanted]
    if missing := sorted(wanted - {file.id for file in files}):
        raise InputError(
            f"{root}: {len(missing)} of {len(wanted)} runs of the data set are not there (first: {missing[0]}). Make "
            "it with download=True and preload_files=True, or fetch them with megxl fetch libribrain."
        )
    return files
