"""To which units (stories, blocks) the text of each group belongs: by the names of stories, and by runs of equal words.

A word is known again by the run of `TEXT_RUN` words that begins with it, or by that which ends with it, wherever the
groups of its recording begin and end: so a word that is missing from one table hides none of those around it.
"""

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from megxl.corpora.corpus import Word
from megxl.data.groups import WordGroupSet
from megxl.store.entry import StoredRecording

TEXT_RUN = 8
"""So many words in a row are the same text wherever they occur; shorter runs are everyday language."""
SAME_STORY = 0.2
"""A story of which so much was met in another one is that story; tables that lack 5 % of the words agree in 70 %."""
LONGEST_UNKNOWN = 25
"""So many words in a row between known ones belong to what stands around them; more are a new text."""


@dataclass(frozen=True, kw_only=True)
class WordStream:
    """All words of a recording's table in the order of time, those that are in no group among them."""

    recording: StoredRecording
    begun: tuple[int | None, ...]
    """Number of the run that begins with each word, equal runs having equal numbers; None near the end."""
    ended: tuple[int | None, ...]
    """Number of the run that ends with it; None near the beginning."""
    groups: tuple[tuple[int, int, Word], ...]
    """Place in the table, index of the group, and word, for every word that is in a group; in the order of time."""


def word_streams(groups: WordGroupSet) -> list[WordStream]:
    """Lay out the words of all recordings that have a group."""
    indices: dict[int, list[int]] = {}
    for index, group in enumerate(groups):
        indices.setdefault(group.recording, []).append(index)
    numbers: dict[tuple[str, ...], int] = {}
    return [_stream(groups, groups.recordings[recording], found, numbers) for recording, found in indices.items()]


def story_of(recording: StoredRecording, word: Word) -> Hashable:
    """Name the story of a word: names hold for the whole corpus; a recording without names is a story."""
    return (recording.key,) if word.story is None else (recording.corpus, word.story)


def units_by_story(groups: WordGroupSet) -> list[set[Hashable]]:
    """Stories that the text of each group belongs to.

    A story of which much was met before is that earlier story, whatever its name; single runs (a common opening) tie
    the groups that hold them to both.
    """
    streams, heard = word_streams(groups), _Heard()
    places: dict[Hashable, list[tuple[WordStream, int]]] = {}
    for stream in streams:
        for place, _, word in stream.groups:
            places.setdefault(story_of(stream.recording, word), []).append((stream, place))
    story: dict[Hashable, Hashable] = {}
    for name, mine in places.items():
        met = Counter(owner for stream, place in mine for owner in heard.owners(stream, place)).most_common(1)
        story[name] = met[0][0] if met and met[0][1] > SAME_STORY * len(mine) else name
        for stream, place in mine:
            heard.add(stream, place, [story[name]])
    units: list[set[Hashable]] = [set() for _ in range(len(groups))]
    for stream in streams:
        for place, index, word in stream.groups:
            units[index] |= {story[story_of(stream.recording, word)]} | heard.owners(stream, place)
    return units


def units_by_block(groups: WordGroupSet, block_s: float) -> list[set[Hashable]]:
    """Blocks that the text of each group belongs to: those in which it was first heard, in whatever recording.

    Text is known by its runs alone: of tables that differ every few words, nothing is.
    """
    streams, heard = word_streams(groups), _Heard()
    units: list[set[Hashable]] = [set() for _ in range(len(groups))]
    for stream in streams:
        known = [heard.owners(stream, place) for place, _, _ in stream.groups]
        for (place, index, _), found in zip(stream.groups, _filled(known), strict=True):
            start_s = groups.groups[index].start / stream.recording.sfreq_hz
            blocks = found or [(stream.recording.key, int(start_s // block_s))]
            units[index].update(blocks)
            heard.add(stream, place, blocks)
    for stream in streams:
        for place, index, _ in stream.groups:
            units[index] |= heard.owners(stream, place)
    return units


class _Heard:
    """Owners of the runs met so far, by the word that a run begins with and by that which it ends with."""

    def __init__(self) -> None:
        self._begun: dict[int | None, Sequence[Hashable]] = {}
        self._ended: dict[int | None, Sequence[Hashable]] = {}

    def owners(self, stream: WordStream, place: int) -> set[Hashable]:
        """Who owns the runs at a place."""
        begun, ended = stream.begun[place], stream.ended[place]
        return {*self._begun.get(begun, ()), *self._ended.get(ended, ())}

    def add(self, stream: WordStream, place: int, new: Sequence[Hashable]) -> None:
        """Give the runs at a place to these owners, unless they have some."""
        for owners, run in ((self._begun, stream.begun[place]), (self._ended, stream.ended[place])):
            if run is not None:
                owners.setdefault(run, new)


def _filled(known: Sequence[set[Hashable]]) -> list[list[Hashable]]:
    """Owners of each word; a short stretch of unknown words has those of its neighbours on both sides."""
    filled = [sorted(owners, key=repr) for owners in known]
    begin = 0
    while begin < len(known):
        end = next((place for place in range(begin, len(known)) if known[place]), len(known))
        if 0 < end - begin <= LONGEST_UNKNOWN:
            before = filled[begin - 1] if begin else []
            after = sorted(known[end], key=repr) if end < len(known) else []
            filled[begin:end] = [list(dict.fromkeys([*before, *after]))] * (end - begin)
        begin = end + 1
    return filled


def _stream(
    groups: WordGroupSet, recording: StoredRecording, indices: Sequence[int], numbers: dict[tuple[str, ...], int]
) -> WordStream:
    rows = sorted(recording.words, key=lambda row: row["onset_s"])
    rest = enumerate(rows)  # each word is looked for after the one before it
    placed = [
        (next(place for place, row in rest if (row["onset_s"], row["text"]) == (word.onset_s, word.text)), index, word)
        for index in indices
        for word in groups.groups[index].words
    ]
    texts = tuple(row["text"].lower() for row in rows)
    length = min(TEXT_RUN, len(texts))
    runs = [texts[place : place + length] for place in range(len(texts) - length + 1)]
    numbered = tuple(numbers.setdefault(run, len(numbers)) for run in runs)
    none = (None,) * (length - 1)
    return WordStream(recording=recording, begun=numbered + none, ended=none + numbered, groups=tuple(placed))
