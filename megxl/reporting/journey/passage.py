"""Words of one passage beside what was decoded: the first candidates, the right one marked by a tick."""

from html import escape

import numpy as np

from megxl.decoding.retrieval import scores
from megxl.errors import InputError
from megxl.reporting.words.scores import Scored

CARDS = 24
"""Words of the passage that are shown."""
CANDIDATES = 5
RIGHT, BELOW = "✓", "✗"


def passage_of(scored: Scored, key: str) -> list[int]:
    """Occurrences of the first test group of a recording: nothing is chosen by how well it was decoded.

    Raises
    ------
    InputError
        None of its words is in the test.
    """
    columns = scored.predictions.occurrences
    numbers = [number for number, recording in enumerate(columns.recordings) if recording == key]
    if not numbers:
        raise InputError(
            f"shown = {key!r}: {scored.name} tested no word of it; name a recording of its test (first: "
            f"{columns.recordings[0]!r})."
        )
    first = columns.groups[numbers[0]]
    return [number for number in numbers if columns.groups[number] == first]


def passage_html(scored: Scored, numbers: list[int]) -> str:
    """Lay out the first words of a passage as cards, and say how many of them are found."""
    shown = numbers[:CARDS]
    places, metric = scored.places, scored.metric
    rank_of = dict(zip(places.kept_M.tolist(), places.ranks_M.tolist(), strict=True))
    score_NK = scores(scored.predictions, metric.among, np.array(shown))
    cards = []
    for number, score_K in zip(shown, score_NK, strict=True):
        best = [places.candidates[n] for n in np.argsort(-score_K, kind="stable")[:CANDIDATES]]
        cards.append(_card(scored.predictions.occurrences.words[number], best, rank_of.get(number)))
    ranks = [rank_of[number] for number in shown if number in rank_of]
    found = sum(rank <= metric.k for rank in ranks)
    said = (
        f"Of these {len(shown)} words {len(ranks)} are among the {len(places.candidates)} candidates; {found} of them "
        f"are found among the first {metric.k}, {sum(rank == 1 for rank in ranks)} as the first."
    )
    return f'<ol class="passage">{"".join(cards)}</ol><p>{escape(said)}</p>'


def _card(word: str, best: list[str], rank: float | None) -> str:
    """One word: heard above, decoded below; one that is no candidate cannot be found and has no list."""
    if rank is None:
        return f'<li class="no-candidate"><b>{escape(word)}</b><small>no candidate</small></li>'
    lines = "".join(
        f'<span class="right">{RIGHT} {escape(one)}</span>' if one == word else f"<span>{escape(one)}</span>"
        for one in best
    )
    below = "" if word in best else f"<small>{BELOW} place {rank:g}</small>"
    return f'<li class="{"found" if word in best else "missed"}"><b>{escape(word)}</b>{lines}{below}</li>'
