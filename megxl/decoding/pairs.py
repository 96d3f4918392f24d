"""Pairs of estimates and candidates: how similar they are, which are the same word, and whether they are sound.

Letters: N estimates, M candidates (the first N belong to the estimates, in their order; more are others), D width.
"""

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from megxl.errors import InputError

NormKind = Literal["x", "y", "xy"] | None
"""What is brought to length 1 before a product: estimates, candidates, both, nothing."""
NORM_KINDS: tuple[NormKind, ...] = ("x", "y", "xy", None)
SAME_COSINE = 0.999
"""Published cosine from which on two vectors count as one word's; those of different words may reach it, too."""
EPS = 1e-15
"""Keeps the products of a zero vector at zero."""


def similarity(estimates_ND: Tensor, candidates_MD: Tensor, norm_kind: NormKind = "xy") -> Tensor:
    """Multiply all pairs.

    Parameters
    ----------
    estimates_ND, candidates_MD : Tensor
    norm_kind : {"x", "y", "xy", None}

    Returns
    -------
    Tensor, shape (N, M)
        At least float32, also under autocast; 0 for a zero vector.

    Raises
    ------
    InputError
        No estimate, fewer candidates than estimates, widths that differ, an unknown kind.
    """
    check_option("norm_kind", norm_kind, NORM_KINDS)
    _check_shapes(estimates_ND, candidates_MD)
    with torch.autocast(estimates_ND.device.type, enabled=False):
        x_ND, y_MD = _at_least_float32(estimates_ND), _at_least_float32(candidates_MD)
        products_NM = x_ND @ y_MD.T
        if norm_kind is None:
            return products_NM
        x_N1, y_M = x_ND.norm(dim=1, keepdim=True), y_MD.norm(dim=1)
        return products_NM / (EPS + {"x": x_N1, "y": y_M, "xy": x_N1 * y_M}[norm_kind])


def own_pairs(logits_NM: Tensor) -> Tensor:
    """True where a candidate belongs to the estimate, shape (N, M)."""
    return torch.eye(*logits_NM.shape, dtype=torch.bool, device=logits_NM.device)


def same_words(words_M: Tensor, count: int) -> Tensor:
    """True where a candidate is the word of one of the first `count`, by the words' numbers; shape (count, M)."""
    return words_M[:count, None] == words_M


@torch.no_grad()
def same_vectors(candidates_MD: Tensor, count: int, threshold: float = SAME_COSINE) -> Tensor:
    """True where a candidate's vector is nearly parallel to one of the first `count`; shape (count, M)."""
    return similarity(candidates_MD[:count], candidates_MD) >= threshold


def check_vectors(estimates_ND: Tensor, targets_ND: Tensor, words: Sequence[str] | None = None) -> None:
    """Refuse values that are not finite and vectors without a direction.

    This waits for the device: where speed counts, look at the loss now and then (it is NaN when its input is), and
    ask here only for the reason.

    Parameters
    ----------
    estimates_ND, targets_ND : Tensor
    words : sequence of str, optional
        To name the first of them.

    Raises
    ------
    InputError
        What is wrong with how many of which.
    """
    advice = {
        "estimates": "lower the learning rate, or look for such values in the signal",
        "target vectors": "take another encoder, or leave such words out",
    }
    for what, vectors_ND in (("estimates", estimates_ND), ("target vectors", targets_ND)):
        largest_N = vectors_ND.detach().abs().amax(dim=1)
        for fault, wrong_N in (("not finite", ~largest_N.isfinite()), ("zero", largest_N == 0)):
            places = wrong_N.nonzero()[:, 0].tolist()
            if places:
                of = f" of the word {words[places[0]]!r}" if words is not None else ""
                raise InputError(
                    f"{len(places)} of {len(wrong_N)} {what} are {fault} (first: number {places[0]}{of}); "
                    f"{advice[what]}."
                )


def check_option(name: str, value: Any, allowed: Sequence[Any]) -> None:
    """Refuse what is not allowed.

    Raises
    ------
    InputError
        With the name, the value and what is allowed.
    """
    if value not in allowed:
        raise InputError(f"{name} = {value!r}; allowed: {', '.join(map(str, allowed))}.")


def _check_shapes(estimates_ND: Tensor, candidates_MD: Tensor) -> None:
    for what, vectors in (("estimates", estimates_ND), ("candidates", candidates_MD)):
        if vectors.ndim != 2:
            raise InputError(f"The {what} have the shape {tuple(vectors.shape)}; give one row a word.")
    (count, width), (candidates, candidate_width) = estimates_ND.shape, candidates_MD.shape
    if width != candidate_width:
        raise InputError(
            f"Estimates of {width} numbers cannot be compared with candidates of {candidate_width}; give the head the "
            "width of the target vectors."
        )
    if not 1 <= count <= candidates:
        raise InputError(
            f"{count} estimates and {candidates} candidates; there must be an estimate, and for each one the "
            "candidate in the same row (further candidates come after them)."
        )


def _at_least_float32(vectors: Tensor) -> Tensor:
    return vectors if vectors.dtype == torch.float64 else vectors.float()
