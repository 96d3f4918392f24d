"""Words by the marks in a recording itself: annotations, and triggers together with a transcript.

Times are seconds after the first sample of the recording, unless a function says "after the start of its audio".
"""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

from megxl.corpora.collector import Collector
from megxl.corpora.corpus import Word, WordTable
from megxl.errors import InputError

if TYPE_CHECKING:
    import mne

ANNOTATIONS = "annotations"
"""Chosen as the trigger channel: the annotations of the recording are its triggers."""
# what amplifiers and MNE write of the recording, not of the experiment
_NO_TRIGGER = re.compile(r"bad|edge|boundary|new segment|comment/|impedance|dc correction", re.IGNORECASE)


def words_of_annotations(raw: "mne.io.BaseRaw", pattern: str, silences: Collection[str] = ()) -> WordTable:
    """Take the annotations of a recording whose description fits a pattern with one ``*``, which stands for the word.

    Raises
    ------
    InputError
        A pattern without exactly one ``*``; no annotation that fits.
    """
    if pattern.count("*") != 1:
        raise InputError(f"annotation_pattern = {pattern!r}: one * must stand for the word, as in 'word/*'.")
    before, after = map(re.escape, pattern.split("*"))
    collector = Collector("annotations", silences)
    for onset_s, duration_s, text in _annotations(raw):
        if match := re.fullmatch(f"{before}(.+){after}", text):
            collector.add(Word(text=match[1], onset_s=onset_s, duration_s=duration_s or None))
    if not collector.found:
        there = _counted(text for _, _, text in _annotations(raw))
        raise InputError(f"No annotation fits {pattern!r}; the recording has: {there}.")
    return collector.table()


def trigger_onsets(raw: "mne.io.BaseRaw", channel: str | None, codes: Sequence[int | str] = ()) -> list[float]:
    """Find when a trigger channel rises, or where the annotations are that stand for triggers.

    Parameters
    ----------
    raw : mne.io.BaseRaw
    channel : str, optional
        None: the only stimulus channel of the recording, or its annotations if it has none (as BrainVision, EDF+ and
        EEGLAB keep triggers); "annotations": these in any case.
    codes : sequence of int or str
        Values that count; empty: all. Of an annotation, its description or the number that this ends in
        (``Stimulus/S  1`` is 1).

    Returns
    -------
    list of float
        Seconds after the first sample.

    Raises
    ------
    InputError
        No such channel, several to choose from, no trigger of these codes (the codes that there are, are named), a
        number that two descriptions end in.
    """
    import mne

    there = [raw.ch_names[index] for index in mne.pick_types(raw.info, meg=False, stim=True)]
    if channel == ANNOTATIONS or (channel is None and not there):
        return _annotated_triggers(raw, codes)
    if channel is None and len(there) > 1:
        raise InputError(
            f"The recording has {len(there)} trigger channels ({', '.join(there)}): choose one with trigger_channel."
        )
    channel = channel or there[0]
    if channel not in raw.ch_names:
        raise InputError(
            f"There is no channel {channel!r}; the trigger channels are: {', '.join(there) or 'none'}. "
            f"trigger_channel={ANNOTATIONS} takes the annotations of the recording."
        )
    events = mne.find_events(raw, stim_channel=channel, shortest_event=1, verbose="ERROR")
    wanted = set(map(str, codes))
    chosen = [row for row in events if not codes or str(row[2]) in wanted]
    if not chosen:
        seen = ", ".join(f"{code} ({count})" for code, count in sorted(Counter(map(int, events[:, 2])).items()))
        raise InputError(f"{channel} has no trigger{_with(codes)}; it has the codes: {seen or 'none'}.")
    return [(int(row[0]) - raw.first_samp) / raw.info["sfreq"] for row in chosen]


