"""How well a tokenizer does on the validation windows: its objective, how true it is, and which codes it uses.

Letters: N rows (one sensor each), T samples or tokens, Q levels, V codes, S sums.
"""

import torch
import torch.distributed as dist
from torch import Tensor

from megxl.tokenizer.biocodec import CodecOutput
from megxl.tokenizer.code_statistics import CodeCounts
from megxl.tokenizer.fidelity import Fidelity
from megxl.tokenizer.objective import ObjectiveTerms
from megxl.training.progress import Row
from megxl.training.tokenizer.rows import Rows

TERMS = ("loss", "time", "spectral", "commitment")
"""Columns of the objective: its weighted sum, and its parts without weights."""


class Validation:
    """What is measured in one validation, on this rank until `gather`.

    Parameters
    ----------
    levels, codes : int
        Of the tokenizer.
    samples_per_token : int
        Of the tokenizer.
    """

    def __init__(self, levels: int, codes: int, samples_per_token: int) -> None:
        self.counts = CodeCounts(levels, codes)
        self.fidelity: Fidelity | None = None
        self._samples_per_token = samples_per_token
        self._sums_S = torch.zeros(1 + len(TERMS), dtype=torch.float64)

    def add(self, rows: Rows, output: CodecOutput, terms: ObjectiveTerms) -> None:
        """Measure what a tokenizer made of scaled rows."""
        self.fidelity = self.fidelity or Fidelity(rows.sfreq_hz)
        self.fidelity.add(output.signal_N1T[:, 0].float(), rows.signal_N1T[:, 0], rows.groups)
        self.counts.add(output.codes_NQT.transpose(1, 2))
        self._sums_S += row_sums(len(rows), terms).cpu()

    def gather(self) -> None:
        """Join what all ranks measured."""
        if not (dist.is_available() and dist.is_initialized()):
            return
        everything: list[tuple[Fidelity | None, Tensor, Tensor]] = [None] * dist.get_world_size()  # pyright: ignore
        dist.all_gather_object(everything, (self.fidelity, self.counts.counts_QV.cpu(), self._sums_S))
        first, *others = [fidelity for fidelity, _, _ in everything if fidelity is not None]
        for other in others:
            first.merge(other)
        self.fidelity = first
        self.counts.counts_QV = torch.stack([counts_QV for _, counts_QV, _ in everything]).sum(0)
        self._sums_S = torch.stack([sums_S for _, _, sums_S in everything]).sum(0)

    def row(self) -> Row:
        """Say all of it by names of columns; None where no row has a measure (all are flat)."""
        assert self.fidelity is not None, "a validation has rows"
        told, rows = self.fidelity.summary(), self._sums_S[0]
        rate = self.counts.bits_per_second(self.fidelity.sfreq_hz, self._samples_per_token)
        r = told["r"]
        by_level = {
            "usage": self.counts.usage_Q,
            "perplexity": self.counts.perplexity_Q,
            "entropy_bits": self.counts.entropy_bits_Q,
        }
        return {
            **dict(zip(TERMS, (self._sums_S[1:] / rows).tolist(), strict=True)),
            "r": r["mean"],
            **{f"r_{name}": r[name] for name in ("median", "p5", "p95")},
            "si_sdr_db": told["si_sdr_db"]["mean"],
            "variance": told["variance_explained"]["mean"],
            **{f"{band}_error_db": error["mean"] for band, error in told["bands"].items()},
            "bits_per_s": rate.entropy_coded,
            "rows": told["rows"],
            "flat_rows": told["flat_rows"],
            **{f"{name}_level_{q}": x for name, x_Q in by_level.items() for q, x in enumerate(x_Q.tolist(), 1)},
        }


def row_sums(rows: int, terms: ObjectiveTerms) -> Tensor:
    """Number of rows, and the terms summed over them, for sums over batches and ranks."""
    # filled where it lies: a number copied to a GPU would wait for all that it still has to do
    return torch.stack([terms.total.new_full((), rows), *(rows * term.detach() for term in terms)])
