"""Residual vector quantizer of BioCodec: each level codes what the levels before it left over, by cosine.

Letters: N rows, T tokens, D width of the encoder's vectors, K width of a code vector, Q levels, V codes.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from megxl.errors import InputError
from megxl.tokenizer.precision import full_precision


class Quantized(NamedTuple):
    """What the quantizer makes of the encoder's vectors."""

    vectors_NTD: Tensor
    """Sum of the levels' code vectors, projected out; gradients pass straight through to the input."""
    codes_NTQ: Tensor
    """Index of the chosen code at each level (int64)."""
    commitment: Tensor
    """Mean over levels of the squared distance of a projected input to its code vector (its gradient moves the
    encoder, never the code books)."""


class Observed(NamedTuple):
    """What one level saw in a training pass, without a graph."""

    level: int
    inputs_NTK: Tensor
    """Projected vectors, of any length."""
    codes_NT: Tensor
    """The codes that they got."""


Observer = Callable[[Observed], None]
"""Is told of each level in turn; the quantizer itself never changes in a pass."""


class LevelStep(NamedTuple):
    """What one level makes of the residual."""

    inputs_NTK: Tensor
    codes_NT: Tensor
    vectors_NTD: Tensor
    commitment: Tensor


class Level(nn.Module):
    """One level: project in, find the code of highest cosine, project its stored vector out.

    `counts` and `sums` are the running statistics that training a tokenizer keeps, `initialised` (0 or 1) says whether
    the code book is more than random directions; inference reads `code_book` alone.
    """

    code_book: Tensor
    initialised: Tensor
    counts: Tensor
    sums: Tensor

    def __init__(self, width: int, code_width: int, codes: int) -> None:
        super().__init__()
        self.project_in = nn.Linear(width, code_width)
        self.project_out = nn.Linear(code_width, width)
        vectors_VK = F.normalize(torch.randn(codes, code_width), dim=-1)
        self.register_buffer("initialised", torch.zeros(1))
        self.register_buffer("counts", torch.zeros(codes))
        self.register_buffer("code_book", vectors_VK)
        self.register_buffer("sums", torch.zeros(codes, code_width))

    def search(self, x_NTK: Tensor) -> Tensor:
        """Index of the code with the highest cosine (N, T)."""
        # the length of x does not matter, but near ties round as in the published search only if it is divided out
        return (F.normalize(x_NTK, dim=-1) @ F.normalize(self.code_book, dim=-1).T).argmax(-1)

    def forward(self, x_NTD: Tensor) -> LevelStep:
        """Quantize at this level; gradients pass straight through to x."""
        x_NTK = self.project_in(x_NTD)
        codes_NT = self.search(x_NTK)
        code_NTK = F.embedding(codes_NT, self.code_book)
        commitment = F.mse_loss(x_NTK, code_NTK)
        straight_through_NTK = x_NTK + (code_NTK - x_NTK).detach() if torch.is_grad_enabled() else code_NTK
        return LevelStep(x_NTK, codes_NT, self.project_out(straight_through_NTK), commitment)

    def vectors(self, codes_NT: Tensor) -> Tensor:
        """Vectors (N, T, D) that stand for these codes."""
        return self.project_out(F.embedding(codes_NT, self.code_book))


class ResidualQuantizer(nn.Module):
    """A stack of levels on the residual of the levels before."""

    def __init__(self, *, levels: int, width: int, code_width: int, codes: int) -> None:
        super().__init__()
        self.levels = nn.ModuleList(Level(width, code_width, codes) for _ in range(levels))

    def _levels(self) -> Iterator[Level]:
        return cast(Iterator[Level], iter(self.levels))

    def forward(self, x_NTD: Tensor, observe: Observer | None = None) -> Quantized:
        """Quantize at all levels; gradients reach x through every level's straight-through step.

        It runs in the weights' precision whatever autocast says: bfloat16 has too few digits to tell codes apart.

        Parameters
        ----------
        x_NTD : Tensor, shape (N, T, D)
            The encoder's vectors.
        observe : callable, optional
            Told of each level's projected inputs and codes (`CodeBookLearner.observer`).
        """
        with full_precision(x_NTD.device.type):
            residual_NTD = x_NTD.to(next(self._levels()).code_book.dtype)
            total_NTD = torch.zeros_like(residual_NTD)
            codes, commitments = [], []
            for q, level in enumerate(self._levels()):
                step: LevelStep = level(residual_NTD)
                if observe is not None:
                    observe(Observed(q, step.inputs_NTK.detach(), step.codes_NT))
                # detached: what a level leaves over is data for the next, not a way to train the levels before
                residual_NTD = residual_NTD - step.vectors_NTD.detach()
                total_NTD = total_NTD + step.vectors_NTD
                codes.append(step.codes_NT)
                commitments.append(step.commitment)
            return Quantized(total_NTD, torch.stack(codes, -1), torch.stack(commitments).mean())

    def search(self, x_NTD: Tensor) -> Tensor:
        """Codes (N, T, Q) alone, without losses."""
        codes = []
        for level in self._levels():
            codes.append(level.search(level.project_in(x_NTD)))
            x_NTD = x_NTD - level.vectors(codes[-1])
        return torch.stack(codes, -1)

    def decode(self, codes_NTQ: Tensor) -> Tensor:
        """Vectors (N, T, D) that stand for these codes; fewer levels than there are mean the first ones."""
        if codes_NTQ.shape[-1] > len(self.levels):
            raise InputError(f"Codes of {codes_NTQ.shape[-1]} levels cannot be decoded by {len(self.levels)} levels.")
        steps = zip(self._levels(), codes_NTQ.unbind(-1), strict=False)
        return torch.stack([level.vectors(codes_NT) for level, codes_NT in steps]).sum(0)

    @property
    def vectors_QVD(self) -> Tensor:
        """What each code of each level stands for, projected out (Q, V, D)."""
        books = ((level, torch.arange(len(level.code_book), device=level.code_book.device)) for level in self._levels())
        return torch.stack([level.vectors(codes_V) for level, codes_V in books])

    @property
    def code_books_QVK(self) -> Tensor:
        """All code books, stacked (Q, V, K)."""
        return torch.stack([level.code_book for level in self._levels()])
