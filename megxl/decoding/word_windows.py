"""Where the words of a batch lie in its items.

Letters: B batch, W words.
"""

import torch
from torch import Tensor

from megxl.data.batch import Batch
from megxl.errors import InputError


def word_windows(batch: Batch, window_s: float) -> tuple[Tensor, Tensor]:
    """First sample and length of each word's window.

    On a tape of the published grouping a window may be one sample shorter or longer than the others: there a window
    ends where the next one begins.

    Parameters
    ----------
    batch : Batch
    window_s : float
        Length of a window, seconds.

    Returns
    -------
    starts_BW : Tensor of int64
        -1 where there is no word.
    samples_BW : Tensor of int64

    Raises
    ------
    InputError
        A batch without words.
    """
    starts_BW = batch.word_starts_BW
    if starts_BW is None:
        raise InputError("The batch has no words; make it of word groups (WordGroupDataset).")
    samples = round(window_s * batch.sfreq_hz)
    # with codes alone all windows are equal: others cannot be cached
    end_B1 = starts_BW[:, -1:] + samples
    if batch.signal_BCT is not None:
        end_B1 = torch.full_like(end_B1, batch.signal_BCT.shape[2])
    gaps_BW = torch.cat([starts_BW[:, 1:], end_B1], 1) - starts_BW
    tape_B1 = ((gaps_BW - samples).abs() <= 1).all(1, keepdim=True)
    return starts_BW, torch.where(tape_B1, gaps_BW, samples)
