"""How code books are learned: k-means on the first batch, running means of what chose a code, new life for dead codes.

Letters: N rows, T tokens, M vectors (tokens of all rows), D width, K code width, C = K + 1, Q levels, V codes.
"""

import math
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, cast

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor

from megxl.errors import InputError
from megxl.tokenizer.book_steps import Books, moved, reshuffled, revived
from megxl.tokenizer.clusters import cluster_statistics, counts_and_sums, spherical_kmeans
from megxl.tokenizer.draws import LAST, Draw, priorities
from megxl.tokenizer.precision import full_precision
from megxl.tokenizer.quantizer import Level, Observed, Observer, ResidualQuantizer


@dataclass(frozen=True, kw_only=True)
class CodeBookRules:
    """How code books follow the encoder; the defaults are the published ones."""

    decay: float = 0.99
    """Share of the running counts and sums that outlives an optimiser step."""
    smoothing: float = 1e-5
    """Weight, in vectors, of where a code is now; it keeps a code in place that nothing chose."""
    kmeans_iterations: int = 50
    """At most so many, on the first batch."""
    kmeans_vectors: int = 8192
    """At most so many vectors of the first batch."""
    dead_below: float = 2.0
    """Running count (vectors a step) below which a code begins anew from an input; 0: never. A code with a
    tenth of the mean of its level is never dead, as few vectors cannot give `dead_below` to each code."""

    def __post_init__(self) -> None:
        """Refuse what cannot be meant, by name."""
        for name, allowed, fits in (
            ("decay", "a number from 0 to 1", lambda value: 0 <= value <= 1),
            ("smoothing", "a number above 0", lambda value: 0 < value < math.inf),
            ("dead_below", "a number of at least 0", lambda value: 0 <= value < math.inf),
        ):
            value = getattr(self, name)
            if type(value) not in (int, float) or not fits(value):
                raise InputError(f"codebooks.{name} must be {allowed}, not {value!r}.")
        for name in ("kmeans_iterations", "kmeans_vectors"):
            value = getattr(self, name)
            if type(value) is not int or value < 1:
                raise InputError(f"codebooks.{name} must be a whole number of at least 1, not {value!r}.")


class CodeBookNews(NamedTuple):
    """What an update did, by level (int64, on the quantizer's device)."""

    used_Q: Tensor
    """Codes that at least one vector of the step chose."""
    revived_Q: Tensor
    """Dead codes that began anew."""


