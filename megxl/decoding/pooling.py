"""From the features of tokens to the features of words: the mean of each word's tokens, by one matrix product.

Letters: B batch, C sensors, T tokens, D width, W words.
"""

import torch
from torch import Tensor

from megxl.errors import InputError


def word_spans(starts_BW: Tensor, samples: int | Tensor, samples_per_token: int = 12) -> tuple[Tensor, Tensor]:
    """Tokens that the windows of words touch, as published: from the floor of the start to the ceiling of the stop.

    Parameters
    ----------
    starts_BW : Tensor of int64, shape (B, W)
        Sample at which each word's window begins; -1 where there is no word (`Batch.word_starts_BW`).
    samples : int or Tensor of int64, shape (B, W)
        Samples of a window, or of each.
    samples_per_token : int
        Samples that became one token.

    Returns
    -------
    first_BW, stop_BW : Tensor of int64
        First token and the one after the last; neighbours may share one. Empty (0, 0) where there is no word.
    """
    first_BW = starts_BW // samples_per_token
    stop_BW = (starts_BW + samples + samples_per_token - 1) // samples_per_token
    there_BW = starts_BW >= 0
    return first_BW.where(there_BW, 0), stop_BW.where(there_BW, 0)


def averaging_matrix(
    starts_BW: Tensor, samples: int | Tensor, tokens: int, samples_per_token: int = 12, *, dtype: torch.dtype
) -> Tensor:
    """Weights of every token in every word: 1 / n at the n tokens that the word's window touches.

    Parameters
    ----------
    starts_BW, samples, samples_per_token
        As in `word_spans`.
    tokens : int
        T, tokens of an item.
    dtype : torch.dtype
        Of the weights: that of the features they are to meet.

    Returns
    -------
    Tensor, shape (B, W, T)
        Rows sum to 1; to 0 where there is no word.

    Raises
    ------
    InputError
        A window without a sample or one that leaves the item (looked for where that costs no wait for a device).
    """
    first_BW, stop_BW = word_spans(starts_BW, samples, samples_per_token)
    if starts_BW.device.type == "cpu":
        _refuse_outside(starts_BW, samples, stop_BW, tokens)
    places_T = torch.arange(tokens, device=starts_BW.device)
    inside_BWT = (places_T >= first_BW[..., None]) & (places_T < stop_BW[..., None])
    weights_BWT = inside_BWT.to(torch.float32) / (stop_BW - first_BW).clamp(min=1)[..., None]
    return weights_BWT.to(dtype)


def pool_words(features_BCTD: Tensor, weights_BWT: Tensor) -> Tensor:
    """Average the features of each word's tokens, separately for each sensor.

    Parameters
    ----------
    features_BCTD : Tensor, shape (B, C, T, D)
    weights_BWT : Tensor, shape (B, W, T)
        `averaging_matrix`.

    Returns
    -------
    Tensor, shape (B, W, C, D)
        Zero where there is no word.
    """
    if weights_BWT.shape[::2] != features_BCTD.shape[::2]:
        raise InputError(
            f"Weights of {weights_BWT.shape[2]} tokens in {len(weights_BWT)} items do not fit features of "
            f"{features_BCTD.shape[2]} tokens in {len(features_BCTD)} items; make them with averaging_matrix."
        )
    # the weights are repeated over sensors rather than the features put into another order: they are a tenth as many
    return (weights_BWT[:, None] @ features_BCTD).transpose(1, 2)


def _refuse_outside(starts_BW: Tensor, samples: int | Tensor, stop_BW: Tensor, tokens: int) -> None:
    lengths_BW = torch.as_tensor(samples).expand_as(starts_BW)
    if bool(((lengths_BW < 1) & (starts_BW >= 0)).any()):
        raise InputError(f"A word's window has {int(lengths_BW.min())} samples; allowed: at least one.")
    if bool((stop_BW > tokens).any()):
        place = tuple(torch.nonzero(stop_BW > tokens)[0].tolist())
        raise InputError(
            f"The window of word {place[1]} of item {place[0]} ends with token {int(stop_BW[place])} of {tokens}; "
            "the word windows and the features are not of the same signal, or samples_per_token is another."
        )
