"""Which recordings of its corpus a decoder is trained and tested on, and which of them the store lacks."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from megxl.corpora.corpus import Selection, corpus_named
from megxl.data.groups import Grouping, WordGroupSet, word_groups
from megxl.data.preparing import Request
from megxl.data.preparing.summary import counted
from megxl.data.sources import CorpusSource
from megxl.data.splits import select
from megxl.errors import InputError
from megxl.store.entry import StoredRecording
from megxl.training.lacking import at, compare, make_request, on_store, open_store, unread
from megxl.training.words.protocol import session_names

if TYPE_CHECKING:
    from megxl.training.words.config import WordsConfig
    from megxl.training.words.sections import DataSection


@dataclass(frozen=True, kw_only=True)
class ChosenWords:
    """Recordings of the corpus of a run."""

    corpus: str
    """Its name in the store."""
    keys: tuple[str, ...]
    """All that are asked for, in their natural order."""
    request: Request | None
    """How to prepare what is lacking; None: the store is used as it is."""
    lacking: Mapping[str, str]
    """Keys of those that have to be prepared: why."""
    stored: tuple[StoredRecording, ...]
    """Those that need not be prepared."""
    notes: tuple[str, ...]
    """What a person should know about them."""


def choose_recordings(config: "WordsConfig") -> ChosenWords:
    """Choose recordings by their names alone; nothing is read and nothing written.

    Raises
    ------
    InputError
        A corpus, root or store that is not there; names that no recording has; recordings that were prepared with
        other settings.
    """
    data = config.data
    corpus = corpus_named(data.dataset_type or "", data.options)
    wanted = Selection(subjects=data.subjects, sessions=session_names(data), tasks=data.tasks, runs=data.runs)
    request = None if data.root is None else make_request(data, corpus, wanted, data.root, "data.root")
    with at(f"data ({corpus.name})"):
        store = open_store(data, request, "data.root")
        jobs = {job.key: job for job in request.jobs()} if request is not None else {}
        found = CorpusSource(store=data.cache_dir, corpus=corpus.name).stored() if request is None else unread(jobs)
        keys = tuple(recording.key for recording in select(found, wanted))
        stored, lacking = compare(data, store, keys, jobs, words=True)
    notes = [*on_store(stored, lacking), *_on_sessions(data)]
    return ChosenWords(
        corpus=corpus.name,
        keys=keys,
        request=None if request is None else replace(request, keys=frozenset(lacking)),
        lacking=lacking,
        stored=tuple(stored),
        notes=tuple(f"{corpus.name}: {note}" for note in notes),
    )


def group_words(chosen: ChosenWords, config: "WordsConfig") -> tuple[WordGroupSet, list[str]]:
    """Make word groups of stored recordings, and say in sentences what is in none.

    Raises
    ------
    InputError
        Recordings that are not stored yet, or the same under two names; no words at all; too few for a group.
    """
    if chosen.lacking:
        key, why = next(iter(chosen.lacking.items()))
        raise InputError(f"{counted(len(chosen.lacking), 'recording')} must be prepared first ({key}: {why}).")
    _refuse_twins(chosen.stored)
    told = [recording for recording in chosen.stored if recording.words]
    if not told:
        first = chosen.stored[0]
        why = " ".join(first.word_notes) or "Their tables of events are missing or hold none."
        raise InputError(
            f"None of the {counted(len(chosen.stored), 'recording')} of {chosen.corpus} has words (first: {first.key})."
            f" {why} Mend that, and prepare the recordings again."
        )
    grouping = make_grouping(config.data)
    groups = word_groups(told, grouping)
    if not groups.groups:
        raise InputError(
            f"{groups.summary} Give smaller groups (data.words_per_segment = {config.data.words_per_segment}, or "
            f"data.segment_length = {config.data.segment_length:g} where the layout is contiguous)."
        )
    notes = [f"{chosen.corpus}: {groups.summary}"]
    if silent := [recording.key for recording in chosen.stored if not recording.words]:
        notes.append(f"{counted(len(silent), 'recording')} without words are not used (first: {silent[0]}).")
    count = Counter(group.recording for group in groups)
    if none := [recording.key for number, recording in enumerate(told) if not count[number]]:
        notes.append(f"{counted(len(none), 'recording')} with words give no group (first: {none[0]}).")
    return groups, notes


def make_grouping(data: "DataSection") -> Grouping:
    """Grouping of words as the configuration asks for it.

    Raises
    ------
    InputError
        A length of contiguous groups that is no multiple of a word's window.
    """
    words = data.words_per_segment
    if data.layout == "contiguous":
        words = round(data.segment_length / data.subsegment_duration)
        if words < 1 or abs(words * data.subsegment_duration - data.segment_length) > 1e-6:
            raise InputError(
                f"data.segment_length = {data.segment_length:g} is no multiple of data.subsegment_duration = "
                f"{data.subsegment_duration:g}; allowed: {max(1, words) * data.subsegment_duration:g}, for example."
            )
    return Grouping(
        words=words,
        window_s=data.subsegment_duration,
        offset_s=data.window_onset_offset,
        layout=data.layout,
        keep=data.keep,
    )


def _refuse_twins(recordings: Sequence[StoredRecording]) -> None:
    """Refuse recordings that are equal in every sample, whatever their names: they could be in two parts."""
    first: dict[str, str] = {}
    for recording in recordings:
        if (other := first.setdefault(recording.signal_sha256, recording.key)) != recording.key:
            raise InputError(
                f"{other} and {recording.key} hold the same signal under two names; leave one of them out, as by "
                "data.subjects or data.all_sessions."
            )


def _on_sessions(data: "DataSection") -> list[str]:
    """Say which keys of sessions play no part."""
    by_session = data.protocol_name == "published" and data.use_hashed_split is False
    by_session = by_session or (data.protocol_name == "strict" and data.strict_by == "session")
    unused = [] if by_session else ["train_sessions", "val_sessions", "test_sessions"]
    if data.protocol_name == "official" or (by_session and session_names(data) != data.all_sessions):
        unused.append("all_sessions")
    given = [f"data.{key}" for key in unused if getattr(data, key) is not None]
    if not given:
        return []
    return [
        f"{', '.join(given)} {'plays' if len(given) == 1 else 'play'} no part in the {data.protocol_name} protocol."
    ]
