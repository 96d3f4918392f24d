"""The losses under their published names (alias of `megxl.decoding.contrastive`)."""

from torch import Tensor

from megxl.decoding.contrastive import CLIP, Reduction, SigLIP, siglip_loss
from megxl.decoding.pairs import SAME_COSINE, NormKind


class ClipLoss(CLIP):
    """CLIP loss as published: a word that comes twice is its own rival, and the scale is a parameter.

    Parameters
    ----------
    norm_kind : {"x", "y", "xy", None}
    temperature, symmetric : bool
    """

    def __init__(self, norm_kind: NormKind = "y", temperature: bool = True, symmetric: bool = True) -> None:
        super().__init__(norm_kind, temperature, symmetric, learnable=True, duplicates=None)

    def forward(self, estimate: Tensor, candidate: Tensor) -> Tensor:
        """Loss of estimates (N, D) against candidates (M, D)."""
        return super().forward(estimate, candidate)


class SigLipLoss(SigLIP):
    """SigLIP loss as published: duplicates by their cosine, scale and bias parameters (which no published run trains).

    Parameters
    ----------
    norm_kind : {"x", "y", "xy", None}
    temperature, bias : bool
    identical_candidates_threshold : float, optional
        None: no two candidates are the same.
    reduction : {"sum", "mean"}
    reweigh_positives : bool
        What `forward` does unless it is told.
    """

    def __init__(
        self,
        norm_kind: NormKind = "y",
        temperature: bool = True,
        bias: bool = True,
        identical_candidates_threshold: float | None = SAME_COSINE,
        reduction: Reduction = "sum",
        reweigh_positives: bool = False,
    ) -> None:
        threshold = identical_candidates_threshold
        super().__init__(
            norm_kind,
            temperature,
            bias,
            reduction,
            learnable=True,
            duplicates=None if threshold is None else "cosine",
            threshold=SAME_COSINE if threshold is None else threshold,
            reweigh_positives=reweigh_positives,
        )

    def forward(self, estimate: Tensor, candidate: Tensor, reweigh_positives: bool | None = None) -> Tensor:
        """Loss of estimates (N, D) against candidates (M, D)."""
        reweigh = self.reweigh_positives if reweigh_positives is None else reweigh_positives
        return siglip_loss(
            estimate,
            candidate,
            self.same(candidate, None, len(estimate)),
            norm_kind=self.norm_kind,
            log_scale=self.temperature,
            bias=self.bias,
            reweigh_positives=reweigh,
            reduction=self.reduction,
        )
