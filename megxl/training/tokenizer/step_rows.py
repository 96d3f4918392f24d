"""A row of every few steps of a tokenizer's training and of every validation, and the person who waits."""

import math
from typing import Any

import torch

from megxl.errors import InputError
from megxl.training.insight import log_row
from megxl.training.progress import Progress, Row
from megxl.training.tables import PREFIX
from megxl.training.throughput import Timed
from megxl.training.tokenizer.module import TokenizerModule
from megxl.training.tokenizer.rows import Rows
from megxl.training.tokenizer.validation import TERMS

try:
    from lightning.pytorch import LightningModule, Trainer
except ModuleNotFoundError as error:
    raise InputError("Training needs Lightning: pip install 'megxl[train]'.") from error

SAMPLE_RATE = "samples_per_s"
"""Column of metrics.csv that depends on the machine and the moment."""


class TokenizerRows(Timed):
    """Writes terms of the objective, rate, norm of the gradient, codes in use and speed to all loggers every few steps.

    Rows lie at the multiples of `every` and at the last step of a training, wherever it was stopped and resumed; what
    was summed since the last row is kept in the checkpoint, which has to be saved after this. A training whose numbers
    are no longer finite ends at the next row, validation or checkpoint, which is not written.

    Parameters
    ----------
    every : int
        Optimiser steps from row to row.
    """

    def __init__(self, every: int) -> None:
        super().__init__()
        self.row: Row = {}
        """The latest of training."""
        self.validation_row: Row = {}
        """The latest of validation, with its prefix."""
        self.baselines: dict[str, Any] = {}
        self._every = every
        self._step = 0
        self._last: float = 0
        self._samples = 0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Know where the training begins and where it ends."""
        self._step = trainer.global_step
        self._last = trainer.estimated_stepping_batches

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Rows, batch_idx: int
    ) -> None:
        """Count a batch, and write a row if one is due."""
        assert isinstance(pl_module, TokenizerModule)
        if self.counts():
            self._samples += batch.signal_N1T.numel()
        step, before = trainer.global_step, self._step
        self._step = step
        if step == before or (step % self._every and step != self._last):
            return
        assert pl_module.news is not None and pl_module.gradient_norm is not None
        rows, *sums = pl_module.sums_S.tolist()
        norm = float(pl_module.gradient_norm)
        _refuse_divergence([*sums, *_weighed(trainer, norm)], step)
        self.row = {
            "epoch": trainer.current_epoch,
            **{name: total / rows for name, total in zip(TERMS, sums, strict=True)},
            "learning_rate": float(trainer.optimizers[0].param_groups[0]["lr"]),
            "gradient_norm": norm,
            **_by_level("used", pl_module.news.used_Q),
            **_by_level("revived", pl_module.revived_Q),
            SAMPLE_RATE: self._rate(),
        }
        pl_module.sums_S = torch.zeros_like(pl_module.sums_S)
        pl_module.revived_Q = torch.zeros_like(pl_module.revived_Q)
        log_row(trainer.loggers, self.row, step)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Let the clock go on, and write a row of validation."""
        super().on_validation_end(trainer, pl_module)
        assert isinstance(pl_module, TokenizerModule)
        if trainer.state.fn != "fit" or trainer.sanity_checking:
            return
        row = {"epoch": trainer.current_epoch, **pl_module.validation.row()}
        _refuse_divergence([row["loss"]], trainer.global_step)
        self.validation_row = {f"{PREFIX}{name}": value for name, value in row.items()}
        log_row(trainer.loggers, self.validation_row, trainer.global_step)

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Keep the sums since the last row, the same on all ranks.

        Raises
        ------
        InputError
            Weights that are no longer finite: a good checkpoint must not give way to theirs.
        """
        assert isinstance(pl_module, TokenizerModule)
        norm = None if pl_module.gradient_norm is None else float(pl_module.gradient_norm)
        _refuse_divergence([*pl_module.sums_S.tolist(), *_weighed(trainer, norm)], trainer.global_step)
        state = {"sums_S": pl_module.sums_S.cpu(), "revived_Q": pl_module.revived_Q.cpu()}
        checkpoint["callbacks"][self.state_key] = state

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Go on with these sums."""
        assert isinstance(pl_module, TokenizerModule)
        state = checkpoint["callbacks"].get(self.state_key)
        if state is not None:
            pl_module.sums_S, pl_module.revived_Q = state["sums_S"].clone(), state["revived_Q"].clone()

    def _rate(self) -> float | None:
        seconds, _ = self._clock.read()
        samples, self._samples = self._samples, 0
        return self._ranks * samples / seconds if samples and seconds > 0 else None


class TokenizerProgress(Progress):
    """Shows steps, loss and speed, and each validation by its correlation and the codes in use."""

    def _say_beginning(self) -> None:
        self._say("validation tells the correlation r of decoded and true signals, and the first level's codes in use")

    def _validated(self) -> str:
        row = self._insight.validation_row
        r = row[f"{PREFIX}r"]
        told = "no r (all rows are flat)" if r is None else f"r {r:.3f}"
        return f"validation loss {row[f'{PREFIX}loss']:.4f}, {told}, codes in use {row[f'{PREFIX}usage_level_1']:.0%}"


def _by_level(name: str, values_Q: torch.Tensor) -> dict[str, int]:
    return {f"{name}_level_{level}": int(value) for level, value in enumerate(values_Q.tolist(), 1)}


def _weighed(trainer: Trainer, norm: float | None) -> list[float | None]:
    """Norm of a gradient that was put into the weights: a scaler of float16 leaves out one that is not finite."""
    return [] if trainer.precision == "16-mixed" else [norm]


def _refuse_divergence(numbers: list[Any], step: int) -> None:
    """End a training whose loss or gradient is not finite."""
    if all(number is None or math.isfinite(number) for number in numbers):
        return
    raise InputError(
        f"The training diverged: its loss or gradient is not finite at step {step}. No checkpoint of it was written, "
        "and resume=true would go the same way: begin anew (overwrite=true), or from an earlier checkpoint "
        "(model.init_from), with a lower training.learning_rate, a longer training.warmup_steps, or "
        "trainer.precision=32-true."
    )
