"""Which recordings a run takes from a corpus, by their names alone, and which of them its store lacks.

Nothing is read of a recording and nothing is written: what cannot become a training is refused here, by its key.
"""

import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

from megxl.corpora.corpus import RecordingFile
from megxl.data.preparing import Request
from megxl.data.preparing.summary import counted
from megxl.data.preparing.task import Job
from megxl.data.recording_split import RecordingSplit
from megxl.data.sources import CorpusSource
from megxl.errors import InputError
from megxl.signals.preparation import Preparation
from megxl.store.entry import StoredRecording
from megxl.store.store import MARK, Store
from megxl.training.blocks import CorpusBlock
from megxl.training.config import PretrainConfig

_SETTINGS = {"low_hz": "l_freq", "high_hz": "h_freq", "sfreq_hz": "target_sfreq"}


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """Recordings of one corpus that train or validate."""

    place: str
    """Key of the corpus in the configuration."""
    source: CorpusSource
    """Where they are stored; its split names each by its key."""
    request: Request | None
    """How to prepare what is lacking; None: the store is used as it is."""
    lacking: Mapping[str, str]
    """Keys of those that have to be prepared: why."""
    stored: tuple[StoredRecording, ...]
    """Those that need not be prepared."""
    notes: tuple[str, ...]
    """What a person should know about them."""

    @property
    def split(self) -> RecordingSplit:
        """Keys of each part, before a subsample."""
        assert isinstance(self.source.split, RecordingSplit)
        return self.source.split

    @property
    def keys(self) -> tuple[str, ...]:
        """Keys of all that train or validate."""
        return (*self.split.train, *self.split.validation)


@dataclass(frozen=True, kw_only=True)
class _Unread(RecordingFile):
    """A recording as a split sees it: by its names, which are those of the stored one; how long it is, nobody knows."""

    duration_s: float = math.inf

    @classmethod
    def of(cls, job: Job) -> "_Unread":
        return cls(**vars(job.file))


def choose_all(config: PretrainConfig) -> list[Chosen]:
    """Choose the recordings of every corpus of a run.

    Raises
    ------
    InputError
        A root or store that is not there or is something else; a split that is empty, overlaps or names what is not
        there; recordings that were prepared with other settings; nobody who trains or validates.
    """
    chosen: dict[str, Chosen] = {}
    for number, block in enumerate(config.datasets_config):
        one = _choose(config, block, f"datasets_config.{number}")
        if (other := chosen.setdefault(one.source.name, one)) is not one:
            raise InputError(
                f"{other.place} and {one.place} are both {one.source.name}: give each corpus once, with all that is "
                "taken from it."
            )
    if not any(one.split.train for one in chosen.values()):
        raise InputError("datasets_config leaves nobody to train on: give at least one corpus without validation_only.")
    if not any(one.split.validation for one in chosen.values()):
        raise InputError("datasets_config leaves nobody to validate on: give at least one corpus a validation part.")
    return list(chosen.values())


def _choose(config: PretrainConfig, block: CorpusBlock, place: str) -> Chosen:
    source = block.source(config)
    request = None if block.data_root is None else _request(config, block, place)
    with _at(f"{place} ({source.name})"):
        store = _store(config.data.cache_dir)
        if request is None and store is None:
            raise InputError(
                f"it has no data_root, and data.cache_dir = {config.data.cache_dir} holds no prepared recordings. Give "
                f"{place}.data_root, or the store that `megxl prepare` made as data.cache_dir."
            )
        jobs = {job.key: job for job in request.jobs()} if request is not None else {}
        found = (
            source.stored()
            if request is None
            else cast(Sequence[StoredRecording], list(map(_Unread.of, jobs.values())))
        )
        split = _resolved(source, found, place)
        if not (split.train or source.validation_only):
            raise InputError(f"its split leaves nobody to train on ({split.source or 'its own'}); choose other names.")
        notes = [*split.notes, *_on_parts(split), *_on_subjects(split, found)]
        stored, lacking = _compared(config, store, [*split.train, *split.validation], jobs)
        notes += _on_lacking(lacking) + _on_other_ways(stored)
    by_key = replace(split, test=(), notes=())
    return Chosen(
        place=place,
        source=replace(source, split=by_key, selection=None, validation_only=False, allow_leak=True),
        request=None if request is None else replace(request, keys=frozenset(lacking)),
        lacking=lacking,
        stored=tuple(stored),
        notes=tuple(f"{source.name}: {note}" for note in notes),
    )


def _resolved(source: CorpusSource, found: Sequence[StoredRecording], place: str) -> RecordingSplit:
    """Split recordings; where only listeners stand in the way, say how recordings of one listener can do both."""
    rule = source.split
    listed = isinstance(rule, Mapping) and any(isinstance(keys, list | tuple) for keys in rule.values())
    if listed:
        # lists of keys have no place for it; it has become `source.disjoint`
        rule = {part: keys for part, keys in cast(Mapping, rule).items() if part != "by"}
    whole = replace(source, subsample=None, split=rule)
    try:
        return whole.resolve(found)
    except InputError as error:
        if source.disjoint == "recording" or not isinstance(rule, Mapping):
            raise
        by_recording = replace(whole, split=rule if listed else {**rule, "by": "recording"}, disjoint="recording")
        try:
            by_recording.resolve(found)
        except InputError:
            raise error from None
        raise InputError(
            f"{error} Or give {place}.split.by=recording: who trains then validates too, in other recordings."
        ) from None


