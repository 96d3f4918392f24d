"""Losses that draw a word's estimate to its own vector and away from those of other words: SigLIP and CLIP.

Letters: N estimates, M candidates (the first N belong to the estimates, in their order; more are others), D width.
"""

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from megxl.decoding.pairs import (
    NORM_KINDS,
    SAME_COSINE,
    NormKind,
    check_option,
    own_pairs,
    same_vectors,
    same_words,
    similarity,
)
from megxl.errors import InputError

Reduction = Literal["sum", "mean"]
"""Published names: the sum over all pairs, by the number of estimates; the mean over all pairs, by it once more."""
Duplicates = Literal["word", "cosine"] | None
"""What makes two candidates the same: their word, nearly parallel vectors (published), nothing."""
SIGLIP_LOG_SCALE, SIGLIP_BIAS = math.log(10), -10.0
CLIP_LOG_SCALE = math.log(1 / 0.07)


def siglip_loss(
    estimates_ND: Tensor,
    candidates_MD: Tensor,
    same_NM: Tensor | None = None,
    *,
    norm_kind: NormKind = "xy",
    log_scale: Tensor | float = SIGLIP_LOG_SCALE,
    bias: Tensor | float = SIGLIP_BIAS,
    reweigh_positives: bool = True,
    reduction: Reduction = "sum",
) -> Tensor:
    """Judge of every pair of estimate and candidate, by itself, whether they belong together.

    Parameters
    ----------
    estimates_ND, candidates_MD : Tensor
    same_NM : Tensor of bool, optional
        True where a candidate is the same as the estimate's own (`same_words`, `same_vectors`).
    norm_kind : {"x", "y", "xy", None}
    log_scale, bias : Tensor or float
        The logit of a pair is ``exp(log_scale) * similarity + bias``.
    reweigh_positives : bool
        Leave such pairs out, but for the own one; otherwise they are positives like it.
    reduction : {"sum", "mean"}

    Returns
    -------
    Tensor
        Scalar in nats, at least float32, also under autocast; NaN where the input is.

    Raises
    ------
    InputError
        Shapes that do not fit (`similarity`), an unknown option.
    """
    check_option("reduction", reduction, ("sum", "mean"))
    logits_NM = _scale(log_scale) * similarity(estimates_ND, candidates_MD, norm_kind) + bias
    own_NM = own_pairs(logits_NM)
    positive_NM = own_NM if same_NM is None or reweigh_positives else own_NM | _fitting(same_NM, logits_NM)
    losses_NM = -F.logsigmoid(torch.where(positive_NM, logits_NM, -logits_NM))
    if same_NM is not None and reweigh_positives:
        losses_NM = losses_NM * (own_NM | ~_fitting(same_NM, logits_NM))
    total = losses_NM.sum() if reduction == "sum" else losses_NM.mean()
    return total / len(estimates_ND)


def clip_loss(
    estimates_ND: Tensor,
    candidates_MD: Tensor,
    same_NM: Tensor | None = None,
    *,
    norm_kind: NormKind = "y",
    log_scale: Tensor | float = CLIP_LOG_SCALE,
    symmetric: bool = True,
) -> Tensor:
    """Choose the candidate of each estimate among all; if symmetric, also the estimate of each candidate.

    Parameters
    ----------
    estimates_ND, candidates_MD : Tensor
    same_NM : Tensor of bool, optional
        True where a candidate is the same as the estimate's own: but for the own one, it does not compete.
    norm_kind : {"x", "y", "xy", None}
    log_scale : Tensor or float
        The logit of a pair is ``exp(log_scale) * similarity``.
    symmetric : bool
        The mean of both directions; the second one is for the candidates that have an estimate.

    Returns
    -------
    Tensor
        Scalar in nats, at least float32, also under autocast; NaN where the input is.

    Raises
    ------
    InputError
        Shapes that do not fit (`similarity`), an unknown option.
    """
    logits_NM = _scale(log_scale) * similarity(estimates_ND, candidates_MD, norm_kind)
    if same_NM is not None:
        logits_NM = logits_NM.masked_fill(_fitting(same_NM, logits_NM) & ~own_pairs(logits_NM), -math.inf)
    count = len(estimates_ND)
    own_N = torch.arange(count, device=logits_NM.device)
    loss = F.cross_entropy(logits_NM, own_N)
    return (loss + F.cross_entropy(logits_NM[:, :count].T, own_N)) / 2 if symmetric else loss


