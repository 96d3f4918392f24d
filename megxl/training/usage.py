"""Which codes a tokenizer uses: the share of a code book that occurs, and the perplexity of what occurs.

Letters: B batch, C sensors, T tokens, Q levels, V codes, N rows (tokens of all sensors).
"""

from typing import Any

import torch
from torch import Tensor

from megxl.data.batch import Batch


class CodeUsage:
    """Counts of the codes of real sensors, by corpus and level.

    Parameters
    ----------
    levels, codes : int
        Of the tokenizer.
    """

    def __init__(self, levels: int, codes: int) -> None:
        self._shape = (levels, codes)
        self._counts: dict[str, Tensor] = {}

    def add(self, batch: Batch) -> None:
        """Count a batch, which has codes and lies on the CPU; items that come a second time are left out."""
        assert batch.codes_BCTQ is not None
        for item, corpus in enumerate(batch.corpora):
            if batch.repeated_B is not None and batch.repeated_B[item]:
                continue
            codes_CTQ = batch.codes_BCTQ[item]
            if batch.sensor_mask_BC is not None:
                codes_CTQ = codes_CTQ[batch.sensor_mask_BC[item]]
            counts_QV = self._counts.setdefault(corpus, torch.zeros(self._shape, dtype=torch.int64))
            counts_QV += _count(codes_CTQ.flatten(0, 1), self._shape[1])

    def summary(self) -> dict[str, Any]:
        """Say what was used.

        Returns
        -------
        dict
            JSON-able. For ``all`` and each corpus: ``tokens``; by level ``used``, the share of the codes that occur,
            and ``perplexity``, the number of codes that would be as hard to guess if all occurred equally often.
        """
        everything_QV = sum(self._counts.values(), start=torch.zeros(self._shape, dtype=torch.int64))
        return {"all": _told(everything_QV)} | {name: _told(self._counts[name]) for name in sorted(self._counts)}


def _count(codes_NQ: Tensor, codes: int) -> Tensor:
    levels = codes_NQ.shape[1]
    places_NQ = torch.arange(levels) * codes + codes_NQ.long()
    return torch.bincount(places_NQ.flatten(), minlength=levels * codes).view(levels, codes)


def _told(counts_QV: Tensor) -> dict[str, Any]:
    tokens_Q1 = counts_QV.sum(1, keepdim=True)
    shares_QV = counts_QV.double() / tokens_Q1.clamp(min=1)
    entropy_Q = -torch.special.xlogy(shares_QV, shares_QV).sum(1)
    return {
        "tokens": int(tokens_Q1[0]),
        "used": (counts_QV > 0).double().mean(1).tolist(),
        "perplexity": entropy_Q.exp().tolist(),
    }
