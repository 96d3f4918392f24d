"""How sure a mean over recordings is: windows of one recording resemble each other, so whole recordings are resampled.

Letters: N windows, G recordings, R resamples, X quantities.
"""

from collections.abc import Sequence

import numpy as np

from megxl.data.seeds import seed_of

RESAMPLES = 10_000
LEVEL = 0.95
FEW = 10
"""Recordings below which such intervals are too narrow to be taken at their word."""


def bootstrap_means(
    sums_NX: np.ndarray,
    counts_N: np.ndarray,
    recordings: Sequence[str],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> np.ndarray | None:
    """Means of tokens when recordings are drawn anew, with replacement (cluster bootstrap, Davison & Hinkley 1997).

    Parameters
    ----------
    sums_NX : ndarray, shape (N, X)
        Of each window and quantity; all quantities are resampled together, so that they can be compared.
    counts_N : ndarray, shape (N,)
        Tokens that were summed.
    recordings : sequence of str
        Recording of each window. If all are of one, windows are resampled instead.
    resamples, seed : int
        The same seed gives the same resamples.

    Returns
    -------
    ndarray, shape (R, X), or None
        None for a single window, which says nothing of others.
    """
    names = list(recordings) if len(set(recordings)) > 1 else [str(number) for number in range(len(recordings))]
    distinct, cluster_N = np.unique(names, return_inverse=True)
    if len(distinct) < 2:
        return None
    belongs_GN = (cluster_N == np.arange(len(distinct))[:, None]).astype(np.float64)
    rng = np.random.default_rng(seed_of("bootstrap", seed))
    times_RG = rng.multinomial(len(distinct), np.full(len(distinct), 1 / len(distinct)), size=resamples)
    counts_R = times_RG @ (belongs_GN @ counts_N)
    return (times_RG @ (belongs_GN @ sums_NX))[counts_R > 0] / counts_R[counts_R > 0, None]


def interval(values_R: np.ndarray, level: float = LEVEL) -> tuple[float, float]:
    """Bounds between which the middle share of resampled values lies."""
    low, high = np.quantile(values_R, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
