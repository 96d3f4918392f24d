"""The retrieval metrics to the number as published, for comparison alone; `megxl.decoding.metrics` has ours.

Letters: N words, M those whose word is a candidate, K candidates, V vocabulary, D width of a vector.
"""

from collections.abc import Sequence

import numpy as np
from torch import Tensor
from torch.nn.functional import cosine_similarity, normalize

from megxl.decoding.metrics import Metric
from megxl.decoding.predictions import check_rows
from megxl.errors import InputError


def published_metrics(
    vectors_ND: Tensor, labels_N: Tensor, targets_VD: Tensor, sizes: Sequence[int] = (50, 250), k: int = 10
) -> dict[str, float]:
    """Metrics to the number as published (reference mode), in float32.

    There, ties stand in the order of topk, an empty retrieval set scores 0, and `k` above the candidates or sizes
    above the vocabulary keep their names. Only NaN, infinite values and words without a target are refused.
    """
    check_rows(vectors_ND, str, "predictions", zeros=True)
    check_rows(targets_VD, str, "target vectors", zeros=True)
    if not len(labels_N) or not 0 <= int(labels_N.min()) <= int(labels_N.max()) < len(targets_VD):
        raise InputError(f"Labels must be from 0 to {len(targets_VD) - 1}, one a word, and at least one.")
    values: dict[str, float] = {}
    cosines_NV = normalize(vectors_ND) @ normalize(targets_VD).T
    for among in (*sizes, None):
        kept_N = labels_N < (among or len(targets_VD))
        suffix = f"_retrieval{among}" if among else ""
        hits_M = _published_hits(cosines_NV[kept_N, :among], labels_N[kept_N], k)
        for balanced in (False, True):
            name = Metric(k=k, among=None, balanced=balanced).name + suffix
            values[name] = Metric(balanced=balanced).mean(hits_M, labels_N[kept_N].numpy()) if len(hits_M) else 0.0
        values |= {f"n_samples{suffix}": int(kept_N.sum()), f"n_skipped{suffix}": int((~kept_N).sum())}
    cosine_N = cosine_similarity(vectors_ND, targets_VD[labels_N])
    norm_N = vectors_ND.norm(dim=1)
    return values | {
        "mean_cosine_similarity": float(cosine_N.mean()),
        "std_cosine_similarity": float(cosine_N.std()),
        "mean_pred_norm": float(norm_N.mean()),
        "std_pred_norm": float(norm_N.std()),
        "mean_target_norm": float(targets_VD[labels_N].norm(dim=1).mean()),
    }


def _published_hits(cosines_MK: Tensor, labels_M: Tensor, k: int) -> np.ndarray:
    first_MX = cosines_MK.topk(min(k, cosines_MK.shape[1])).indices
    return (first_MX == labels_M[:, None]).any(1).double().numpy()
