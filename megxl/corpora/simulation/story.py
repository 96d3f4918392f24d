"""The story that is told, and when each of its words is heard.

The text (story.txt) was written for this project. It is told from its beginning; who listens for longer than it lasts
hears its paragraphs again and again, each time in another order. Sessions continue where the one before has ended.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from itertools import count

from megxl.corpora.simulation.recipe import Recipe

LEAD_S = 2.0
"""Silence before the first word of a recording and after the last one: responses begin and end within it."""

_PAUSES_S = {",": 0.18, ";": 0.25, ":": 0.25, ".": 0.45, "?": 0.45, "!": 0.45}
_PARAGRAPH_S = 0.8
_SHORTEST_S, _LETTER_S = 0.10, 0.045


@dataclass(frozen=True, kw_only=True)
class Told:
    """A word of the story.

    Parameters
    ----------
    text : str
        Lower case, without punctuation (apostrophes and hyphens within a word stay).
    sentence : str
        The whole sentence as it is printed, but for quotation marks.
    chapter : str
        Title of its chapter.
    duration_s : float
        How long it sounds.
    pause_s : float
        Silence after it.
    """

    text: str
    sentence: str
    chapter: str
    duration_s: float
    pause_s: float


@dataclass(frozen=True, kw_only=True)
class Heard:
    """A word of the story at a time of the recording."""

    word: Told
    onset_s: float


def vocabulary() -> list[str]:
    """Different words of the story, in the order of the alphabet."""
    return sorted({word.text for paragraph in _paragraphs() for word in paragraph})


def story_minutes(words_per_minute: float) -> float:
    """Length of a recording in which the whole story is told once."""
    words = sum(len(paragraph) for paragraph in _paragraphs())
    return words / words_per_minute + 2 * LEAD_S / 60


def words_heard(recipe: Recipe) -> list[Heard]:
    """Say which words a recording's listener hears, in the order of time; all listeners of a session hear the same."""
    talk_s = max(0.0, recipe.duration_s - 2 * LEAD_S)
    from_s = (recipe.session - 1) * talk_s
    heard = []
    for word, at_s in _told(recipe, from_s):
        if at_s >= from_s + talk_s:
            break
        # one that goes on beyond the end is heard by nobody: the next session begins after it
        if at_s >= from_s and at_s + word.duration_s <= from_s + talk_s:
            # whole samples at 1000 Hz, as tables of real corpora have them
            heard.append(Heard(word=word, onset_s=round(at_s - from_s + LEAD_S, 3)))
    return heard


def _told(recipe: Recipe, from_s: float) -> Iterator[tuple[Told, float]]:
    """Words without end, with their times since the first beginning, from a little before the given time."""
    paragraphs = _spoken(recipe.words_per_minute, recipe.seed if recipe.durations == "random" else None)
    pass_s = sum(word.duration_s + word.pause_s for paragraph in paragraphs for word in paragraph)
    first = int(from_s // pass_s)
    for number in count(first):
        at_s = number * pass_s
        order = range(len(paragraphs))
        for index in order if number == 0 else recipe.generator("retelling", number).permutation(len(paragraphs)):
            for word in paragraphs[index]:
                yield word, at_s
                at_s += word.duration_s + word.pause_s


@cache
def _spoken(words_per_minute: float, dealt_by: int | None = None) -> tuple[tuple[Told, ...], ...]:
    """The paragraphs at this speed: words and pauses are all stretched alike; the seed deals durations out anew."""
    words = [word for paragraph in _paragraphs() for word in paragraph]
    stretch = 60 * len(words) / words_per_minute / sum(word.duration_s + word.pause_s for word in words)
    times_s = [(word.duration_s * stretch, word.pause_s * stretch) for word in words]
    if dealt_by is not None:
        # pauses go along: when the next word begins must say nothing either
        times_s = [times_s[place] for place in Recipe(seed=dealt_by).generator("durations").permutation(len(words))]
    spoken = iter(times_s)
    return tuple(
        tuple(
            replace(word, duration_s=lasts_s, pause_s=pause_s)
            for word, (lasts_s, pause_s) in zip(paragraph, spoken, strict=False)
        )
        for paragraph in _paragraphs()
    )


@cache
def _paragraphs() -> tuple[tuple[Told, ...], ...]:
    """The text, cut into words that last as long as they have letters."""
    text = resources.files("megxl.corpora.simulation").joinpath("story.txt").read_text(encoding="utf-8")
    paragraphs, chapter = [], ""
    for block in text.strip().split("\n\n"):
        if block.startswith("# "):
            chapter = block.removeprefix("# ")
        else:
            words = [word for sentence in _sentences(block) for word in _words(sentence, chapter)]
            paragraphs.append((*words[:-1], replace(words[-1], pause_s=_PARAGRAPH_S)))
    return tuple(paragraphs)


def _sentences(paragraph: str) -> list[str]:
    return re.split(r'(?<=[.?!])"?\s+(?=["A-Z])', paragraph)


def _words(sentence: str, chapter: str) -> Iterator[Told]:
    for token in sentence.split():
        text = token.strip('".,;:?!').lower()
        mark = next((character for character in reversed(token) if character in _PAUSES_S), "")
        yield Told(
            text=text,
            sentence=sentence.replace('"', ""),
            chapter=chapter,
            duration_s=_SHORTEST_S + _LETTER_S * len(text),
            pause_s=_PAUSES_S.get(mark, 0.0),
        )
