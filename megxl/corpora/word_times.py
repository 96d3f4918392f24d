"""Can these be the times of words, in seconds of this recording? What cannot is refused, what is doubtful is told."""

from collections.abc import Sequence
from itertools import pairwise
from statistics import median

from megxl.corpora.corpus import Word, WordTable
from megxl.errors import InputError

_LONGEST_MEDIAN_GAP_S = 20.0
_SHORTEST_MEDIAN_GAP_S = 2e-3
_FEWEST_TO_JUDGE = 5


def refuse_other_unit(onsets_s: Sequence[float], name: str, *, longer: str, shorter: str) -> None:
    """Refuse times that nobody can have spoken at: they are in another unit.

    Parameters
    ----------
    onsets_s : sequence of float
        In order; fewer than five are not judged.
    name : str
        File that they are from.
    longer, shorter : str
        What to do if the times between words are too long, or too short.

    Raises
    ------
    InputError
        The median time between two words is above 20 s, or below 2 ms (but not zero).
    """
    if len(onsets_s) < _FEWEST_TO_JUDGE:
        return
    gap_s = median(later - earlier for earlier, later in pairwise(onsets_s))
    if gap_s > _LONGEST_MEDIAN_GAP_S:
        raise InputError(f"{name}: the typical time between two words would be {gap_s:g} s. {longer}")
    if 0 < gap_s < _SHORTEST_MEDIAN_GAP_S:
        raise InputError(f"{name}: the typical time between two words would be {gap_s:g} s. {shorter}")


def within(words: WordTable, duration_s: float, name: str) -> WordTable:
    """Compare the times of words with the recording that they were read for.

    Parameters
    ----------
    words : WordTable
        In the order of time.
    duration_s : float
        Length of the recording.
    name : str
        File that the words are from.

    Returns
    -------
    WordTable
        The same words; a note counts those that begin outside of the recording.

    Raises
    ------
    InputError
        Times in another unit than seconds; most words (of five or more) outside of the recording.
    """
    mend = "Times of words must be seconds after the first sample of the recording, not milliseconds or samples."
    onsets_s = [word.onset_s for word in words]
    refuse_other_unit(onsets_s, name, longer=mend, shorter=mend)
    n_outside = sum(not 0 <= onset_s < duration_s for onset_s in onsets_s)
    if not n_outside:
        return words
    said = f"{n_outside} of {len(onsets_s)} words lie outside the recording"
    where = f"they begin at {onsets_s[0]:.2f} to {onsets_s[-1]:.2f} s, it has {duration_s:.2f} s"
    if len(onsets_s) >= _FEWEST_TO_JUDGE and n_outside > len(onsets_s) / 2:
        raise InputError(f"{name}: {said} ({where}). {mend}")
    return WordTable(words=words.words, notes=(*words.notes, f"{said}: {where}."))


def count_overlaps(words: Sequence[Word]) -> int:
    """Count the words that begin before the one before, of the same story, has ended."""
    return sum(
        first.duration_s is not None
        and first.story == second.story
        and second.onset_s < first.onset_s + first.duration_s - 1e-3
        for first, second in pairwise(words)
    )
