"""What guessers score at the hidden places of validation, without which a loss or an accuracy means little.

Letters: B batch, C sensors, T tokens, H hidden tokens of a window, Q levels, V codes, S what is known of a hidden code:
the last visible code of its sensor, or that none is visible (S = V + 1; 1 for large code books); F folds.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from megxl.errors import InputError
from megxl.training.masks import MaskedBatch

STRENGTHS = (10_000.0, 1000.0, 100.0, 10.0, 1.0, 0.1, 0.01)
"""Pseudo-counts by which the last-token guesser may be drawn towards the unigram; of equal ones the first is taken."""
MOST_PAIRED = 1024
"""Codes of a level up to which pairs are counted: more would take gigabytes, and more windows than a guesser sees."""
FOLDS = 5
"""Parts of the training windows, each of which is guessed from the others to choose among the strengths."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Guessers:
    """Two guessers that know how often codes occur in training windows.

    Parameters
    ----------
    unigram_QV : Tensor of float64
        Probability of each code at each level.
    last_token_QSV : Tensor of float64
        The same, given the last visible code of the same sensor at this level: the one before the hidden run, or the
        first one after it where there is none before. The last row is for windows that show no token. With S = 1, for
        code books of more than 1024 codes, it knows no more than the unigram and is not scored.
    fitted : mapping
        JSON-able: what they were fitted on, and how.
    """

    unigram_QV: Tensor
    last_token_QSV: Tensor
    fitted: Mapping[str, Any]

    def score(self, batches: Iterable[MaskedBatch]) -> dict[str, Any]:
        """Guess the hidden codes of real sensors; items that come a second time are left out.

        Parameters
        ----------
        batches : iterable of MaskedBatch
            With codes, on the CPU.

        Returns
        -------
        dict
            JSON-able: ``chance`` (nats); ``unigram`` and, where pairs are counted, ``last_token``, each with ``loss``
            (nats), ``accuracy``, ``loss_level_1`` ..., ``<corpus>_loss`` ...; ``scored``: windows and hidden tokens of
            each corpus.

        Raises
        ------
        InputError
            Nothing is hidden.
        """
        levels, codes = self.unigram_QV.shape
        counts: dict[str, Tensor] = {}
        windows: dict[str, int] = defaultdict(int)
        for corpus, pairs_QSV in _pairs(batches, levels, codes):
            counts[corpus] = counts[corpus] + pairs_QSV if corpus in counts else pairs_QSV
            windows[corpus] += 1
        if not windows:
            raise InputError("The validation windows hide no token of a real sensor; there is nothing to guess.")
        return {
            "chance": math.log(codes),
            "unigram": _scores(counts, self.unigram_QV[:, None]),
            **({"last_token": _scores(counts, self.last_token_QSV)} if _known(codes) > 1 else {}),
            "scored": {
                "windows": dict(windows),
                "hidden_tokens": {name: _tokens(some) for name, some in counts.items()},
            },
        }


def fit_guessers(batches: Iterable[MaskedBatch], levels: int, codes: int) -> Guessers:
    """Count the hidden codes of training windows, and what was visible before them.

    The unigram adds 1 to every count. The last-token guesser is drawn towards it by a pseudo-count, for each level the
    one with which each fifth of the windows is guessed best from the others.

    Parameters
    ----------
    batches : iterable of MaskedBatch
        With codes, on the CPU.
    levels, codes : int
        Of the tokenizer.

    Raises
    ------
    InputError
        Nothing is hidden.
    """
    counts_FQSV = torch.zeros(FOLDS, levels, _known(codes), codes, dtype=torch.int64)
    windows: dict[str, int] = defaultdict(int)
    tokens: dict[str, int] = defaultdict(int)
    for number, (corpus, pairs_QSV) in enumerate(_pairs(batches, levels, codes)):
        counts_FQSV[number % FOLDS] += pairs_QSV
        windows[corpus] += 1
        tokens[corpus] += _tokens(pairs_QSV)
    if not windows:
        raise InputError("The training windows hide no token of a real sensor; a guesser has nothing to learn from.")
    strength_Q = _best_strength(counts_FQSV)
    counts_QSV = counts_FQSV.sum(0)
    smoothing = {"unigram_added": 1, "last_token_strength": strength_Q.tolist()}
    return Guessers(
        unigram_QV=_unigram(counts_QSV),
        last_token_QSV=_last_token(counts_QSV, strength_Q),
        fitted={"windows": dict(windows), "hidden_tokens": dict(tokens), **smoothing},
    )


def nearest_visible(mask_BT: Tensor) -> Tensor:
    """Find the last visible token before each place (itself where it is visible); the first after it if none is before.

    Parameters
    ----------
    mask_BT : Tensor of bool
        True where a token is hidden.

    Returns
    -------
    Tensor of int64, shape (B, T)
        Places; -1 in a window that shows none.
    """
    places_BT = torch.arange(mask_BT.shape[1]).expand_as(mask_BT)
    last_BT = places_BT.masked_fill(mask_BT, -1).cummax(1).values
    first_B1 = (~mask_BT).int().argmax(1, keepdim=True)
    first_B1 = first_B1.masked_fill(mask_BT.all(1, keepdim=True), -1)
    return torch.where(last_BT >= 0, last_BT, first_B1)


