"""AdamW, and the learning rate of every optimizer step: up in a straight line, down along half a cosine."""

import math

from torch import nn
from torch.optim import AdamW

from megxl.training.sections import TrainingConfig

_BETAS = (0.9, 0.999)
_CLAMPED_SHARE = 0.1
BETAS = (0.9, 0.999)
"""Decays of the running means of gradients and of their squares, where nothing else is said."""


def make_optimizer(
    model: nn.Module, config: TrainingConfig, *, fused: bool, betas: tuple[float, float] = BETAS
) -> AdamW:
    """AdamW over all weights that are trained, each of them decayed, as published.

    Parameters
    ----------
    model : nn.Module
        Frozen weights (the tokenizer's) are left out.
    config : TrainingConfig
        Its peak learning rate and weight decay.
    fused : bool
        One kernel for all weights, on a GPU; not with a gradient scaler, which has to unscale before clipping.
    betas : tuple of float
        Decays of the running means of gradients and of their squares.
    """
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return AdamW(
        trained, lr=config.learning_rate, betas=betas, weight_decay=config.weight_decay, fused=True if fused else None
    )


def warmup_cosine(step: int, *, warmup: int, total: int, least: float) -> float:
    """Learning rate of a step as a share of the peak.

    Parameters
    ----------
    step : int
        Optimizer steps made before this one; from `total` on the rate stays the least.
    warmup : int
        Steps that rise: the first has 1 / warmup of the peak, the last the peak itself.
    total : int
        Steps of the whole training.
    least : float
        Share of the peak that the last step has.
    """
    if step < warmup:
        return (step + 1) / warmup
    progress = min(1.0, (step + 1 - warmup) / max(1, total - warmup))
    return least + (1 - least) * 0.5 * (1 + math.cos(math.pi * progress))


def fitting_warmup(warmup: int, total: int) -> tuple[int, str | None]:
    """Warm-up that a training has room for, and a sentence where that is not the one asked for.

    Parameters
    ----------
    warmup : int
        Steps asked for.
    total : int
        Steps of the whole training.
    """
    if warmup < total:
        return warmup, None
    clamped = max(1, math.floor(_CLAMPED_SHARE * total))
    return clamped, (
        f"training.warmup_steps = {warmup}, but this training has only {total} optimizer steps: "
        f"the learning rate rises over the first {clamped} {'step' if clamped == 1 else 'steps'} instead."
    )
