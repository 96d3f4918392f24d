"""Rules of splits: by names (`apply_selections`, `published_split`, `named_split`) or drawn (`split_by_fraction`)."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from numbers import Real
from typing import Any

from megxl.corpora.corpus import Corpus, Selection, Split, natural
from megxl.data.recording_split import (
    PARTS,
    Disjoint,
    RecordingSplit,
    check_disjoint,
    check_manifest,
    refuse_leak,
    unit_of,
)
from megxl.data.seeds import seed_of
from megxl.errors import InputError
from megxl.store.entry import StoredRecording


def apply_selections(
    recordings: Sequence[StoredRecording],
    split: Split,
    *,
    disjoint: Disjoint = "recording",
    allow_leak: bool = False,
    partial: bool = False,
) -> RecordingSplit:
    """Split the recordings of one corpus by selections.

    Parameters
    ----------
    recordings : sequence of StoredRecording
    split : Split
        What is chosen for validation or test is taken out of the train selection, unless the split is known to leak
        and is allowed to: then it is what its author made.
    disjoint : "recording" or "subject"
        What two parts must not share.
    allow_leak : bool
        Use a split in spite of its known leak.
    partial : bool
        Let selections name recordings that are not there; counted in the notes.

    Raises
    ------
    InputError
        A known leak that is not allowed, a name that no recording has, an empty part, an overlap.
    """
    refuse_leak(split.leak, split.source or "The split", allow_leak)
    chosen: dict[str, list[StoredRecording]] = {}
    notes = []
    for name in PARTS:
        selection: Selection | None = getattr(split, name)
        if selection is None:
            continue
        absent = [f"{name}: the split names {what}" for what in _absent(selection, recordings)]
        if absent and not partial:
            raise InputError(f"{absent[0]} Prepare them, or name only what is there (in Python: partial=True).")
        notes += absent
        chosen[name] = [recording for recording in recordings if selection.matches(recording)]
    if split.leak is None:
        held_out = {recording.key for name in PARTS[1:] for recording in chosen.get(name, ())}
        chosen["train"] = [recording for recording in chosen.get("train", ()) if recording.key not in held_out]
    _refuse_empty({name: part for name, part in chosen.items() if getattr(split, name) is not None})
    if split.leak is None:
        check_disjoint(chosen, disjoint)
    return replace(_of_keys(chosen, split.source), leak=split.leak, notes=tuple(notes))


def published_split(
    recordings: Sequence[StoredRecording], corpus: Corpus | type[Corpus], name: str, **options: Any
) -> RecordingSplit:
    """Split a corpus as it was published; `options` are those of `apply_selections`.

    Raises
    ------
    InputError
        A split that the corpus does not have; what `apply_selections` refuses.
    """
    if name not in corpus.splits:
        known = ", ".join(map(repr, corpus.splits)) or "none"
        raise InputError(f"The corpus {corpus.name} has no split {name!r}; there are: {known}.")
    split = corpus.splits[name]
    return apply_selections(recordings, replace(split, source=split.source or f"{corpus.name}: {name}"), **options)


def named_split(parts: Mapping[str, Sequence[str]]) -> RecordingSplit:
    """Take lists of recordings' keys, one a part.

    Raises
    ------
    InputError
        A part of another name, something else than a list of different keys.
    """
    keys = {name: list(part) if isinstance(part, tuple) else part for name, part in parts.items()}
    check_manifest(keys, "The split")
    train, validation, test = (tuple(keys.get(name, ())) for name in PARTS)
    return RecordingSplit(train=train, validation=validation, test=test, source="lists of keys")


def select(recordings: Sequence[StoredRecording], selection: Selection) -> list[StoredRecording]:
    """Keep the recordings that match.

    Raises
    ------
    InputError
        A name that no recording has, or no recording with all of the names.
    """
    for absent in _absent(selection, recordings):
        raise InputError(f"The selection names {absent}")
    chosen = [recording for recording in recordings if selection.matches(recording)]
    if not chosen:
        raise InputError(f"None of {len(recordings)} recordings has all that the selection names: {selection}.")
    return chosen


def split_by_fraction(
    recordings: Sequence[StoredRecording],
    *,
    validation: float = 0.1,
    test: float = 0.0,
    by: Disjoint = "subject",
    seed: int = 0,
) -> RecordingSplit:
    """Draw validation and test from the recordings or persons, the rest is train.

    Who is drawn depends on the seed and the names alone, not on the order of the recordings.

    Parameters
    ----------
    recordings : sequence of StoredRecording
    validation, test : float
        Fraction of the units, rounded, at least one of each that is asked for.
    by : "recording" or "subject"
        What is drawn as a whole.
    seed : int
        Of the split, apart from that of the training.

    Raises
    ------
    InputError
        Fractions below 0 or together 1 and more, or too few units for the parts.
    """
    numbers = [isinstance(fraction, Real) and math.isfinite(fraction) for fraction in (validation, test)]
    if not all(numbers) or min(validation, test) < 0 or validation + test >= 1:
        raise InputError(f"validation = {validation!r} and test = {test!r}; allowed: 0 and more, together below 1.")
    if by not in ("recording", "subject"):
        raise InputError(f"by = {by!r}; allowed: 'recording', 'subject'.")
    units = sorted({unit_of(r, by) for r in recordings}, key=lambda unit: seed_of("split", seed, unit))
    sizes = [max(1, round(fraction * len(units))) if fraction else 0 for fraction in (validation, test)]
    ends = (sizes[0], sum(sizes), len(units))
    drawn = {"validation": units[: ends[0]], "test": units[ends[0] : ends[1]], "train": units[ends[1] :]}
    asked = {name for name, fraction in (("validation", validation), ("test", test)) if fraction} | {"train"}
    of = {unit: name for name, some in drawn.items() for unit in some}
    parts = {name: [r for r in recordings if of[unit_of(r, by)] == name] for name in PARTS}
    if len(units) < len(asked):
        hint = "; use by='recording', or prepare more" if by == "subject" and len(recordings) >= len(asked) else ""
        raise InputError(
            f"{len(recordings)} recordings of {len(units)} {by}(s) make no {' and '.join(sorted(asked))} by {by}{hint}."
        )
    _refuse_empty({name: part for name, part in parts.items() if name in asked})
    return _of_keys(parts, f"drawn by {by}, seed {seed}: validation {validation}, test {test}")


def _of_keys(parts: Mapping[str, Sequence[StoredRecording]], source: str) -> RecordingSplit:
    train, validation, test = (tuple(recording.key for recording in parts.get(name, ())) for name in PARTS)
    return RecordingSplit(train=train, validation=validation, test=test, source=source)


def _refuse_empty(parts: Mapping[str, Sequence[StoredRecording]]) -> None:
    empty = [name for name, part in parts.items() if not part]
    if empty:
        raise InputError(f"The split leaves no recording for {' and '.join(empty)}; choose other names or fractions.")


def _absent(selection: Selection, recordings: Sequence[StoredRecording]) -> Iterator[str]:
    """Say which names of a selection no recording has, level by level."""
    for level in ("subject", "session", "task", "run"):
        there = {name for recording in recordings if (name := getattr(recording, level)) is not None}
        absent = [name for name in getattr(selection, f"{level}s") or () if name not in there]
        if absent:
            known = sorted(there, key=natural)
            listed = ", ".join(known[:12]) + (f" and {len(known) - 12} more" if len(known) > 12 else "")
            yield f"{len(absent)} {level}(s) that are not there (first: {absent[0]}; there are: {listed or 'none'})."