def words_at_triggers(
    texts: Sequence[str], onsets_s: Sequence[float], name: str, silences: Collection[str] = ()
) -> WordTable:
    """Give the words of a transcript, in their order, the onsets of triggers.

    Raises
    ------
    InputError
        Not as many words as triggers: one too many anywhere would shift all that follow.
    """
    if len(texts) != len(onsets_s):
        gap = max(pairwise(onsets_s), key=lambda pair: pair[1] - pair[0], default=(onsets_s[0], onsets_s[0]))
        raise InputError(
            f"{name} has {len(texts)} words, but there are {len(onsets_s)} triggers (from {onsets_s[0]:.3f} s to "
            f"{onsets_s[-1]:.3f} s, the longest gap after {gap[0]:.3f} s). They must pair up: choose the codes of "
            "words with trigger_codes, or mend the transcript."
        )
    collector = Collector(name, silences)
    for text, onset_s in zip(texts, onsets_s, strict=True):
        collector.add(Word(text=text, onset_s=onset_s))
    return collector.table()


def words_after_triggers(words: WordTable, onsets_s: Sequence[float], name: str) -> WordTable:
    """Move words, timed after the start of their audio (`Word.story` says which), to the triggers of those starts.

    Audio files are taken in the order in which they first appear in the table.

    Raises
    ------
    InputError
        Not as many audio files as triggers.
    """
    segments = list(dict.fromkeys(word.story for word in words))
    if len(segments) != len(onsets_s):
        starts = ", ".join(f"{onset_s:.3f}" for onset_s in onsets_s[:6]) + (", ..." if len(onsets_s) > 6 else "")
        raise InputError(
            f"{name} times words in {len(segments)} audio files, but there are {len(onsets_s)} triggers (at {starts} "
            "s): choose the code of audio starts with trigger_codes, or name the column of the audio file or chapter "
            "with segment_column."
        )
    start_of = dict(zip(segments, onsets_s, strict=True))
    moved = [replace(word, onset_s=word.onset_s + start_of[word.story]) for word in words]
    return WordTable(words=tuple(moved), notes=words.notes)


def _annotated_triggers(raw: "mne.io.BaseRaw", codes: Sequence[int | str]) -> list[float]:
    marks = [(onset_s, text) for onset_s, _, text in _annotations(raw) if not _NO_TRIGGER.match(text)]
    names_of: dict[str, set[str]] = {}
    for _, text in marks:
        for code in (_blanks_as_one(text), _number_at_the_end(text)):
            names_of.setdefault(code, set()).add(text)
    wanted = {_blanks_as_one(str(code)) for code in codes}
    for code in sorted(wanted):
        if len(names := sorted(names_of.get(code, ()))) > 1:
            raise InputError(
                f"trigger_codes: {code} may be {' or '.join(map(repr, names))}; give the whole description."
            )
    texts = {text for code in wanted for text in names_of.get(code, ())}
    chosen = [onset_s for onset_s, text in marks if not wanted or text in texts]
    if not chosen:
        there = _counted(text for _, text in marks)
        raise InputError(
            f"The recording has no trigger channel, and no annotation{_with(codes)} in place of triggers; "
            f"its annotations are: {there}."
        )
    return sorted(chosen)


def _annotations(raw: "mne.io.BaseRaw") -> Iterator[tuple[float, float, str]]:
    """Onset, duration and description of each."""
    marks = raw.annotations
    for onset_s, duration_s, text in zip(marks.onset, marks.duration, marks.description, strict=True):
        # MNE counts from the start of the measurement, which may lie before the first sample
        yield float(onset_s - raw.first_time), float(duration_s), str(text)


def _blanks_as_one(text: str) -> str:
    return " ".join(text.split())


def _number_at_the_end(text: str) -> str:
    """``1`` of ``Stimulus/S  1``; the description itself if it ends in none."""
    match = re.search(r"(\d+)\s*$", text)
    return str(int(match[1])) if match else _blanks_as_one(text)


def _with(codes: Sequence[int | str]) -> str:
    return f" with the code {' or '.join(map(str, codes))}" if codes else ""


def _counted(texts: Iterable[str]) -> str:
    seen = Counter(texts).most_common(5)
    return ", ".join(f"{text!r} ({count})" for text, count in seen) or "none"
