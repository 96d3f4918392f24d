"""What a training step draws by chance, fixed by the seeds of its items before the batch leaves the CPU.

Letters: B batch, T tokens.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from megxl.data.batch import Batch
from megxl.data.seeds import seed_of
from megxl.errors import InputError
from megxl.model.masking import draw_mask, plan_mask
from megxl.signals.normalization import BLOCK_S
from megxl.sizes import MEGXLConfig


@dataclass(frozen=True, kw_only=True, eq=False)
class MaskedBatch:
    """A batch with its mask and the seed of its step.

    Both are functions of the items' seeds alone: whoever has the batch again, after a stop, has the step again.
    """

    batch: Batch
    mask_BT: Tensor
    """True where a token is hidden, on all sensors. It stays on the CPU, where finding its places stalls no device."""
    seed: int
    """For all other chance of the step, such as dropout."""

    def __len__(self) -> int:
        return len(self.batch)

    def to(self, device: torch.device | str) -> "MaskedBatch":
        """Move the batch to a device, the mask not."""
        return replace(self, batch=self.batch.to(device))

    def pin_memory(self, device: torch.device | str | None = None) -> "MaskedBatch":
        """Copy the batch's tensors to page-locked memory."""
        return replace(self, batch=self.batch.pin_memory(device))

    def normalized(self, block_s: float = BLOCK_S) -> "MaskedBatch":
        """Scale the signal block by block where it lies (`Batch.normalized`)."""
        return replace(self, batch=self.batch.normalized(block_s))


def hide(batch: Batch, config: MEGXLConfig, tokens: int) -> MaskedBatch:
    """Draw which tokens of each item are hidden, and the step's seed.

    An item's mask depends on its own seed alone, so that it is the same in whichever company; validation items have
    the same seeds in every epoch and thus the same masks.

    Parameters
    ----------
    batch : Batch
        On the CPU, as it comes from a loader.
    config : MEGXLConfig
        How much is hidden.
    tokens : int
        Tokens of a window.

    Raises
    ------
    InputError
        The window is too short for the masks that were asked for, or nothing is to be hidden.
    """
    seeds = batch.seeds_B.tolist()
    generators = [torch.Generator().manual_seed(seed_of("mask", seed)) for seed in seeds]
    mask_BT = draw_mask(plan_mask(tokens, config), generators)
    return MaskedBatch(batch=batch, mask_BT=mask_BT, seed=seed_of("step", *seeds))


def shuffle_segments(batch: MaskedBatch, segment_s: float) -> MaskedBatch:
    """Put the pieces of each item's signal in another order, where it lies: context without its order in time.

    Parameters
    ----------
    batch : MaskedBatch
        With a signal, normalised.
    segment_s : float
        Length of a piece in seconds; what is left at the end of a window stays there.
    """
    signal_BCT = batch.batch.signal_BCT
    if signal_BCT is None:
        raise InputError("data.shuffle_segments needs the signal: use data.codes=online.")
    piece = round(segment_s * batch.batch.sfreq_hz)
    pieces = signal_BCT.shape[-1] // piece
    generator = torch.Generator().manual_seed(seed_of("segments", batch.seed))
    places_BT = torch.arange(signal_BCT.shape[-1]).repeat(len(batch), 1)
    for places_T in places_BT:
        shuffled_T = places_T[: pieces * piece].view(pieces, piece)[torch.randperm(pieces, generator=generator)]
        places_T[: pieces * piece] = shuffled_T.flatten()
    places_B1T = places_BT.to(signal_BCT.device, non_blocking=True)[:, None]
    shuffled_BCT = signal_BCT.gather(-1, places_B1T.expand_as(signal_BCT))
    return replace(batch, batch=replace(batch.batch, signal_BCT=shuffled_BCT))
