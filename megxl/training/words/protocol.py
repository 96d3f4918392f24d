"""Which groups train, validate and test: by the corpus's own partitions, by the published rules, or by strict ones.

What leaks by a rule is told in plain sentences, each one looked for in the groups themselves (`leaks.py`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from megxl.corpora.corpus import Selection, Split, corpus_named
from megxl.corpora.names import natural
from megxl.data.group_splits import GroupSplit, hashed_split, kept_share, recordings_split
from megxl.data.groups import WordGroupSet
from megxl.data.recording_split import PARTS, RecordingSplit
from megxl.data.splits import apply_selections, published_split
from megxl.data.strict_checks import check_split
from megxl.data.strict_splits import Strict, strict_split
from megxl.errors import InputError
from megxl.store.entry import StoredRecording
from megxl.training.words.amounts import first_hours
from megxl.training.words.leaks import find_leaks, on_recordings

if TYPE_CHECKING:
    from megxl.training.words.config import WordsConfig
    from megxl.training.words.sections import DataSection

STRICT_SEED = 42
"""Of strict splits unless another is given, so that a test set outlives the seed of a training."""


@dataclass(frozen=True)
class Protocol:
    """How a decoder is trained and tested."""

    name: Literal["official", "published", "strict"]
    split: GroupSplit
    """The training groups that are used, and who validates and tests."""
    vocabulary_from: Literal["train", "all"]
    """Whose words are counted to choose the words to retrieve."""
    leaks: tuple[str, ...]
    """How test data reach training or selection, one sentence each."""
    notes: tuple[str, ...]
    """What else a person should know, one sentence each."""
    counted: tuple[int, ...]
    """The groups whose words are counted; those of training before any of them were left away, so that runs with less
    data are measured by the same words."""


def make_protocol(groups: WordGroupSet, stored: Sequence[StoredRecording], config: "WordsConfig") -> Protocol:
    """Split groups as a configuration says.

    Parameters
    ----------
    groups : WordGroupSet
        Of all recordings of the run.
    stored : sequence of StoredRecording
        These recordings.
    config : WordsConfig

    Raises
    ------
    InputError
        A corpus without partitions of its own; sessions that are not there or in two parts; parts that share what they
        may not, or are empty; more hours than there are.
    """
    name = config.data.protocol_name
    split = {"official": _official, "published": _published, "strict": _strict}[name](groups, stored, config)
    _refuse_empty(split)
    if name == "published":
        counted = range(len(groups)) if _hashed(config.data) else (*split.train, *split.validation, *split.test)
    else:
        counted = split.train
    used, notes = _amount(groups, split, config)
    return Protocol(
        name=name,
        split=used,
        vocabulary_from="all" if name == "published" else "train",
        leaks=tuple(find_leaks(groups, used, config)) if name != "strict" else (),
        notes=(used.summary, *notes, *on_recordings(groups, used)),
        counted=tuple(counted),
    )


def session_names(data: "DataSection") -> tuple[str, ...] | None:
    """Sessions that a run takes from its corpus; None: all."""
    named = [data.train_sessions, data.val_sessions, data.test_sessions]
    name = data.protocol_name
    if name == "official":
        return None
    if name == "published" and not _hashed(data):
        return tuple(dict.fromkeys(session for some in named for session in some or ()))
    if name == "strict" and data.strict_by == "session" and data.train_sessions is not None:
        return tuple(dict.fromkeys(session for some in named for session in some or ()))
    return data.all_sessions


def _hashed(data: "DataSection") -> bool:
    return data.use_hashed_split is not False


def _official(groups: WordGroupSet, stored: Sequence[StoredRecording], config: "WordsConfig") -> GroupSplit:
    corpus = corpus_named(config.data.dataset_type or "", config.data.options)
    if "official" not in corpus.splits:
        raise InputError(
            f"data.protocol = official, but {corpus.name} came without partitions of its own; use "
            "data.protocol=strict (no text and no signal shared), or published (as in the paper, with its leaks)."
        )
    split = recordings_split(groups, published_split(stored, corpus, "official"))
    check_split(groups, split, text=False)
    return split


def _published(groups: WordGroupSet, stored: Sequence[StoredRecording], config: "WordsConfig") -> GroupSplit:
    data = config.data
    if _hashed(data):
        seed = config.seed if data.split_seed is None else data.split_seed
        return hashed_split(groups, data.split_ratios, split_seed=seed, allow_leak=True)
    for part, named in zip(PARTS, (data.train_sessions, data.val_sessions, data.test_sessions), strict=True):
        if not named:
            key = {"train": "train", "validation": "val", "test": "test"}[part]
            raise InputError(
                f"data.use_hashed_split = false splits by sessions, but data.{key}_sessions names none; name the "
                f"sessions of each part, or set data.use_hashed_split=true."
            )
    split = _by_sessions(stored, data, leak="sessions as they were named, whatever they share.")
    return recordings_split(groups, split)


def _strict(groups: WordGroupSet, stored: Sequence[StoredRecording], config: "WordsConfig") -> GroupSplit:
    data = config.data
    if data.strict_by != "session":
        rule = Strict(
            by=data.strict_by,
            ratios=data.split_ratios,  # pyright: ignore[reportArgumentType] (three, as checked)
            split_seed=STRICT_SEED if data.split_seed is None else data.split_seed,
            gap_s=data.gap_s,
            block_s=data.block_s,
        )
        try:
            return strict_split(groups, rule)
        except InputError as error:
            raise InputError(
                f"data.protocol = strict: {error} The keys are data.strict_by, data.block_s and data.split_ratios; "
                f"groups are smaller with data.words_per_segment below {data.words_per_segment}."
            ) from error
    split = recordings_split(groups, _by_sessions(stored, _with_last_sessions(stored, data)))
    try:
        check_split(groups, split, gap_s=data.gap_s)
    except InputError as error:
        raise InputError(
            f"data.strict_by = session: {error} Choose other sessions, or data.strict_by=story or block, which keep "
            "equal texts together."
        ) from error
    return split


def _with_last_sessions(stored: Sequence[StoredRecording], data: "DataSection") -> "DataSection":
    """Name the last sessions for test and validation, and all others for training, where none are named."""
    lacking = [recording.key for recording in stored if recording.session is None]
    if lacking:
        raise InputError(
            f"data.strict_by = session, but {len(lacking)} of {len(stored)} recordings have no session (first: "
            f"{lacking[0]}); use data.strict_by=block, story or subject."
        )
    named = {*(data.train_sessions or ()), *(data.val_sessions or ()), *(data.test_sessions or ())}
    free = sorted({recording.session for recording in stored if recording.session is not None} - named, key=natural)
    lack = [part for part in ("test", "val", "train") if not getattr(data, f"{part}_sessions")]
    if len(free) < len(lack):
        raise InputError(
            f"data.strict_by = session: {len(free)} sessions are left for {', '.join(lack)}; each part needs at least "
            "one session of its own. Use data.strict_by=block, or more sessions."
        )
    chosen: dict[str, tuple[str, ...]] = {f"{part}_sessions": (free.pop(),) for part in lack if part != "train"}
    if "train" in lack:
        chosen["train_sessions"] = tuple(free)
    return replace(data, **chosen)


def _by_sessions(stored: Sequence[StoredRecording], data: "DataSection", leak: str | None = None) -> RecordingSplit:
    train, validation, test = (
        Selection(sessions=named) for named in (data.train_sessions, data.val_sessions, data.test_sessions)
    )
    told = "; ".join(
        f"{part} {', '.join(chosen.sessions or ())}"
        for part, chosen in zip(PARTS, (train, validation, test), strict=True)
    )
    rule = Split(train=train, validation=validation, test=test, source=f"Split by sessions ({told})", leak=leak)
    return apply_selections(stored, rule, allow_leak=leak is not None)


def _amount(groups: WordGroupSet, split: GroupSplit, config: "WordsConfig") -> tuple[GroupSplit, list[str]]:
    """Take as much of the training groups as the configuration asks for."""
    data = config.data
    if data.train_hours is not None:
        kept = first_hours(groups, split.train, data.train_hours, seed=config.seed)
        why = f"data.train_hours = {data.train_hours:g}"
    elif data.train_pct < 1:
        kept = kept_share(split.train, data.train_pct, seed=config.seed)
        why = f"data.train_pct = {data.train_pct:g}"
    else:
        return split, []
    note = f"{len(kept)} of {len(split.train)} training groups are used ({why}, chosen by seed {config.seed})."
    return replace(split, train=tuple(sorted(kept))), [note]


def _refuse_empty(split: GroupSplit) -> None:
    empty = [part for part, indices in split.parts.items() if not indices]
    if empty:
        raise InputError(
            f"No word group is left for {' and '.join(empty)} ({split.summary}) Use more recordings, smaller groups "
            "(data.words_per_segment), or other data.split_ratios."
        )
