"""A row of every few steps of a decoder's training, and the person who waits."""

import math
from typing import Any

import torch

from megxl.errors import InputError
from megxl.training.insight import log_row
from megxl.training.progress import Progress, Row
from megxl.training.tables import PREFIX
from megxl.training.throughput import Timed
from megxl.training.words.batches import WordsBatch
from megxl.training.words.module import WordsModule, rates
from megxl.training.words.selection import Selection

try:
    from lightning.pytorch import LightningModule, Trainer
except ModuleNotFoundError as error:
    raise InputError("Training needs Lightning: pip install 'megxl[train]'.") from error

WORD_RATE = "words_per_s"
"""Column of metrics.csv that depends on the machine and the moment."""


class StepRows(Timed):
    """Writes loss, rates, norm of the gradient and words a second to all loggers every few steps.

    Rows lie at the multiples of `every` and at the last step of an epoch, wherever a training was stopped and resumed;
    what was summed since the last row is kept in the checkpoint, which has to be saved after this.

    Parameters
    ----------
    every : int
        Optimiser steps from row to row.
    """

    def __init__(self, every: int) -> None:
        super().__init__()
        self.row: Row = {}
        """The latest."""
        self.validation_row: Row = {}
        self.baselines: dict[str, Any] = {}
        self._every = every
        self._step = 0
        self._losses: list[torch.Tensor] = []
        self._words = 0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Know where the training begins."""
        self._step = trainer.global_step

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: WordsBatch, batch_idx: int
    ) -> None:
        """Count a batch, and write a row if one is due."""
        assert isinstance(pl_module, WordsModule) and pl_module.latest_loss is not None
        self._losses.append(pl_module.latest_loss)
        if self.counts():
            self._words += len(batch.numbers_N)
        step, before = trainer.global_step, self._step
        self._step = step
        if step == before or (step % self._every and batch_idx + 1 < trainer.num_training_batches):
            return
        norm = None if pl_module.gradient_norm is None else float(pl_module.gradient_norm)
        self.row = {
            "epoch": trainer.current_epoch,
            "loss": self._mean(step),
            **{f"lr_{name}": rate for name, rate in rates(trainer.optimizers[0]).items()},
            "gradient_norm": norm,
            WORD_RATE: self._rate(),
        }
        refuse_divergence(norm, step)
        log_row(trainer.loggers, self.row, step)

    def state_dict(self) -> dict[str, Any]:
        """Losses since the last row, the same on all ranks."""
        return {"losses": [float(loss) for loss in self._losses]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on with these."""
        self._losses = [torch.tensor(loss) for loss in state_dict["losses"]]

    def _mean(self, step: int) -> float:
        losses = [float(loss) for loss in self._losses]
        self._losses = []
        mean = math.fsum(losses) / len(losses)
        refuse_divergence(mean, step)
        return mean

    def _rate(self) -> float | None:
        seconds, _ = self._clock.read()
        words, self._words = self._words, 0
        return self._ranks * words / seconds if words and seconds > 0 else None


def refuse_divergence(number: float | None, step: int) -> None:
    """End a training whose loss or gradient is not finite."""
    if number is None or math.isfinite(number):
        return
    raise InputError(
        f"The training diverged: its loss or gradient is not finite at step {step}. The best weights before are kept, "
        "and resume=true would go the same way: begin anew (overwrite=true) with lower learning rates "
        "(training.criss_cross_lr, training.word_mlp_lr, ...) or trainer.precision=32-true."
    )


class WordsProgress(Progress):
    """Shows steps, loss and speed, and each validation by the metric that selects.

    Parameters
    ----------
    rows : StepRows
    selection : Selection
        Both know the numbers; they come before this callback.
    """

    def __init__(self, rows: StepRows, selection: Selection) -> None:
        super().__init__(rows)
        self._selection = selection

    def _say_beginning(self) -> None:
        self._say(f"the best epoch is chosen by {self._selection.name} of validation")

    def _validated(self) -> str:
        row, name = self._selection.row, self._selection.name
        best = ", the best so far" if row[f"{PREFIX}selected"] else ""
        return f"validation loss {row[f'{PREFIX}loss']:.4f}, {name} {row[f'{PREFIX}{name}']:.2%}{best}"
