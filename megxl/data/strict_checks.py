"""What the parts of a split share, seen in the parts themselves: a check that knows nothing of how they were made."""

from collections.abc import Hashable, Iterable, Iterator, Mapping

from megxl.data.group_splits import GroupSplit
from megxl.data.groups import WordGroupSet
from megxl.data.recording_split import PARTS, unit_of
from megxl.data.same_text import TEXT_RUN
from megxl.errors import InputError

SMALLEST_GAP_S = 3.0


def check_split(
    groups: WordGroupSet,
    split: GroupSplit,
    *,
    gap_s: float = SMALLEST_GAP_S,
    text: bool = True,
    subjects: bool = False,
    stories: bool = False,
) -> None:
    """Look at the parts themselves: which samples, words, subjects and stories they share.

    Parameters
    ----------
    groups : WordGroupSet
    split : GroupSplit
    gap_s : float
        Seconds of a recording that lie between two parts.
    text : bool
        Whether a word of one part may be a word of another: two are the same if the `TEXT_RUN` words from them on,
        or up to them, are the same in the tables of their recordings, whatever groups these words are in.
    subjects, stories : bool
        Whether two parts may share a person, or a story by its name (in one corpus).

    Raises
    ------
    InputError
        Two parts share what they may not; the sentence names where.
    """
    _refuse_near_samples(groups, split, gap_s)
    if text:
        for at_end in (False, True):
            _refuse_common(
                {part: set(_runs(groups, indices, at_end)) for part, indices in split.parts.items()}, "runs of words"
            )
    found = {part: [groups.groups[index] for index in indices] for part, indices in split.parts.items()}
    if subjects:
        who = {
            part: {(unit_of(groups.recordings[g.recording], "subject"),) for g in some} for part, some in found.items()
        }
        _refuse_common(who, "subjects")
    if stories:
        told = {
            part: {
                (groups.recordings[group.recording].corpus, word.story)
                for group in some
                for word in group.words
                if word.story is not None
            }
            for part, some in found.items()
        }
        _refuse_common(told, "stories")


def _refuse_common(found: Mapping[str, set[tuple[str, ...]]], what: str) -> None:
    for place, one in enumerate(PARTS):
        for other in PARTS[place + 1 :]:
            if common := found[one] & found[other]:
                raise InputError(
                    f"{one} and {other} share {len(common)} {what}, such as {' '.join(min(common))!r}: "
                    "a result on one would say little about the other."
                )


def _runs(groups: WordGroupSet, indices: Iterable[int], at_end: bool) -> Iterator[tuple[str, ...]]:
    """Runs of words in the tables of recordings of which these groups hold the first (or last) word."""
    held: dict[int, set[Hashable]] = {}
    for group in (groups.groups[index] for index in indices):
        held.setdefault(group.recording, set()).update((word.onset_s, word.text) for word in group.words)
    for number, mine in held.items():
        rows = sorted(groups.recordings[number].words, key=lambda row: row["onset_s"])
        texts = tuple(row["text"].lower() for row in rows)
        length = min(TEXT_RUN, len(texts))
        for place, row in enumerate(rows):
            begin = place - length + 1 if at_end else place
            if 0 <= begin <= len(texts) - length and (row["onset_s"], row["text"]) in mine:
                yield texts[begin : begin + length]


def _refuse_near_samples(groups: WordGroupSet, split: GroupSplit, gap_s: float) -> None:
    spans: dict[int, list[tuple[int, int, str]]] = {}
    for part, indices in split.parts.items():
        for group in (groups.groups[index] for index in indices):
            spans.setdefault(group.recording, []).append((group.start, group.stop, part))
    for number, found in spans.items():
        recording = groups.recordings[number]
        last_stop: dict[str, float] = dict.fromkeys(PARTS, float("-inf"))
        for start, stop, part in sorted(found):
            for other in PARTS:
                apart_s = (start - last_stop[other]) / recording.sfreq_hz
                if other != part and apart_s < gap_s:
                    raise InputError(
                        f"{recording.key}: {part} and {other} are "
                        + (f"{apart_s:.2f} s apart" if apart_s >= 0 else f"the same signal for {-apart_s:.2f} s")
                        + f" at {start / recording.sfreq_hz:.2f} s; allowed: at least {gap_s:g} s apart."
                    )
            last_stop[part] = max(last_stop[part], stop)
