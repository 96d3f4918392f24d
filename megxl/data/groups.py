"""Word groups: so many words in the order of time, each with its window of signal, as a decoder takes them.

Letters: W words.
"""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

import numpy as np

from megxl.corpora.corpus import Word
from megxl.errors import InputError
from megxl.store.entry import StoredRecording

READ_AS_MISSING = frozenset(
    (
        *("", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A"),
        *("NA", "NULL", "NaN", "None", "n/a", "nan", "null"),
    )
)
"""Words that pandas takes for missing unless told otherwise."""
READ_BY_PANDAS = ("armeni", "libribrain")
"""Corpora whose published numbers come from such tables."""


@dataclass(frozen=True, kw_only=True)
class Grouping:
    """How words are grouped; the defaults are the published 50 words of 3 s, with windows of exactly equal length."""

    words: int = 50
    """Words in a group."""
    window_s: float = 3.0
    """Seconds of signal that belong to a word."""
    offset_s: float = -0.5
    """Where a word's window begins, seconds after its onset."""
    layout: Literal["tape", "contiguous"] = "tape"
    """The windows one after the other (neighbours repeat most of each other's signal), or the true `words * window_s`
    seconds of the recording with all words whose windows lie in them. The next one begins with the window of the first
    word that did not fit: neighbours share the signal from there to the end of the former (some seconds), and the last
    group of a recording, which ends with it, may share most of its own."""
    keep: Mapping[str, Any] = field(default_factory=dict)
    """Labels that a word must have: ``{"condition": "sentence", "pronounced": True}``."""
    compat: Literal["reference"] | None = None
    """``"reference"``: windows of 149 to 151 samples and words such as "None" left out, as published."""

    def __post_init__(self) -> None:
        if isinstance(self.words, bool) or not isinstance(self.words, int) or self.words < 1:
            raise InputError(
                f"words = {self.words!r}; allowed: a whole number, at least one word in a group (published: 50)."
            )
        if not 0 < self.window_s < math.inf:
            raise InputError(f"window_s = {self.window_s}; allowed: above 0 s (published: 3).")
        if not -self.window_s < self.offset_s <= self.window_s:
            raise InputError(
                f"offset_s = {self.offset_s}; allowed: above -{self.window_s:g}, so that the window of a word reaches "
                f"its onset, up to {self.window_s:g} s (published: -0.5)."
            )
        if self.layout not in ("tape", "contiguous"):
            raise InputError(f"layout = {self.layout!r}; allowed: tape, contiguous.")
        if self.compat not in (None, "reference"):
            raise InputError(f"compat = {self.compat!r}; allowed: None, 'reference'.")
        if self.compat and self.layout == "contiguous":
            raise InputError("compat='reference' knows the layout 'tape' alone; leave one of the two away.")
        if not isinstance(self.keep, Mapping):
            raise InputError(
                f'keep = {self.keep!r}; allowed: labels with their values, as {{"condition": "sentence"}}.'
            )
        object.__setattr__(self, "keep", dict(self.keep))

    def window(self, sfreq_hz: float) -> int:
        """Samples of a word's window."""
        return round(self.window_s * sfreq_hz)

    def to_json(self) -> dict[str, Any]:
        """Return plain fields."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class WordGroup:
    """Words of one recording and where their windows lie in it."""

    recording: int
    """Index into the set's recordings."""
    number: int
    """Place among the groups of its recording."""
    words: tuple[Word, ...]
    starts: tuple[int, ...]
    """First sample of each word's window in the recording."""
    stops: tuple[int, ...]
    """Sample after its last."""
    start: int
    """First sample of the recording that the group takes."""
    stop: int
    """Sample after the last."""

    @property
    def texts(self) -> tuple[str, ...]:
        """The words in lower case, by which words are the same."""
        return tuple(word.text.lower() for word in self.words)


@dataclass(frozen=True, kw_only=True)
class WordGroupSet:
    """Groups of words over many recordings, in the order of the recordings and of time."""

    recordings: tuple[StoredRecording, ...]
    groups: tuple[WordGroup, ...]
    grouping: Grouping
    left_out: Mapping[str, Mapping[str, int]]
    """For every recording key, how many words are in no group, by the reason."""

    def __len__(self) -> int:
        return len(self.groups)

    def __iter__(self) -> Iterator[WordGroup]:
        return iter(self.groups)

    def part(self, indices: Iterable[int]) -> "WordGroupSet":
        """Keep some groups (a part of a `GroupSplit`), in the order of this set; the recordings stay all the same.

        Raises
        ------
        InputError
            A group that is not there.
        """
        kept = sorted(set(indices))
        if kept and not 0 <= kept[0] <= kept[-1] < len(self):
            raise InputError(f"Groups {kept[0]} to {kept[-1]} are asked for; there are {len(self)}, from 0 on.")
        groups = tuple(self.groups[index] for index in kept)
        counts = Counter({n: self.left_out[r.key].get(OTHER_PART, 0) for n, r in enumerate(self.recordings)})
        for group in self.groups:
            counts[group.recording] += len(group.words)
        for group in groups:
            counts[group.recording] -= len(group.words)
        left_out = {
            recording.key: {**self.left_out[recording.key], OTHER_PART: counts[number]}
            for number, recording in enumerate(self.recordings)
        }
        return replace(self, groups=groups, left_out=left_out)

    @property
    def summary(self) -> str:
        """One sentence: what there is and what was left out."""
        words = sum(len(group.words) for group in self.groups)
        reasons = Counter[str]()
        for counts in self.left_out.values():
            reasons.update(counts)
        without = sum(not recording.words for recording in self.recordings)
        told = [f"{count} words {reason}" for reason, count in sorted(reasons.items()) if count]
        if without:
            told.append(f"{without} recordings without a word")
        left = f" Left out: {'; '.join(told)}." if told else ""
        return f"{len(self)} groups with {words} words from {len(self.recordings)} recordings.{left}"


UNWANTED = "without the wanted labels"
MISSING = "that pandas reads as missing"
OUTSIDE = "whose window leaves the recording"
INTERRUPTED = "of a group that such a word interrupted"
INCOMPLETE = "of a last, incomplete group"
TOO_SHORT = "in a recording shorter than a group"
OTHER_PART = "of groups in no or another part"


def word_groups(recordings: Sequence[StoredRecording], grouping: Grouping | None = None) -> WordGroupSet:
    """Group the words of recordings.

    Words come in the order of time. In the layout ``tape`` a word whose window leaves the recording is left out
    together with the incomplete group before it; every `words` accepted words are a group; a last incomplete group is
    left out. In the layout ``contiguous`` a group begins with the window of its first word and has all words whose
    windows end within `words * window_s` seconds; the last one of a recording ends with the recording.

    Parameters
    ----------
    recordings : sequence of StoredRecording
    grouping : Grouping, optional

    Returns
    -------
    WordGroupSet
        Every word is in one group or counted in `left_out`.

    Raises
    ------
    InputError
        A wanted label that no word of a recording with words has; a window of less than one sample.
    """
    grouping = grouping or Grouping()
    groups: list[WordGroup] = []
    left_out: dict[str, dict[str, int]] = {}
    for index, recording in enumerate(recordings):
        if grouping.window(recording.sfreq_hz) < 1:
            raise InputError(f"{recording.key}: {grouping.window_s} s are no sample at {recording.sfreq_hz:g} Hz.")
        counts = Counter[str]()
        words = _wanted(recording, grouping, counts)
        found = _contiguous if grouping.layout == "contiguous" else _tape
        groups += found(index, recording, words, grouping, counts)
        left_out[recording.key] = dict(counts)
    return WordGroupSet(recordings=tuple(recordings), groups=tuple(groups), grouping=grouping, left_out=left_out)


def word_tokens(starts_W: np.ndarray, stops_W: np.ndarray, samples_per_token: int = 12) -> np.ndarray:
    """Tokens that windows touch: first and one after the last, shape (W, 2); neighbours may share one."""
    return np.stack([starts_W // samples_per_token, -(-stops_W // samples_per_token)], axis=-1)


def tape(group: WordGroup) -> np.ndarray:
    """Samples, counted from the first that the group takes, that its windows hold one after the other (int64)."""
    return places_on_tape(group.start, group.starts, group.stops)


def places_on_tape(first: int, starts: Iterable[int], stops: Iterable[int]) -> np.ndarray:
    """Samples of windows one after the other, counted from a first one (int64)."""
    return np.concatenate([np.arange(start - first, stop - first) for start, stop in zip(starts, stops, strict=True)])


def _wanted(recording: StoredRecording, grouping: Grouping, counts: Counter[str]) -> list[Word]:
    words = sorted((Word.from_row(row) for row in recording.words), key=lambda word: word.onset_s)
    unplaced = [word.text for word in words if not math.isfinite(word.onset_s)]
    if unplaced:
        raise InputError(f"{recording.key}: {len(unplaced)} words have no finite onset (first: {unplaced[0]!r}).")
    for label, value in grouping.keep.items():
        if words and not any(label in word.labels for word in words):
            known = sorted({name for word in words for name in word.labels})
            raise InputError(
                f"{recording.key}: no word has the label {label!r} (wanted: {label} = {value!r}); "
                f"allowed here: {', '.join(known) or 'none'}."
            )
    kept = [word for word in words if all(word.labels.get(label) == value for label, value in grouping.keep.items())]
    counts[UNWANTED] += len(words) - len(kept)
    if grouping.compat == "reference" and recording.corpus in READ_BY_PANDAS:
        read = [word for word in kept if word.text not in READ_AS_MISSING]
        counts[MISSING] += len(kept) - len(read)
        kept = read
    return kept


def _tape(
    index: int, recording: StoredRecording, words: Sequence[Word], grouping: Grouping, counts: Counter[str]
) -> list[WordGroup]:
    groups: list[WordGroup] = []
    current: list[tuple[Word, int, int]] = []
    for word in words:
        bounds = _window(word, recording, grouping)
        if bounds is None:
            counts[OUTSIDE] += 1
            counts[INTERRUPTED] += len(current)
            current = []
            continue
        current.append((word, *bounds))
        if len(current) == grouping.words:
            starts, stops = [start for _, start, _ in current], [stop for _, _, stop in current]
            groups.append(_group(index, len(groups), current, min(starts), max(stops)))
            current = []
    counts[INCOMPLETE] += len(current)
    return groups


def _contiguous(
    index: int, recording: StoredRecording, words: Sequence[Word], grouping: Grouping, counts: Counter[str]
) -> list[WordGroup]:
    length = grouping.words * grouping.window(recording.sfreq_hz)
    inside = [(word, *bounds) for word in words if (bounds := _window(word, recording, grouping))]
    counts[OUTSIDE] += len(words) - len(inside)
    if recording.n_samples < length:
        counts[TOO_SHORT] += len(inside)
        return []
    groups: list[WordGroup] = []
    while inside:
        start = min(inside[0][1], recording.n_samples - length)
        fitting = sum(stop <= start + length for _, _, stop in inside)  # windows are in order, so these come first
        groups.append(_group(index, len(groups), inside[:fitting], start, start + length))
        inside = inside[fitting:]
    return groups


def _group(index: int, number: int, placed: Sequence[tuple[Word, int, int]], start: int, stop: int) -> WordGroup:
    words, starts, stops = zip(*placed, strict=True)
    return WordGroup(recording=index, number=number, words=words, starts=starts, stops=stops, start=start, stop=stop)


def _window(word: Word, recording: StoredRecording, grouping: Grouping) -> tuple[int, int] | None:
    """Samples of a word's window, or None where it leaves the recording."""
    sfreq_hz = recording.sfreq_hz
    start_s = word.onset_s + grouping.offset_s
    if grouping.compat == "reference":
        stop_s = start_s + grouping.window_s
        if start_s < 0 or stop_s > recording.n_samples / sfreq_hz:
            return None
        return int(start_s * sfreq_hz), int(stop_s * sfreq_hz)
    start = round(start_s * sfreq_hz)
    stop = start + grouping.window(sfreq_hz)
    return (start, stop) if start >= 0 and stop <= recording.n_samples else None
