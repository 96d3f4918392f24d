"""What a store lacks of the recordings that a run asks for, by their names alone, and how it would be made.

Nothing is read of a recording and nothing is written: what cannot become a training is refused here, by its key.
"""

import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from megxl.corpora.corpus import Corpus, RecordingFile, Selection
from megxl.data.preparing import Request
from megxl.data.preparing.summary import counted
from megxl.data.preparing.task import Job
from megxl.errors import InputError
from megxl.signals.preparation import Preparation
from megxl.store.entry import StoredRecording
from megxl.store.store import MARK, Store

if TYPE_CHECKING:
    from megxl.training.sections import RecordingsConfig
    from megxl.training.words.sections import DataSection

_SETTINGS = {"low_hz": "l_freq", "high_hz": "h_freq", "sfreq_hz": "target_sfreq"}


@dataclass(frozen=True, kw_only=True)
class _Unread(RecordingFile):
    """A recording as a split sees it: by its names, which are those of the stored one; how long it is, nobody knows."""

    duration_s: float = math.inf

    @classmethod
    def of(cls, job: Job) -> "_Unread":
        return cls(**vars(job.file))


def unread(jobs: Mapping[str, Job]) -> Sequence[StoredRecording]:
    """Recordings of a corpus that may not be stored yet, to be selected and split by their names."""
    return cast(Sequence[StoredRecording], list(map(_Unread.of, jobs.values())))


def make_request(
    data: "RecordingsConfig | DataSection", corpus: Corpus, selection: Selection, root: str, key: str
) -> Request:
    """Say how recordings of a corpus's root are prepared; `key` is where the root is configured.

    Raises
    ------
    InputError
        There is no such folder.
    """
    if not Path(root).is_dir():
        raise InputError(
            f"{key} = {root}: there is no such folder; give the root of {corpus.name}, or null if all of its "
            f"recordings are in data.cache_dir = {data.cache_dir} already."
        )
    return Request(
        corpus=corpus,
        root=root,
        store=data.cache_dir,
        selection=selection,
        settings=Preparation(low_hz=data.l_freq, high_hz=data.h_freq, sfreq_hz=data.target_sfreq),
        workers=data.prepare_workers,
    )


def open_store(data: "RecordingsConfig | DataSection", request: Request | None, key: str) -> Store | None:
    """Open the store; None where a new one can be made.

    Raises
    ------
    InputError
        The folder holds something else; there is neither a store nor a root (`key`) to fill one from.
    """
    path = Path(data.cache_dir)
    if path.is_dir() and not (path / MARK).exists():
        others = sorted(entry.name for entry in path.iterdir() if not entry.name.startswith("."))
        if others:
            raise InputError(
                f"data.cache_dir = {data.cache_dir} is no store of prepared recordings, it holds something else "
                f"({others[0]}); name a store, or a new folder."
            )
    if (path / MARK).exists():
        return Store(path)
    if request is None:
        raise InputError(
            f"it has no {key.rpartition('.')[2]}, and data.cache_dir = {data.cache_dir} holds no prepared recordings. "
            f"Give {key}, or the store that `megxl prepare` made as data.cache_dir."
        )
    return None


