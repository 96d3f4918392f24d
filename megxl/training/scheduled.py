"""What the modules that train on windows share: AdamW, the learning rate of each step, gradients of global means."""

from typing import Any

import torch
from torch import Tensor
from torch.distributed.fsdp import FullyShardedDataParallel

from megxl.errors import InputError
from megxl.training.corpora_config import CorporaConfig
from megxl.training.optimization import BETAS, fitting_warmup, make_optimizer, warmup_cosine

try:
    from lightning.pytorch import LightningModule
except ModuleNotFoundError as error:
    raise InputError("Training needs Lightning: pip install 'megxl[train]'.") from error


class Scheduled(LightningModule):
    """A module whose step is a mean over all things that count, of all ranks and of all batches that it accumulates.

    Its learning rate follows from its number and the configuration: a run that is resumed with another number of
    epochs or steps goes on along the new curve.

    Parameters
    ----------
    config : CorporaConfig

    Attributes
    ----------
    betas : tuple of float
        Of AdamW.
    gradient_norm : Tensor or None
        Of the last optimizer step, before clipping; on the device.
    told : dict
        What a checkpoint shall say of its data, JSON-able; may be added to until weights are saved.
    notes : list of str
        What a person should know, once the fit has begun.
    """

    betas: tuple[float, float] = BETAS

    def __init__(self, config: CorporaConfig) -> None:
        super().__init__()
        self.config = config
        self.gradient_norm: Tensor | None = None
        self.told: dict[str, Any] = {}
        self.notes: list[str] = []
        self._warmup = self._total = 1

    def on_fit_start(self) -> None:
        """Switch to training: Lightning would leave weights that were loaded as they came, in evaluation."""
        self.train()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """AdamW; the rate of each step is set before it is made, so that there is no scheduler whose state could lie.

        The number of steps is the trainer's estimate, which counts ranks and accumulated batches.
        """
        training = self.config.training
        self._total = int(self.trainer.estimated_stepping_batches)
        self._warmup, note = fitting_warmup(training.warmup_steps, self._total)
        self.notes = [note] if note else []
        on_gpu = self.trainer.strategy.root_device.type == "cuda"
        fused = on_gpu and self.trainer.precision != "16-mixed"
        return make_optimizer(self, training, fused=fused, betas=self.betas)

    def learning_rate(self, step: int) -> float:
        """Learning rate of the optimizer step before which `step` others were made."""
        training = self.config.training
        least = training.min_learning_rate / training.learning_rate
        return training.learning_rate * warmup_cosine(step, warmup=self._warmup, total=self._total, least=least)

    def finish_gradients(self, optimizer: torch.optim.Optimizer, count: Tensor, unit: float) -> None:
        """Turn gradients of sums into those of the mean over all that counts in a step, and set its learning rate.

        Parameters
        ----------
        optimizer : Optimizer
        count : Tensor
            How many things the step's sums hold, over all ranks.
        unit : float
            By which the sums were divided.
        """
        # Lightning has averaged over ranks, and divided by the batches to accumulate, also where an epoch ends before
        shared = unit * self.trainer.world_size * self.trainer.accumulate_grad_batches
        gradients = [parameter.grad for parameter in self.parameters() if parameter.grad is not None]
        torch._foreach_mul_(gradients, shared / count.clamp(min=1))
        for group in optimizer.param_groups:
            group["lr"] = self.learning_rate(self.trainer.global_step)

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip by the norm over all weights, `training.gradient_clip_val`; the trainer's own value is not used."""
        most = self.config.training.gradient_clip_val or float("inf")
        whole = self.trainer.strategy.model
        if isinstance(whole, FullyShardedDataParallel):
            self.gradient_norm = whole.clip_grad_norm_(most)
        else:
            self.gradient_norm = torch.nn.utils.clip_grad_norm_(self.parameters(), most)

    def sum_over_ranks(self, tensor: Tensor) -> Tensor:
        """Sum of a tensor over all ranks, on this rank's device, without waiting for it."""
        if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
            return tensor
        tensor = tensor.to(self.device)
        torch.distributed.all_reduce(tensor)
        return tensor
