"""Which tokens are hidden in pre-training: runs of 3 s at random places, on all sensors (paper, section 3.3).

Letters: B batch, T tokens.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from megxl.errors import InputError
from megxl.signals.normalization import BLOCK_S
from megxl.sizes import MEGXLConfig


@dataclass(frozen=True, kw_only=True)
class MaskPlan:
    """How many tokens of a window are hidden and where they may lie."""

    tokens: int
    """Tokens of the window."""
    blocks: int
    """Blocks that the window is cut in."""
    block: int
    """Tokens of a block; what is left at the window's end is never hidden."""
    run: int
    """Hidden tokens of a chosen block."""
    chosen: int
    """Blocks chosen."""

    @property
    def hidden(self) -> int:
        """Hidden tokens of a window."""
        return self.run * self.chosen


def plan_mask(tokens: int, config: MEGXLConfig) -> MaskPlan:
    """Lay out the mask of a window of so many tokens: as many blocks as it has whole blocks of 3 s.

    A run longer than a block is clamped to the block. More runs than there are blocks, or a window shorter than a
    block, cannot be honoured and raise InputError.
    """
    block_count = int(tokens * config.samples_per_token / config.sfreq_hz / BLOCK_S)
    if block_count < 1:
        seconds = tokens * config.samples_per_token / config.sfreq_hz
        raise InputError(
            f"A window of {tokens} tokens ({seconds:g} s) has no whole block of {BLOCK_S:g} s to mask. "
            "Use windows of 3 s or more."
        )
    if config.masked_blocks > block_count:
        raise InputError(
            f"masked_blocks is {config.masked_blocks}, but a window of {tokens} tokens has {block_count} blocks of "
            f"{BLOCK_S:g} s. Use at most {block_count} (the published share is 20 of 50) or longer windows."
        )
    block = tokens // block_count
    run = round(config.mask_duration_s * config.sfreq_hz) // config.samples_per_token
    if run < 1:
        raise InputError(
            f"mask_duration_s = {config.mask_duration_s:g} is shorter than one token "
            f"({config.samples_per_token / config.sfreq_hz:g} s); nothing would be masked."
        )
    return MaskPlan(tokens=tokens, blocks=block_count, block=block, run=min(run, block), chosen=config.masked_blocks)


def draw_mask(plan: MaskPlan, generators: list[torch.Generator]) -> Tensor:
    """Draw which tokens are hidden, one generator an item, so that an item's mask depends on its own seed alone.

    Returns
    -------
    Tensor of bool on the CPU, shape (B, T)
        True where a token is hidden; every item has `plan.hidden` of them.
    """
    mask_BT = torch.zeros(len(generators), plan.tokens, dtype=torch.bool)
    for mask_T, generator in zip(mask_BT, generators, strict=True):
        chosen = torch.randperm(plan.blocks, generator=generator)[: plan.chosen]
        offsets = torch.randint(plan.block - plan.run + 1, (plan.chosen,), generator=generator)
        starts = chosen * plan.block + offsets
        mask_T[(starts[:, None] + torch.arange(plan.run)).flatten()] = True
    return mask_BT
