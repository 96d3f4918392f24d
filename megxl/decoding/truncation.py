"""How much of the signal after its onset a word needs: everything later is set to zero before the decoder sees it.

Letters: B batch, C sensors, T samples, W words, E width of the targets.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from megxl.data.batch import Batch
from megxl.data.groups import Grouping
from megxl.errors import InputError

if TYPE_CHECKING:
    from megxl.decoding.decoder import Decoder


def silence_after(batch: Batch, after_s: float, grouping: Grouping) -> Batch:
    """Set the signal of every word to zero from some time after its onset on.

    Parameters
    ----------
    batch : Batch
        Of word groups on a tape, with the signal, normalised: zero is the median of a sensor.
    after_s : float
        Seconds of signal after the onset that stay; below zero, it ends before the onset.
    grouping : Grouping
        Of the groups: where in its window a word begins.

    Returns
    -------
    Batch
        Without codes, so that they are made of what is left.

    Raises
    ------
    InputError
        No signal or words; groups that are not laid out on a tape, where the windows of words share their samples.
    """
    if grouping.layout != "tape":
        raise InputError(
            f"The layout is {grouping.layout!r}: windows of words overlap there, and what comes after one word cannot "
            "be taken away from it alone; allowed: tape."
        )
    if batch.signal_BCT is None or batch.word_starts_BW is None:
        raise InputError("To end the signal after the onset of words takes a batch with the signal and with words.")
    heard = round((after_s - grouping.offset_s) * batch.sfreq_hz)
    times_T = torch.arange(batch.signal_BCT.shape[-1], device=batch.signal_BCT.device)
    starts_BW1 = batch.word_starts_BW[..., None]
    window = grouping.window(batch.sfreq_hz)
    inside_BWT = (starts_BW1 >= 0) & (times_T >= starts_BW1) & (times_T < starts_BW1 + window)
    late_BT = (inside_BWT & (times_T >= starts_BW1 + heard)).any(1)
    return replace(batch, codes_BCTQ=None, signal_BCT=batch.signal_BCT.masked_fill(late_BT[:, None], 0))


@torch.no_grad()
def decode_until(
    decoder: "Decoder",
    batch: Batch,
    times_s: Sequence[float],
    grouping: Grouping,
    subjects: Sequence[str] | None = None,
) -> list[Tensor]:
    """Decode a batch as often as there are times, each time with the signal up to it.

    Parameters
    ----------
    decoder : Decoder
        In eval mode.
    batch : Batch
        Normalised, on the decoder's device.
    times_s : sequence of float
        Seconds after the onset.
    grouping : Grouping
    subjects : sequence of str, optional
        Of each item.

    Returns
    -------
    list of Tensor, shape (N, E)
        For each time the vectors of all words, item by item, on the CPU.
    """
    assert batch.word_starts_BW is not None
    there_BW = batch.word_starts_BW >= 0
    return [decoder(silence_after(batch, after_s, grouping), subjects)[there_BW].float().cpu() for after_s in times_s]
