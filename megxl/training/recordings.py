"""Which recordings a run takes from a corpus, by their names alone, and which of them its store lacks.

Nothing is read of a recording and nothing is written: what cannot become a training is refused here, by its key.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

from megxl.data.preparing import Request
from megxl.data.preparing.summary import counted
from megxl.data.recording_split import RecordingSplit
from megxl.data.sources import CorpusSource
from megxl.errors import InputError
from megxl.store.entry import StoredRecording
from megxl.training.blocks import CorpusBlock
from megxl.training.corpora_config import CorporaConfig
from megxl.training.lacking import at, compare, make_request, on_store, open_store, unread


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


def choose_all(config: CorporaConfig) -> list[Chosen]:
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


def _choose(config: CorporaConfig, block: CorpusBlock, place: str) -> Chosen:
    source = block.source(config)
    request = None if block.data_root is None else _request(config, block, place)
    with at(f"{place} ({source.name})"):
        store = open_store(config.data, request, f"{place}.data_root")
        jobs = {job.key: job for job in request.jobs()} if request is not None else {}
        found = source.stored() if request is None else unread(jobs)
        split = _resolved(source, found, place)
        if not (split.train or source.validation_only):
            raise InputError(f"its split leaves nobody to train on ({split.source or 'its own'}); choose other names.")
        notes = [*split.notes, *_on_parts(split), *_on_subjects(split, found)]
        stored, lacking = compare(config.data, store, [*split.train, *split.validation], jobs)
        notes += on_store(stored, lacking)
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


def _request(config: CorporaConfig, block: CorpusBlock, place: str) -> Request:
    return make_request(config.data, block.corpus(), block.selection(), str(block.data_root), f"{place}.data_root")


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