def compare(
    data: "RecordingsConfig | DataSection",
    store: Store | None,
    keys: Sequence[str],
    jobs: Mapping[str, Job],
    *,
    words: bool = False,
) -> tuple[list[StoredRecording], dict[str, str]]:
    """Tell recordings that are stored as they should be from those that have to be made, with the reason.

    Parameters
    ----------
    data : section of a configuration
    store : Store, optional
        None: it is still to be made.
    keys : sequence of str
        Recordings that are asked for.
    jobs : mapping
        How they are prepared, by their keys; empty where the store is used as it is.
    words : bool
        Whether their words matter too.

    Raises
    ------
    InputError
        Recordings that were prepared with other settings; a store that cannot be written to, though it lacks some.
    """
    stored, lacking = [], {}
    for key in keys:
        if store is None or key not in store:
            lacking[key] = "not in the store"
            continue
        recording = store.recording(key)
        recording.check()
        _refuse_other_settings(data, recording, jobs.get(key))
        if (job := jobs.get(key)) and (why := _changed(store, job, words)):
            lacking[key] = why
        else:
            stored.append(recording)
    if lacking and not writable(Path(data.cache_dir)):
        raise InputError(
            f"{counted(len(lacking), 'recording')} must be prepared (first: {next(iter(lacking))}), but data.cache_dir "
            f"= {data.cache_dir} cannot be written to; change its permissions, or name another one."
        )
    return stored, lacking


def _changed(store: Store, job: Job, words: bool) -> str | None:
    root = job.file.root
    why = store.stale(job.key, source=job.signal_sources, root=root, preparation={})
    if why or not words:
        return why
    return store.stale_words(job.key, source=job.word_sources, root=root, options=job.word_options)


def _refuse_other_settings(data: "RecordingsConfig | DataSection", recording: StoredRecording, job: Job | None) -> None:
    mend = "or name another data.cache_dir, into which recordings are prepared anew"
    known = {"sfreq_hz": recording.sfreq_hz, **recording.preparation}
    for name, key in _SETTINGS.items():
        was, wanted = known.get(name), getattr(data, key)
        if was is not None and not math.isclose(was, wanted, rel_tol=1e-6):
            raise InputError(
                f"{recording.key} was prepared with other settings: its {name} is {was:g}, data.{key} is {wanted:g}. "
                f"Set data.{key}={was:g}, {mend}."
            )
    options = None if job is None else json.loads(json.dumps(job.preparation["corpus_options"]))
    was = recording.preparation.get("corpus_options")
    if options is not None and was is not None and was != options:
        differ = next(name for name in sorted({*was, *options}) if was.get(name) != options.get(name))
        raise InputError(
            f"{recording.key} was prepared with other settings: its {differ} is {was.get(differ)!r}, the option of "
            f"its corpus is {options.get(differ)!r}. Give the same option, {mend}."
        )


def on_store(stored: Sequence[StoredRecording], lacking: Mapping[str, str]) -> list[str]:
    """Say what is to prepare, and what is not asked for but told: unknown settings, bad sensors treated otherwise."""
    reasons = sorted({why.partition(":")[0] for why in lacking.values()})
    notes = [
        f"{counted(count, 'recording')} to prepare ({reason})."
        for reason in reasons
        if (count := sum(why.startswith(reason) for why in lacking.values()))
    ]
    unknown = [recording.key for recording in stored if "low_hz" not in recording.preparation]
    kept = [recording.key for recording in stored if recording.preparation.get("bads", "mask") != "mask"]
    recorded = [recording.key for recording in stored if recording.reference == "recorded"]
    if unknown:
        notes.append(
            f"{counted(len(unknown), 'recording')} in the store do not say how they were filtered ({unknown[0]} ...)."
        )
    if kept:
        notes.append(
            f"{counted(len(kept), 'recording')} were prepared with bad sensors kept or interpolated, so that data.bads "
            f"does not mask those ({kept[0]} ...)."
        )
    if recorded:
        notes.append(
            f"{counted(len(recorded), 'recording')} of electrodes keep the reference of the recording ({recorded[0]} "
            "...); `megxl prepare` gives them the average, as recordings prepared now have it."
        )
    return notes


def writable(path: Path) -> bool:
    """Say whether files can be made in a folder, or the folder itself in one that is there."""
    there = next(folder for folder in (path.absolute(), *path.absolute().parents) if folder.exists())
    return os.access(there, os.W_OK | os.X_OK)


@contextmanager
def at(place: str) -> Iterator[None]:
    """Say in which part of the configuration an error lies."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{place}: {error}") from error
