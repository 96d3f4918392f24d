"""Which codes a tokenizer uses: the share of a code book that occurs, and the perplexity of what occurs.

Letters: B batch, C sensors, T tokens, Q levels.
"""

from typing import Any

from megxl.data.batch import Batch
from megxl.tokenizer.code_statistics import CodeCounts


class CodeUsage:
    """Counts of the codes of real sensors, by corpus and level.

    Parameters
    ----------
    levels, codes : int
        Of the tokenizer.
    """

    def __init__(self, levels: int, codes: int) -> None:
        self._shape = (levels, codes)
        self._counts: dict[str, CodeCounts] = {}

    def add(self, batch: Batch) -> None:
        """Count a batch, which has codes and lies on the CPU; items that come a second time are left out."""
        assert batch.codes_BCTQ is not None
        for item, corpus in enumerate(batch.corpora):
            if batch.repeated_B is not None and batch.repeated_B[item]:
                continue
            codes_CTQ = batch.codes_BCTQ[item]
            if batch.sensor_mask_BC is not None:
                codes_CTQ = codes_CTQ[batch.sensor_mask_BC[item]]
            self._counts.setdefault(corpus, CodeCounts(*self._shape)).add(codes_CTQ)

    def summary(self) -> dict[str, Any]:
        """Say what was used.

        Returns
        -------
        dict
            JSON-able. For ``all`` and each corpus: ``tokens``; by level ``used``, the share of the codes that occur,
            and ``perplexity``, the number of codes that would be as hard to guess if all occurred equally often.
        """
        everything = CodeCounts(*self._shape)
        for counts in self._counts.values():
            everything.counts_QV += counts.counts_QV
        return {"all": _told(everything)} | {name: _told(self._counts[name]) for name in sorted(self._counts)}


def _told(counts: CodeCounts) -> dict[str, Any]:
    return {
        "tokens": counts.tokens,
        "used": counts.usage_Q.tolist(),
        "perplexity": counts.perplexity_Q.tolist(),
    }
