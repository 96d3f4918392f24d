"""Words as they are found in a table, tier or recording, and a count of what is none: `Collector`."""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field, replace

from megxl.corpora.corpus import Word, WordTable
from megxl.corpora.tables import clean

NO_VALUE = ("", "n/a")
"""How BIDS writes that there is no value; "NA", "None", "null" and "nan" are words that people say."""
SILENCES = ("sp", "sil", "silence", "<sil>", "<eps>")
"""What aligners write where nobody speaks."""


@dataclass
class Collector:
    """Words of one source, and what is left out of it.

    Parameters
    ----------
    source : str
        Name of the file, for notes.
    silences : collection of str
        Texts that stand for silence; upper and lower case are the same.
    """

    source: str
    silences: Collection[str] = ()
    found: list[Word] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    malformed: list[tuple[int, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.silences = frozenset(text.lower() for text in self.silences)

    def add(self, word: Word) -> None:
        """Take a word with its text cleaned, or count it as a silence or as one without a text."""
        text = clean(word.text)
        if text in NO_VALUE:
            self.left_out["word without a text"] += 1
        elif text.lower() in self.silences:
            self.left_out[f"silence ({text.lower()})"] += 1
        else:
            self.found.append(replace(word, text=text))

    def refuse(self, line: int, reason: str) -> None:
        """Count a row that cannot be understood."""
        self.malformed.append((line, reason))

    def table(self, *, by_story: bool = False) -> WordTable:
        """Put the words in the order of time (or one story after the other) and say what was left out."""
        order = {story: number for number, story in enumerate(dict.fromkeys(word.story for word in self.found))}
        words = sorted(self.found, key=lambda word: (order[word.story] if by_story else 0, word.onset_s))
        return WordTable(words=tuple(words), notes=tuple(self._notes()))

    def _notes(self) -> list[str]:
        total = len(self.found) + self.left_out.total() + len(self.malformed)
        # the kind of note stands before the colon, with counts that can be added up over recordings
        notes = [
            f"{count} of {total} rows of words left out, {what}: {self.source}."
            for what, count in sorted(self.left_out.items())
        ]
        if self.malformed:
            line, reason = min(self.malformed)
            notes.append(
                f"{len(self.malformed)} of {total} rows of words left out, malformed: {self.source}, first in line "
                f"{line}, {reason}."
            )
        return notes