class _Contrastive(nn.Module):
    """What both losses keep: a log scale, and what makes candidates the same."""

    temperature: Tensor
    """Log of the scale, one element."""

    def __init__(self, norm_kind: NormKind, duplicates: Duplicates, threshold: float) -> None:
        super().__init__()
        check_option("norm_kind", norm_kind, NORM_KINDS)
        check_option("duplicates", duplicates, ("word", "cosine", None))
        self.norm_kind: NormKind = norm_kind
        self.duplicates: Duplicates = duplicates
        self.threshold = threshold

    def keep(self, name: str, value: float, learnable: bool) -> None:
        """Add a number that is trained, or one that no optimizer can find."""
        tensor = torch.tensor([value])  # not a scalar: FSDP cannot shard one
        if learnable:
            self.register_parameter(name, nn.Parameter(tensor))
        else:
            self.register_buffer(name, tensor)

    def same(self, candidates_MD: Tensor, words_M: Tensor | None, count: int) -> Tensor | None:
        """True where a candidate is the same as one of the first `count`; None: no two are."""
        if self.duplicates is None:
            return None
        if self.duplicates == "cosine":
            return same_vectors(candidates_MD, count, self.threshold)
        if words_M is None or words_M.shape != candidates_MD.shape[:1]:
            given = "none" if words_M is None else f"the shape {tuple(words_M.shape)}"
            raise InputError(
                f"words_M has {given} for {len(candidates_MD)} candidates; duplicates='word' needs the number of each "
                "one's word (or choose 'cosine' or None)."
            )
        return same_words(words_M, count)


class SigLIP(_Contrastive):
    """`siglip_loss` with its scale and bias; the defaults are the published ones, with duplicates told by their word.

    Parameters
    ----------
    norm_kind : {"x", "y", "xy", None}
    temperature, bias : bool
        Scale 10 and bias -10; otherwise scale 1 and bias 0, which are never trained.
    learnable : bool
        Make them parameters, which weight decay should spare. Fixed ones, as published, bound the loss: with
        "xy" no logit is above 0, and the own pair costs at least ln 2.
    reduction : {"sum", "mean"}
    duplicates : {"word", "cosine", None}
    threshold : float
        For "cosine".
    reweigh_positives : bool
        Leave duplicates out; otherwise they are positives.
    """

    bias: Tensor
    """One element."""

    def __init__(
        self,
        norm_kind: NormKind = "xy",
        temperature: bool = True,
        bias: bool = True,
        reduction: Reduction = "sum",
        *,
        learnable: bool = False,
        duplicates: Duplicates = "word",
        threshold: float = SAME_COSINE,
        reweigh_positives: bool = True,
    ) -> None:
        super().__init__(norm_kind, duplicates, threshold)
        check_option("reduction", reduction, ("sum", "mean"))
        self.keep("temperature", SIGLIP_LOG_SCALE if temperature else 0.0, temperature and learnable)
        self.keep("bias", SIGLIP_BIAS if bias else 0.0, bias and learnable)
        self.reduction: Reduction = reduction
        self.reweigh_positives = reweigh_positives

    def forward(self, estimates_ND: Tensor, candidates_MD: Tensor, words_M: Tensor | None = None) -> Tensor:
        """Loss of a batch; `words_M` are the numbers of the candidates' words."""
        same_NM = self.same(candidates_MD, words_M, len(estimates_ND))
        return siglip_loss(
            estimates_ND,
            candidates_MD,
            same_NM,
            norm_kind=self.norm_kind,
            log_scale=self.temperature,
            bias=self.bias,
            reweigh_positives=self.reweigh_positives,
            reduction=self.reduction,
        )


class CLIP(_Contrastive):
    """`clip_loss` with its scale; the defaults are the published ones, with duplicates left out by their word.

    Parameters
    ----------
    norm_kind : {"x", "y", "xy", None}
    temperature : bool
        Scale 1 / 0.07; otherwise 1, which is never trained.
    symmetric : bool
    learnable : bool
        Make the scale a parameter, which weight decay should spare.
    duplicates : {"word", "cosine", None}
        Published: None.
    threshold : float
        For "cosine".
    """

    def __init__(
        self,
        norm_kind: NormKind = "y",
        temperature: bool = True,
        symmetric: bool = True,
        *,
        learnable: bool = False,
        duplicates: Duplicates = "word",
        threshold: float = SAME_COSINE,
    ) -> None:
        super().__init__(norm_kind, duplicates, threshold)
        self.keep("temperature", CLIP_LOG_SCALE if temperature else 0.0, temperature and learnable)
        self.symmetric = symmetric

    def forward(self, estimates_ND: Tensor, candidates_MD: Tensor, words_M: Tensor | None = None) -> Tensor:
        """Loss of a batch; `words_M` are the numbers of the candidates' words."""
        return clip_loss(
            estimates_ND,
            candidates_MD,
            self.same(candidates_MD, words_M, len(estimates_ND)),
            norm_kind=self.norm_kind,
            log_scale=self.temperature,
            symmetric=self.symmetric,
        )


def _scale(log_scale: Tensor | float) -> Tensor | float:
    return log_scale.exp() if isinstance(log_scale, Tensor) else math.exp(log_scale)


def _fitting(same_NM: Tensor, logits_NM: Tensor) -> Tensor:
    if same_NM.shape != logits_NM.shape or same_NM.dtype != torch.bool:
        raise InputError(
            f"same_NM is {same_NM.dtype} of the shape {tuple(same_NM.shape)}; give booleans of the shape "
            f"{tuple(logits_NM.shape)}: estimates, candidates."
        )
    return same_NM
