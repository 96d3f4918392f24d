"""Word groups of a recording that is to be decoded: unlike in training, no word is left out whose window is there."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from megxl.corpora.corpus import Word
from megxl.data.groups import Grouping, WordGroup, WordGroupSet, word_groups
from megxl.errors import InputError
from megxl.store.entry import StoredRecording

LEAVES = "its window leaves the recording"
OTHER_KIND = "not of the kind of words that the decoder learnt from"


@dataclass(frozen=True, kw_only=True)
class Decodable:
    """Word groups of one recording that hold every word whose window lies in it."""

    groups: WordGroupSet
    context: tuple[int, ...]
    """Words at the beginning of each group that are decoded in an earlier one."""
    left_out: tuple[tuple[Word, str], ...]
    """Words in no group, each with the reason."""
    notes: tuple[str, ...]

    @property
    def words(self) -> list[tuple[Word, int]]:
        """The words that are decoded, each once, in the order of time, with the numbers of their groups."""
        return [
            (word, group.number)
            for group, skip in zip(self.groups, self.context, strict=True)
            for word in group.words[skip:]
        ]


def decodable_groups(recording: StoredRecording, grouping: Grouping) -> Decodable:
    """Group all words that can be decoded: as in training, and the last ones with words before them as context.

    Training leaves the last, incomplete group out. Here it is filled up with the words before it, so that the decoder
    sees as much as it learnt with; a recording of fewer words than a group is one shorter group. Labels that no word
    has are not asked for: a table that a person wrote does not know those of a corpus.

    Parameters
    ----------
    recording : StoredRecording
        With its words.
    grouping : Grouping
        The decoder's.

    Raises
    ------
    InputError
        No word whose window lies in the recording.
    """
    grouping, notes = _known_labels(grouping, recording)
    whole = word_groups([recording], grouping)
    one_by_one = word_groups([recording], replace(grouping, words=1, layout="tape"))
    inside = [group.words[0] for group in one_by_one]
    if not inside:
        raise InputError(
            f"None of the {len(recording.words)} words of {recording.id} can be decoded: the {grouping.window_s:g} s "
            f"of signal that belong to each (from {grouping.offset_s:+g} s after its onset) leave the recording, which "
            f"lasts {recording.duration_s:.2f} s."
        )
    if left_out := _left_out(recording, inside, grouping):
        notes.append(f"{len(left_out)} of {len(left_out) + len(inside)} words were not decoded; their notes say why.")
    rest = len(inside) - sum(len(group.words) for group in whole)
    more, context = _last_groups(recording, inside, rest, grouping) if rest else ([], 0)
    if rest and grouping.layout == "tape":
        how = f"together with the {context} words before them" if context else "as one shorter group"
        notes.append(f"The last {rest} words do not fill a group of {grouping.words}: they were decoded {how}.")
    numbered = [replace(group, number=len(whole) + number) for number, group in enumerate(more)]
    return Decodable(
        groups=replace(whole, groups=(*whole.groups, *numbered), left_out={}),
        context=(0,) * len(whole) + (context,) * len(numbered),
        left_out=tuple(left_out),
        notes=tuple(notes),
    )


def _last_groups(
    recording: StoredRecording, inside: Sequence[Word], rest: int, grouping: Grouping
) -> tuple[list[WordGroup], int]:
    """Groups of the words that no whole group has, and how many words at their beginning are context."""
    if grouping.layout == "contiguous":  # the recording is shorter than a group: take the length that it has
        tail, words = inside, recording.n_samples // grouping.window(recording.sfreq_hz)
    else:
        tail = inside[-grouping.words :]
        words = len(tail)
    shorter = replace(recording, words=[word.to_row() for word in tail])
    return list(word_groups([shorter], replace(grouping, words=words))), len(tail) - rest


def _left_out(recording: StoredRecording, inside: Sequence[Word], grouping: Grouping) -> list[tuple[Word, str]]:
    words = sorted((Word.from_row(row) for row in recording.words), key=lambda word: word.onset_s)
    left_out, place = [], 0
    for word in words:  # both are in the order of time, so one pass tells which are lacking
        if place < len(inside) and inside[place] == word:
            place += 1
            continue
        start_s = word.onset_s + grouping.offset_s
        leaves = start_s < 0 or start_s + grouping.window_s > recording.duration_s
        left_out.append((word, LEAVES if leaves else OTHER_KIND))
    return left_out


def _known_labels(grouping: Grouping, recording: StoredRecording) -> tuple[Grouping, list[str]]:
    known = {label for row in recording.words for label in row.get("labels", ())}
    lacking = [f"{label} = {value}" for label, value in grouping.keep.items() if label not in known]
    if not lacking:
        return grouping, []
    keep = {label: value for label, value in grouping.keep.items() if label in known}
    note = f"The decoder learnt from words with {', '.join(lacking)} alone; of these words that is not known."
    return replace(grouping, keep=keep), [note]