def _request(config: PretrainConfig, block: CorpusBlock, place: str) -> Request:
    root, data = str(block.data_root), config.data
    if not Path(root).is_dir():
        raise InputError(
            f"{place}.data_root = {root}: there is no such folder; give the root of {block.type}, or null if all of "
            f"its recordings are in data.cache_dir = {data.cache_dir} already."
        )
    return Request(
        corpus=block.corpus(),
        root=root,
        store=data.cache_dir,
        selection=block.selection(),
        settings=Preparation(low_hz=data.l_freq, high_hz=data.h_freq, sfreq_hz=data.target_sfreq),
        workers=data.prepare_workers,
    )


def _store(cache_dir: str) -> Store | None:
    """Open the store; None where a new one can be made."""
    path = Path(cache_dir)
    if path.is_dir() and not (path / MARK).exists():
        others = sorted(entry.name for entry in path.iterdir() if not entry.name.startswith("."))
        if others:
            raise InputError(
                f"data.cache_dir = {cache_dir} is no store of prepared recordings, it holds something else "
                f"({others[0]}); name a store, or a new folder."
            )
    return Store(path) if (path / MARK).exists() else None


def _compared(
    config: PretrainConfig, store: Store | None, keys: Sequence[str], jobs: Mapping[str, Job]
) -> tuple[list[StoredRecording], dict[str, str]]:
    """Tell recordings that are stored as they should be from those that have to be made, with the reason."""
    stored, lacking = [], {}
    for key in keys:
        if store is None or key not in store:
            lacking[key] = "not in the store"
            continue
        recording = store.recording(key)
        recording.check()
        _refuse_other_settings(config, recording, jobs.get(key))
        if (job := jobs.get(key)) and (why := _changed(store, job)):
            lacking[key] = why
        else:
            stored.append(recording)
    if lacking and not writable(Path(config.data.cache_dir)):
        raise InputError(
            f"{counted(len(lacking), 'recording')} must be prepared (first: {next(iter(lacking))}), but data.cache_dir "
            f"= {config.data.cache_dir} cannot be written to; change its permissions, or name another one."
        )
    return stored, lacking


def _changed(store: Store, job: Job) -> str | None:
    return store.stale(job.key, source=job.signal_sources, root=job.file.root, preparation={})


def _refuse_other_settings(config: PretrainConfig, recording: StoredRecording, job: Job | None) -> None:
    mend = "or name another data.cache_dir, into which recordings are prepared anew"
    known = {"sfreq_hz": recording.sfreq_hz, **recording.preparation}
    for name, key in _SETTINGS.items():
        was, wanted = known.get(name), getattr(config.data, key)
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


def _on_subjects(split: RecordingSplit, found: Sequence[StoredRecording]) -> list[str]:
    """Say how many persons are in both parts; splits that are about persons have refused that already."""
    train, validation = ({r.subject for r in split.part(part, found)} for part in ("train", "validation"))
    if not (shared := train & validation):
        return []
    return [
        f"{len(shared)} of {counted(len(validation), 'subject')} in validation "
        f"{'are' if len(shared) > 1 else 'is'} trained on too, in other recordings: the split is one of recordings."
    ]


def _on_parts(split: RecordingSplit) -> list[str]:
    kept = [f"{counted(len(split.test), 'recording')} for test: not used in training."] if split.test else []
    return kept + ([] if split.validation else ["no recording validates."])


def _on_lacking(lacking: Mapping[str, str]) -> list[str]:
    reasons = sorted({why.partition(":")[0] for why in lacking.values()})
    return [
        f"{counted(count, 'recording')} to prepare ({reason})."
        for reason in reasons
        if (count := sum(why.startswith(reason) for why in lacking.values()))
    ]


def _on_other_ways(stored: Sequence[StoredRecording]) -> list[str]:
    """Say of stored recordings what is not asked for but told: unknown settings, bad sensors treated otherwise."""
    unknown = [recording.key for recording in stored if "low_hz" not in recording.preparation]
    kept = [recording.key for recording in stored if recording.preparation.get("bads", "mask") != "mask"]
    notes = []
    if unknown:
        notes.append(
            f"{counted(len(unknown), 'recording')} in the store do not say how they were filtered ({unknown[0]} ...)."
        )
    if kept:
        notes.append(
            f"{counted(len(kept), 'recording')} were prepared with bad sensors kept or interpolated, so that data.bads "
            f"does not mask those ({kept[0]} ...)."
        )
    return notes


def writable(path: Path) -> bool:
    """Say whether files can be made in a folder, or the folder itself in one that is there."""
    there = next(folder for folder in (path.absolute(), *path.absolute().parents) if folder.exists())
    return os.access(there, os.W_OK | os.X_OK)


@contextmanager
def _at(place: str) -> Iterator[None]:
    """Say in which corpus of the configuration an error lies."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{place}: {error}") from error
