"""Which sensors a head uses: by how much their features move the likeness of a word to its target.

The gradient of the cosine to the true word's vector, times the features it is taken at (Shrikumar et al. 2016,
arXiv:1605.01713), so that every head can be asked alike.

Letters: B batch, W words, C sensors, D width of the features, E width of the targets.
"""

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from megxl.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from megxl.decoding.decoder import Decoder, WordFeatures


def sensor_saliency(
    decoder: "Decoder",
    features: "WordFeatures",
    targets_BWE: Tensor,
    words_BW: Tensor,
    *,
    words_in_item_BW: Tensor | None = None,
    subjects: "Sequence[str] | None" = None,
) -> Tensor:
    """Say how much each sensor moves the likeness of words to their targets.

    Parameters
    ----------
    decoder : Decoder
        In eval mode: dropout would blur the answer.
    features : WordFeatures
        What its backbone makes of a batch.
    targets_BWE : Tensor, shape (B, W, E)
        Vectors of the true words; where `words_BW` is False anything finite.
    words_BW : Tensor of bool, shape (B, W)
        Words that are asked about: there, and with a target.
    words_in_item_BW : Tensor of bool, optional
        Words that there are, for heads that see the whole group; by default the same.
    subjects : sequence of str, optional
        Of each item.

    Returns
    -------
    Tensor, shape (B, C)
        Sum over the width of |gradient x features|, mean over the words of an item that are asked about; 0 for
        sensors that are masked out, and for an item without such a word.

    Raises
    ------
    InputError
        A decoder that trains.
    """
    if decoder.training:
        raise InputError("The sensors that a head uses are asked for in eval mode: call decoder.eval() first.")
    leaf_BWCD = features.words_BWCD.detach().float().requires_grad_()
    there_BW = words_BW if words_in_item_BW is None else words_in_item_BW
    with torch.enable_grad():
        vectors_BWE = decoder.from_features(features._replace(words_BWCD=leaf_BWCD), there_BW, subjects)
        likeness_BW = cosine_similarity(vectors_BWE.float(), targets_BWE, dim=-1)
        (gradient_BWCD,) = torch.autograd.grad(likeness_BW[words_BW].sum(), leaf_BWCD)
    moved_BWC = (gradient_BWCD * leaf_BWCD.detach()).abs().sum(-1)
    if features.sensor_mask_BC is not None:
        moved_BWC = moved_BWC.masked_fill(~features.sensor_mask_BC[:, None], 0)
    # a head that sees the group moves a word also through the features of its neighbours: all of them count
    return moved_BWC.sum(1) / words_BW.sum(1, keepdim=True).clamp(min=1)
