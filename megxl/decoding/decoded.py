"""The words of a recording as a decoder names them: ranked candidates for each, a table of them, and how good they are.

Letters: N words that were decoded, V words of the vocabulary.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from megxl.corpora.corpus import Word
from megxl.decoding.metrics import Metric
from megxl.decoding.predictions import Predictions
from megxl.decoding.retrieval import find_places, scores
from megxl.decoding.statistics import interval
from megxl.errors import InputError
from megxl.placing import free_to_write, placed

NOT_A_CANDIDATE = "not in the vocabulary"
FEW_WORDS = 200
"""Below so many words a share is told to be rough."""


@dataclass(frozen=True, kw_only=True)
class DecodedWord:
    """One word and what the decoder takes it for; without candidates where it could not be decoded."""

    word: Word
    """Its text is empty where nobody told it."""
    group: int | None = None
    """Number of the word group that it was decoded in."""
    candidates: tuple[str, ...] = ()
    """The most likely words of the vocabulary, the first the likeliest."""
    scores: tuple[float, ...] = ()
    """Cosine of each with the estimate."""
    rank: float | None = None
    """Of the true word in the whole vocabulary, 1 the best, of tied ones the mean; None if it is not known or there."""
    note: str = ""
    """Why it was not decoded, or has no rank."""


@dataclass(frozen=True, kw_only=True, eq=False)
class DecodedRecording:
    """All words of a recording in the order of time, decoded or not."""

    name: str
    words: tuple[DecodedWord, ...]
    predictions: Predictions
    """Of those that were decoded, in their order; a text that nobody told is empty."""
    notes: tuple[str, ...]
    """What a person should know, a sentence each: what was left out, which sensors lack."""
    warning: str | None
    """Set where what it names means nothing: random weights, a control, a recording that it was trained on."""
    about: Mapping[str, Any]
    """Of the decoder: run, protocol, control."""

    @property
    def told(self) -> bool:
        """Whether any word is known that was said."""
        return any(word.word.text for word in self.words)


def rank_candidates(predictions: Predictions, words: Sequence[tuple[Word, int]], top: int) -> list[DecodedWord]:
    """Order the vocabulary for each word by the cosine with its estimate.

    Parameters
    ----------
    predictions : Predictions
        Estimates of N words.
    words : sequence of (Word, int)
        The same words, with the numbers of their groups.
    top : int
        Candidates to keep; all if the vocabulary has fewer.

    Raises
    ------
    InputError
        Fewer than one candidate is asked for.
    """
    if top < 1:
        raise InputError(f"top = {top}; allowed: at least one candidate a word.")
    scores_NV, labels_N = scores(predictions), predictions.labels_N
    best_NK = np.argsort(-scores_NV, axis=1, kind="stable")[:, :top]
    decoded = []
    for row, (word, group) in enumerate(words):
        label = labels_N[row]
        decoded.append(
            DecodedWord(
                word=word,
                group=group,
                candidates=tuple(predictions.vocabulary[int(place)] for place in best_NK[row]),
                scores=tuple(scores_NV[row, best_NK[row]].tolist()),
                rank=None if label < 0 else _rank(scores_NV[row], label),
                note=NOT_A_CANDIDATE if word.text and label < 0 else "",
            )
        )
    return decoded


def _rank(scores_V: np.ndarray, label: int) -> float:
    better, tied = (scores_V > scores_V[label]).sum(), (scores_V == scores_V[label]).sum()
    return float(better + (tied + 1) / 2)


def summary(decoded: DecodedRecording, k: int = 10, sizes: Sequence[int] = (50, 250)) -> list[str]:
    """How often true words are among the best `k`, a sentence for each number of candidates; nothing if none is known.

    Parameters
    ----------
    decoded : DecodedRecording
    k : int
    sizes : sequence of int
        Most frequent words that one is chosen from; those that the vocabulary does not have, or that are no more than
        `k`, are left out, and the whole vocabulary is added.
    """
    predictions = decoded.predictions
    number = len(predictions.vocabulary)
    labels_N = predictions.labels_N
    known = int((labels_N >= 0).sum())
    if not known:
        return ["None of the true words is in the vocabulary: nothing can be counted."] if decoded.told else []
    if number <= k:
        return [f"The vocabulary has {number} words: each is among the best {k}, and top-{k} says nothing."]
    told = []
    for among in (*(size for size in sizes if k < size < number), number):
        if (labels_N[labels_N >= 0] < among).any():
            told.append(_sentence(predictions, Metric(k=k, among=among, balanced=True)))
    if known < FEW_WORDS:
        told.append(f"These are only {known} words: take the shares as rough.")
    return told


def _sentence(predictions: Predictions, metric: Metric) -> str:
    places = find_places(predictions, metric.among)
    sure = interval(predictions, places, metric)
    bounds = (
        f"95 % interval {sure.low:.3f} to {sure.high:.3f}{' (rough: few groups)' if sure.notes else ''}"
        if sure
        else "no interval from one word group"
    )
    return (
        f"Balanced top-{metric.k} among {len(places.candidates)} words: {metric.of(places):.3f} over {len(places)} "
        f"words; chance {metric.chance(places):.3f}; {bounds}."
    )


def check_table(path: Path, *, overwrite: bool) -> None:
    """Refuse a place where the table must not or cannot be written."""
    if path.suffix.lower() != ".tsv":
        raise InputError(f"{path.name}: the words are written as a table with tabs; give it a name that ends in .tsv.")
    free_to_write(path, overwrite=overwrite)


def write_decoded(path: str | Path, decoded: DecodedRecording, *, overwrite: bool = False) -> Path:
    """Write one line a word: onset_s, duration_s, word, rank_of_word, candidate_1 ..., score_1 ..., group, note.

    The file appears when it is complete; what is not known is an empty cell.

    Raises
    ------
    InputError
        The file is there already, or cannot be written.
    """
    path = Path(path)
    check_table(path, overwrite=overwrite)
    lines = ["\t".join(cells) for cells in table_rows(decoded)]
    with placed(path, folder=False) as part:
        part.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def table_rows(decoded: DecodedRecording) -> list[list[str]]:
    """Names of the columns, and the cells of each word."""
    top = max((len(word.candidates) for word in decoded.words), default=0)
    numbers = [str(number + 1) for number in range(top)]
    head = ["onset_s", "duration_s", "word", "rank_of_word"]
    head += [f"candidate_{number}" for number in numbers] + [f"score_{number}" for number in numbers]
    return [[*head, "group", "note"], *(_cells(word, top) for word in decoded.words)]


def _cells(decoded: DecodedWord, top: int) -> list[str]:
    word, empty = decoded.word, [""] * (top - len(decoded.candidates))
    return [
        f"{word.onset_s:.4f}",
        "" if word.duration_s is None else f"{word.duration_s:.4f}",
        _one_cell(word.text),
        "" if decoded.rank is None else f"{decoded.rank:g}",
        *(_one_cell(candidate) for candidate in decoded.candidates),
        *empty,
        *(f"{score:.6f}" for score in decoded.scores),
        *empty,
        "" if decoded.group is None else str(decoded.group + 1),
        decoded.note,
    ]


def _one_cell(text: str) -> str:
    """A text without what would end a cell or a line."""
    return " ".join(text.split())
