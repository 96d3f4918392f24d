"""Where judged tokenizers and their windows come from: runs, checkpoints, held-out recordings, a store."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from megxl.data.recording_split import RecordingSplit
from megxl.errors import InputError
from megxl.store.entry import StoredRecording
from megxl.store.store import Store
from megxl.tokenizer.biocodec import BioCodec
from megxl.training.run_windows import part_keys
from megxl.training.runs import Run
from megxl.training.tokenizer.config import TokenizerConfig
from megxl.training.tokenizer.judged_windows import JudgedWindows

JUDGED = "judged.json"
"""In a run: what judging found on its recordings."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Source:
    """A tokenizer, and the run that made it, if it was named by that."""

    codec: BioCodec
    run: Run[TokenizerConfig] | None


def open_source(place: str | Path) -> Source:
    """Open the newest codec of a run, or a checkpoint (a file, a folder, a hub name), in evaluation mode.

    Raises
    ------
    InputError
        A run of another command, or without a checkpoint; what `BioCodec.from_pretrained` refuses.
    """
    path = Path(place).expanduser()
    if not Run.exists(path):
        return Source(codec=BioCodec.from_pretrained(place).eval(), run=None)
    run = Run.open(path, TokenizerConfig)
    return Source(codec=BioCodec.from_pretrained(run.newest_model()).eval(), run=run)


def source_names(places: Sequence[str]) -> list[str]:
    """Short names of tokenizers, by which they are told apart: the last part of each, or more where two share it."""
    paths = [Path(place).expanduser().parts for place in places]
    if len({Path(place).expanduser().absolute() for place in places}) < len(places):
        raise InputError("A tokenizer is given twice; name each once.")
    for parts in range(1, max(map(len, paths)) + 1):
        names = [str(Path(*path[-parts:])) for path in paths]
        if len(set(names)) == len(names):
            return names
    return list(places)


def run_windows(run: Run[TokenizerConfig], part: str = "validation", **choice: Any) -> JudgedWindows:
    """Windows of a part of a run's recordings, as long and as scaled as those of its training.

    Parameters
    ----------
    run : Run
    part : "validation" or "train"
    **choice
        As `JudgedWindows` takes it (number, sensors, seed); `window_s` for another length.

    Raises
    ------
    InputError
        No split yet, nobody in this part, recordings that are no longer in the store.
    """
    recordings = Store(run.config.data.cache_dir).recordings(part_keys(run, part))
    return JudgedWindows(recordings, **scaling(run) | choice)


def scaling(run: Run[TokenizerConfig]) -> dict[str, Any]:
    """How windows are cut and scaled for a run."""
    data = run.config.data
    return {"window_s": data.segment_length, "block_s": data.block_s, "clip": data.clip, "bads": data.bads}


def stored(
    store: str | Path,
    *,
    corpus: str | None = None,
    keys: Sequence[str] | None = None,
    split: str | Path | None = None,
    part: str = "validation",
) -> list[StoredRecording]:
    """Recordings of a store: those named, those of a part of a split, those of a corpus, or all.

    Raises
    ------
    InputError
        No store; more than one way to choose; a recording or corpus that it does not have; nobody in the part.
    """
    if sum(way is not None for way in (corpus, keys, split)) > 1:
        raise InputError("Recordings are chosen by --corpus, by --recordings or by --split-file; give one of them.")
    opened = Store(store)
    if split is not None:
        keys = getattr(RecordingSplit.load(split), part)
        if not keys:
            raise InputError(f"The split {Path(split).name} has no recording for {part}.")
    if corpus is not None and corpus not in opened.corpora():
        raise InputError(f"--corpus {corpus}: the store has {', '.join(opened.corpora()) or 'no corpus'}.")
    return opened.recordings(keys, corpus)
