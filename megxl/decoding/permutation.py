"""Would words that belong elsewhere score as well? A permutation test of a retrieval metric.

Letters: N occurrences, M those of candidates, K candidates, P permutations.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from megxl.data.seeds import seed_of
from megxl.decoding.metrics import Metric
from megxl.decoding.predictions import Predictions
from megxl.decoding.retrieval import all_credits, find_places, scores
from megxl.errors import InputError

_Blocks = np.ndarray | list[np.ndarray]


@dataclass(frozen=True, kw_only=True, eq=False)
class PermutationTest:
    """A value beside those of the same predictions with the words of others."""

    value: float
    null_P: np.ndarray

    @property
    def p(self) -> float:
        """Share of exchanges that score as much; never below one by their number (Phipson & Smyth 2010)."""
        as_good = self.null_P >= self.value - 1e-12  # the same sum in another order
        return float((1 + as_good.sum()) / (1 + len(self.null_P)))


def permutation_test(
    predictions: Predictions,
    metric: Metric,
    *,
    unit: Literal["groups", "words"] = "groups",
    within: Sequence[str] | None = None,
    permutations: int = 1000,
    seed: int = 0,
) -> PermutationTest:
    """Exchange which words belong to which predictions.

    Parameters
    ----------
    predictions : Predictions
    metric : Metric
    unit : "groups" or "words"
        ``groups``: whole sequences change places, so that order and repetition of words stay what they were; where
        groups differ in length they are laid end to end in another order. ``words``: single words; a decoder that
        knows how a text goes, but no signal, passes this one.
    within : sequence of str, optional
        Name of each occurrence (its recording, its subject): only what has the same name is exchanged, so that
        knowing the recording is worth nothing.
    permutations, seed : int

    Raises
    ------
    InputError
        Nothing to exchange.
    """
    if unit not in ("groups", "words"):
        raise InputError(f"unit = {unit!r}; allowed: groups, words.")
    places = find_places(predictions, metric.among)
    credits_NK, labels_N = all_credits(scores(predictions, metric.among), metric.k), predictions.labels_N
    blocks = _blocks(predictions, unit, within)
    if all(len(some) < 2 for some in blocks):
        raise InputError(f"There are not two {unit} to exchange{' within a name' if within else ''}; "
                         "take a larger part, or exchange words.")  # fmt: skip
    rng = np.random.default_rng(seed_of("permutation", seed))
    null = []
    for _ in range(permutations):
        exchanged_N = np.empty_like(labels_N)
        for some in blocks:
            slots, sources = _laid_out(some, np.arange(len(some))), _laid_out(some, rng.permutation(len(some)))
            exchanged_N[slots] = labels_N[sources]
        kept_M = np.flatnonzero((exchanged_N >= 0) & (exchanged_N < credits_NK.shape[1]))
        null.append(metric.mean(credits_NK[kept_M, exchanged_N[kept_M]], exchanged_N[kept_M]))
    return PermutationTest(value=metric.of(places), null_P=np.array(null))


def _blocks(predictions: Predictions, unit: str, within: Sequence[str] | None) -> list[_Blocks]:
    """Numbers of the occurrences of each group (or word), for each name within which they are exchanged."""
    columns, number = predictions.occurrences, len(predictions)
    names = ["all"] * number if within is None else list(within)
    if len(names) != number:
        raise InputError(f"within holds {len(names)} names; allowed: one for each of the {number} words.")
    groups = columns.groups if unit == "groups" else range(number)
    found: dict[str, dict[object, list[int]]] = {}
    for n, (name, group) in enumerate(zip(names, groups, strict=True)):
        found.setdefault(name, {}).setdefault(group, []).append(n)
    return [_together(list(some.values())) for some in found.values()]


def _together(blocks: list[list[int]]) -> _Blocks:
    if len({len(numbers) for numbers in blocks}) == 1:
        return np.array(blocks)  # quick to reorder; of single words there are many
    return [np.array(numbers) for numbers in blocks]


def _laid_out(blocks: _Blocks, order: np.ndarray) -> np.ndarray:
    """End to end."""
    if isinstance(blocks, np.ndarray):
        return blocks[order].ravel()
    return np.concatenate([blocks[number] for number in order])