def _pairs(batches: Iterable[MaskedBatch], levels: int, codes: int) -> Iterator[tuple[str, Tensor]]:
    """Corpus of each window that is counted, and how often each code was hidden behind each visible one, (Q, S, V)."""
    for masked in batches:
        batch = masked.batch
        assert batch.codes_BCTQ is not None
        nearest_BT = nearest_visible(masked.mask_BT)
        for item, corpus in enumerate(batch.corpora):
            if batch.repeated_B is not None and batch.repeated_B[item]:
                continue
            codes_CTQ = batch.codes_BCTQ[item]
            if batch.sensor_mask_BC is not None:
                codes_CTQ = codes_CTQ[batch.sensor_mask_BC[item]]
            hidden_H = masked.mask_BT[item].nonzero().squeeze(1)
            if len(codes_CTQ) and len(hidden_H):
                yield corpus, _count(codes_CTQ.long(), hidden_H, nearest_BT[item, hidden_H], codes)


def _count(codes_CTQ: Tensor, hidden_H: Tensor, nearest_H: Tensor, codes: int) -> Tensor:
    levels, known = codes_CTQ.shape[2], _known(codes)
    rows_CHQ = torch.arange(levels) * known
    if known > 1:
        rows_CHQ = rows_CHQ + codes_CTQ[:, nearest_H.clamp(min=0)].masked_fill((nearest_H < 0)[:, None], codes)
    places_CHQ = rows_CHQ * codes + codes_CTQ[:, hidden_H]
    return torch.bincount(places_CHQ.flatten(), minlength=levels * known * codes).view(levels, known, codes)


def _known(codes: int) -> int:
    """S, how many things may be known of a hidden code."""
    return codes + 1 if codes <= MOST_PAIRED else 1


def _unigram(counts_QSV: Tensor) -> Tensor:
    counts_QV = counts_QSV.sum(1).double() + 1
    return counts_QV / counts_QV.sum(1, keepdim=True)


def _last_token(counts_QSV: Tensor, strength_Q: Tensor) -> Tensor:
    strength_Q11 = strength_Q[:, None, None]
    drawn_QSV = counts_QSV.double() + strength_Q11 * _unigram(counts_QSV)[:, None]
    return drawn_QSV / (counts_QSV.sum(2, keepdim=True) + strength_Q11)


def _best_strength(counts_FQSV: Tensor) -> Tensor:
    """Pseudo-count of each level with which the folds are guessed best from one another."""
    likelihoods = []
    for strength in STRENGTHS:
        strength_Q = torch.full(counts_FQSV.shape[1:2], strength, dtype=torch.float64)
        others_FQSV = (counts_FQSV.sum(0) - counts_QSV for counts_QSV in counts_FQSV)
        logs_FQSV = (_last_token(others_QSV, strength_Q).log() for others_QSV in others_FQSV)
        likelihoods.append(sum((c * g).sum((1, 2)) for c, g in zip(counts_FQSV, logs_FQSV, strict=True)))
    return torch.tensor(STRENGTHS, dtype=torch.float64)[torch.stack(likelihoods).argmax(0)]


def _tokens(counts_QSV: Tensor) -> int:
    return int(counts_QSV[0].sum())


def _scores(counts: Mapping[str, Tensor], guess_QSV: Tensor) -> dict[str, float]:
    """Loss and accuracy over all corpora, by level, and by corpus; `guess_QSV` may have S = 1 for every S."""
    loss_Q, accuracy_Q = _score(sum(counts.values(), start=torch.zeros((), dtype=torch.int64)), guess_QSV)
    scores = {"loss": loss_Q.mean().item(), "accuracy": accuracy_Q.mean().item()}
    for what, values_Q in (("loss", loss_Q), ("accuracy", accuracy_Q)):
        scores |= {f"{what}_level_{level}": value for level, value in enumerate(values_Q.tolist(), start=1)}
    for corpus in sorted(counts):
        loss_Q, accuracy_Q = _score(counts[corpus], guess_QSV)
        scores |= {f"{corpus}_loss": loss_Q.mean().item(), f"{corpus}_accuracy": accuracy_Q.mean().item()}
    return scores


def _score(counts_QSV: Tensor, guess_QSV: Tensor) -> tuple[Tensor, Tensor]:
    """Cross-entropy in nats and share guessed right, of each level."""
    tokens_Q = counts_QSV.sum((1, 2))
    loss_Q = -(counts_QSV * guess_QSV.log()).sum((1, 2)) / tokens_Q
    best_QS1 = guess_QSV.argmax(2, keepdim=True).expand(-1, counts_QSV.shape[1], -1)
    return loss_Q, counts_QSV.gather(2, best_QS1).sum((1, 2)).double() / tokens_Q