class CodeBookLearner:
    """Changes the code books of a quantizer, once an optimiser step, by what the step's vectors chose.

    A step may have any number of micro-batches and ranks: its statistics are those of all its vectors, in whole
    numbers, so that it does not matter how rows are dealt. All that lasts lies in the buffers of the levels. Running
    sums are of unit-length inputs, because the search looks at directions alone.

    Parameters
    ----------
    quantizer : ResidualQuantizer
        Changed in place.
    rules : CodeBookRules
    """

    def __init__(self, quantizer: ResidualQuantizer, rules: CodeBookRules) -> None:
        self.levels = [cast(Level, level) for level in quantizer.levels]
        self.rules = rules
        self.codes = len(self.levels[0].code_book)
        if rules.kmeans_vectors < self.codes:
            raise InputError(
                f"codebooks.kmeans_vectors = {rules.kmeans_vectors} is less than the {self.codes} codes that are to "
                "be found among them; give at least as many, better 10 times as many."
            )
        self._forget()

    @property
    def initialised(self) -> bool:
        """Whether every level has a code book to go on from, as those of released weights."""
        return all(bool(level.initialised) for level in self.levels)

    @torch.no_grad()
    def initialise(self, vectors_NTD: Tensor, seeds_N: Tensor, seed: int) -> None:
        """Find a code book by k-means for each level that has none; with it counts and sums, as of a step of this size.

        All ranks must call it, each with its own rows. A cluster that remains empty is revived by the first update.

        Parameters
        ----------
        vectors_NTD : Tensor, shape (N, T, D)
            The encoder's vectors of the first batch (`BioCodec.vectors`).
        seeds_N : Tensor of int64, shape (N,)
            One a row, all different over all ranks: they alone say which vectors are used.
        seed : int
            Of the training.
        """
        with full_precision(vectors_NTD.device.type):
            residual_MD, scale = self._sample(vectors_NTD.to(self.levels[0].code_book.dtype), seeds_N, seed)
            for level in self.levels:
                inputs_MK = level.project_in(residual_MD)
                if not bool(level.initialised):
                    self._find(level, F.normalize(inputs_MK, dim=-1), scale)
                residual_MD = residual_MD - level.vectors(level.search(inputs_MK))

    def observer(self, seeds_N: Tensor) -> Observer:
        """For `BioCodec.forward` of a micro-batch; its rows' seeds (int64) are all different over the whole step."""
        return partial(self.observe, seeds_N=seeds_N)

    @torch.no_grad()
    def observe(self, observed: Observed, seeds_N: Tensor) -> None:
        """Add what one level saw of a micro-batch; the code book changes with the next `update` only."""
        unit_NTK = F.normalize(observed.inputs_NTK, dim=-1)
        if self._statistics_QVC is None:
            self._prepare(unit_NTK)
        assert self._statistics_QVC is not None and self._draw is not None
        unit_MK = unit_NTK.flatten(0, 1)
        self._statistics_QVC[observed.level] += cluster_statistics(unit_MK, observed.codes_NT.flatten(), self.codes)
        priorities_M = priorities(seeds_N.to(unit_MK.device), unit_NTK.shape[1], observed.level).flatten()
        # a vector of no direction cannot become a code
        priorities_M = priorities_M.masked_fill((unit_MK == 0).all(-1), LAST)
        so_far = Draw(*(part_Q[observed.level] for part_Q in self._draw))
        drawn = so_far.beside(Draw(priorities_M, unit_MK)).first(self.codes)
        for part_Q, part in zip(self._draw, drawn, strict=True):
            part_Q[observed.level] = part

    @torch.no_grad()
    def update(self, step: int, seed: int) -> CodeBookNews:
        """Move the code books by all that was observed since the last update, on all ranks; all must call it.

        Parameters
        ----------
        step : int
            Number of the optimiser step.
        seed : int
            Of the training; with the step, the level and the seeds of the rows it says which inputs revive codes.
        """
        assert self._statistics_QVC is not None and self._draw is not None, "an update without anything observed"
        statistics_QVC, draw = self._statistics_QVC, self._draw
        if dist.is_available() and dist.is_initialized():
            dist.all_reduce(statistics_QVC)
        new_counts_QV, new_sums_QVK = counts_and_sums(statistics_QVC, self.levels[0].code_book.dtype)
        decay, smoothing = self.rules.decay, self.rules.smoothing
        books = moved(self._read(), new_counts_QV, new_sums_QVK, decay=decay, smoothing=smoothing)
        revived_Q = torch.zeros_like(statistics_QVC[:, 0, 0])
        if self.rules.dead_below:
            draw = reshuffled(draw.of_all_ranks(self.codes), seed, step)
            books, revived_Q = revived(books, draw, self.rules.dead_below)
        self._write(books)
        self._forget()
        return CodeBookNews((new_counts_QV > 0).sum(-1), revived_Q)

    def _sample(self, vectors_NTD: Tensor, seeds_N: Tensor, seed: int) -> tuple[Tensor, float]:
        """Vectors (M, D) of all ranks for k-means, and how many each stands for."""
        most = self.rules.kmeans_vectors
        numbers_NT = priorities(seeds_N.to(vectors_NTD.device), vectors_NTD.shape[1], seed)
        total = torch.tensor(numbers_NT.numel(), device=vectors_NTD.device)
        if dist.is_available() and dist.is_initialized():
            dist.all_reduce(total)
        draw = Draw(numbers_NT.flatten(), vectors_NTD.flatten(0, 1)).first(most).of_all_ranks(most)
        used = min(int(total), most)
        return draw.vectors_MD[:used], int(total) / used

    def _find(self, level: Level, unit_MK: Tensor, scale: float) -> None:
        # a draw is in random order, so its first vectors are a fair start; random directions stand in for lacking ones
        start_VK = torch.cat([unit_MK[: self.codes], level.code_book[len(unit_MK) :]])
        clusters = spherical_kmeans(unit_MK, start_VK, self.rules.kmeans_iterations)
        level.code_book.copy_(clusters.centroids_VK)
        level.counts.copy_(clusters.counts_V * scale)
        level.sums.copy_(clusters.sums_VK * scale)
        level.initialised.fill_(1)

    def _forget(self) -> None:
        self._statistics_QVC: Tensor | None = None
        self._draw: Draw | None = None

    def _prepare(self, like_NTK: Tensor) -> None:
        places, width = (len(self.levels), self.codes), like_NTK.shape[-1]
        self._statistics_QVC = like_NTK.new_zeros(*places, width + 1, dtype=torch.int64)
        self._draw = Draw(like_NTK.new_full(places, LAST, dtype=torch.int64), like_NTK.new_zeros(*places, width))

    def _read(self) -> Books:
        buffers = ((level.code_book, level.counts, level.sums) for level in self.levels)
        return Books(*(torch.stack(parts) for parts in zip(*buffers, strict=True)))

    def _write(self, books: Books) -> None:
        for q, level in enumerate(self.levels):
            level.code_book.copy_(books.code_books_QVK[q])
            level.counts.copy_(books.counts_QV[q])
            level.sums.copy_(books.sums_QVK[q])
