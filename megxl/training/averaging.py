"""Exponential moving average of the trained weights: what is validated, exported, and stands in checkpoints.

The averaged weights are the `state_dict` of a checkpoint, those that training goes on from lie beside it; a run that
is resumed has both again, bit for bit.
"""

from typing import Any

import torch
from torch import Tensor, nn

from megxl.errors import InputError

try:
    from lightning.pytorch import Callback, LightningModule, Trainer
    from lightning.pytorch.strategies import FSDPStrategy
    from lightning.pytorch.trainer.states import TrainerFn
except ModuleNotFoundError as error:
    raise InputError("Training needs Lightning: pip install 'megxl[train]'.") from error

SECTION, CURRENT = "megxl", "current_weights"
"""Where a checkpoint holds the weights that are trained, by their names in the module."""


class Averaging(Callback):
    """Keep an average of the weights and put it in the model's place for validation and after the training.

    Parameters
    ----------
    decay : float
        Share of the average that a step keeps. Early steps keep less, (1 + n) / (10 + n) after n steps, so that the
        random beginning is soon forgotten.
    """

    def __init__(self, decay: float) -> None:
        self.decay = decay
        self._others: dict[str, Tensor] = {}
        """The average; or the trained weights, while the average is in the model."""
        self._in_model = False
        self._averaged_steps = 0

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Refuse weights that no rank has as a whole."""
        if isinstance(trainer.strategy, FSDPStrategy):
            raise InputError(
                "training.ema_decay: no average is kept of weights that are sharded; "
                "use trainer.strategy=ddp, or training.ema_decay=null."
            )

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Take both again; without an average, the weights of the checkpoint are its beginning."""
        current = checkpoint.get(SECTION, {}).get(CURRENT)
        if trainer.state.fn != TrainerFn.FITTING or current is None:
            return
        self._others = _copies(pl_module)
        self._in_model = False
        for name, parameter in _trained(pl_module).items():
            parameter.data.copy_(current[name])

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin with the weights as they are, unless a checkpoint brought an average."""
        self._swap(pl_module, averaged=False)
        self._others = self._others or _copies(pl_module)
        for name, parameter in _trained(pl_module).items():
            self._others[name] = self._others[name].to(parameter.device)
        self._averaged_steps = trainer.global_step

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        """Average after each optimizer step."""
        self._catch_up(trainer, pl_module)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Validate the average."""
        if trainer.state.fn == TrainerFn.FITTING and self._others:
            self._catch_up(trainer, pl_module)
            self._swap(pl_module, averaged=True)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Go on with the trained weights."""
        if trainer.state.fn == TrainerFn.FITTING:
            self._swap(pl_module, averaged=False)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Leave the average in the model."""
        self._catch_up(trainer, pl_module)
        self._swap(pl_module, averaged=True)

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Write the average as the model, and the trained weights beside it."""
        if not self._others:
            return
        self._catch_up(trainer, pl_module)
        in_model = {name: checkpoint["state_dict"][name] for name in self._others}
        average, current = (in_model, self._others) if self._in_model else (self._others, in_model)
        checkpoint["state_dict"] = {**checkpoint["state_dict"], **average}
        checkpoint.setdefault(SECTION, {})[CURRENT] = dict(current)

    def _catch_up(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Average the latest step, once: whichever callback comes first after it, none sees the average before."""
        if self._in_model or trainer.global_step == self._averaged_steps:
            return
        self._averaged_steps = steps = trainer.global_step
        keep = min(self.decay, (1 + steps) / (10 + steps))
        trained = _trained(pl_module)
        averages = [self._others[name] for name in trained]
        torch._foreach_lerp_(averages, [parameter.data for parameter in trained.values()], 1 - keep)

    def _swap(self, pl_module: LightningModule, *, averaged: bool) -> None:
        if averaged == self._in_model:
            return
        self._in_model = averaged
        for name, parameter in _trained(pl_module).items():
            parameter.data, self._others[name] = self._others[name], parameter.data


def _trained(pl_module: LightningModule) -> dict[str, nn.Parameter]:
    return {name: parameter for name, parameter in pl_module.named_parameters() if parameter.requires_grad}


def _copies(pl_module: LightningModule) -> dict[str, Tensor]:
    return {name: parameter.data.clone() for name, parameter in _trained(pl_module).items()}
