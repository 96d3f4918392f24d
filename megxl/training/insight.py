"""How well a training is doing: rows for the loggers, and what guessers score, measured once before the first step.

Letters: R ranks, K corpora, S sums of a tally.
"""

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from megxl.data.batch import Batch
from megxl.errors import InputError
from megxl.sizes import MEGXLConfig
from megxl.training.baselines import fit_guessers
from megxl.training.data import PretrainData
from megxl.training.masks import MaskedBatch, hide
from megxl.training.metrics import Tally
from megxl.training.module import PretrainModule
from megxl.training.progress import Row
from megxl.training.runs import CHECKPOINTS, write_json
from megxl.training.saving import LAST, PATTERN
from megxl.training.tables import PREFIX, TableLogger
from megxl.training.throughput import Throughput
from megxl.training.usage import CodeUsage

try:
    from lightning.pytorch import Callback, LightningModule, Trainer
    from lightning.pytorch.loggers import Logger
except ModuleNotFoundError as error:
    raise InputError("Training needs Lightning: pip install 'megxl[train]'.") from error

FIT_WINDOWS, FIT_WINDOWS_ONLINE = 256, 32
"""Training windows that guessers learn from at most; fewer where each has to be encoded first."""


class Insight(Callback):
    """Writes a row to all loggers every few steps and after each validation, and baselines.json before the first step.

    Rows lie at the multiples of `every` and at the last step of a training, wherever it was stopped and resumed; what
    was tallied since the last row is kept in the checkpoint. Has to come before the callback that saves. A training
    whose numbers are no longer finite ends at the next row, validation or checkpoint, which is not written.

    Parameters
    ----------
    every : int
        Optimizer steps from row to row.
    baselines : Path
        File for what guessers score; one that is there already is read.
    throughput : Throughput
        A callback of the same trainer.
    """

    def __init__(self, every: int, baselines: Path, throughput: Throughput) -> None:
        self.row: Row = {}
        """The latest of training."""
        self.validation_row: Row = {}
        """The latest of validation, with its prefix."""
        self.baselines: Mapping[str, Any] = {}
        """What guessers score (`measure_baselines`), on rank 0."""
        self._every = every
        self._file = baselines
        self._throughput = throughput
        self._step = 0
        self._last: float = 0

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Measure the baselines, if this is the first process of a run that begins."""
        assert isinstance(pl_module, PretrainModule)
        if stage != "fit" or not trainer.is_global_zero:
            return
        if not self._file.exists():
            data: Any = trainer.datamodule  # pyright: ignore[reportAttributeAccessIssue]
            assert isinstance(data, PretrainData)
            write_json(self._file, measure_baselines(data, pl_module.model.config))
        self.baselines = json.loads(self._file.read_text(encoding="utf-8"))

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Know where the training begins and where it ends."""
        self._step = trainer.global_step
        self._last = trainer.estimated_stepping_batches

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: MaskedBatch, batch_idx: int
    ) -> None:
        """Write a row if one is due; a batch that only adds to a step's gradients makes none."""
        assert isinstance(pl_module, PretrainModule)
        step, before = trainer.global_step, self._step
        self._step = step
        if step == before or (step % self._every and step != self._last):
            return
        means, norm = _taken(pl_module.train_tally, pl_module), _norm(pl_module)
        self._refuse_divergence(trainer, means["loss"], norm)
        self.row = {
            "epoch": trainer.current_epoch,
            **means,
            "learning_rate": float(trainer.optimizers[0].param_groups[0]["lr"]),
            "gradient_norm": norm,
            **self._throughput.read(),
        }
        log_row(trainer.loggers, self.row, step)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write a row of validation."""
        assert isinstance(pl_module, PretrainModule)
        if trainer.state.fn != "fit" or trainer.sanity_checking:
            return
        row = {"epoch": trainer.current_epoch, **_taken(pl_module.validation_tally, pl_module)}
        self._refuse_divergence(trainer, row["loss"])
        self.validation_row = {f"{PREFIX}{name}": value for name, value in row.items()}
        log_row(trainer.loggers, self.validation_row, trainer.global_step)

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Keep each rank's sums since the last row: their sum over ranks would be another one in its last digits.

        Raises
        ------
        InputError
            Weights that are no longer finite: a good checkpoint must not give way to theirs.
        """
        assert isinstance(pl_module, PretrainModule)
        sums_KS = pl_module.train_tally.sums_KS
        if trainer.world_size > 1:
            sums_KS = sums_KS.to(pl_module.device)  # before the first batch they are on the CPU
        sums_RKS = trainer.strategy.all_gather(sums_KS).reshape(trainer.world_size, *sums_KS.shape)
        self._refuse_divergence(trainer, float(sums_RKS.sum()), _norm(pl_module))
        checkpoint["callbacks"][self.state_key] = {"sums_RKS": sums_RKS.cpu()}

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Go on with these sums."""
        assert isinstance(pl_module, PretrainModule)
        state = checkpoint["callbacks"].get(self.state_key)
        if state is not None:
            pl_module.train_tally.sums_KS = state["sums_RKS"][trainer.global_rank].clone()

    def _refuse_divergence(self, trainer: Trainer, total: float | None, norm: float | None = None) -> None:
        """End a training whose loss is no longer finite, or whose gradient is not and was put into the weights."""
        # a scaler of float16 leaves out a step whose gradient is not finite
        weighed = [total] if trainer.precision == "16-mixed" else [total, norm]
        if all(value is None or math.isfinite(value) for value in weighed):
            return
        folder = self._file.with_name(CHECKPOINTS)
        kept = [*sorted(folder.glob(PATTERN), reverse=True), *folder.glob(LAST)]
        start = (
            f"No newer checkpoint than {kept[0].name} was written, and resume=true would go the same way: begin a new "
            f"run with model.init_from={kept[0]} and"
            if kept
            else "No checkpoint was written: begin anew (overwrite=true) with"
        )
        raise InputError(
            f"The training diverged: its loss or gradient is not finite at step {trainer.global_step}. {start} a lower "
            "training.learning_rate, a longer training.warmup_steps, or trainer.precision=32-true."
        )


def measure_baselines(data: PretrainData, config: MEGXLConfig) -> dict[str, Any]:
    """Fit guessers on training windows and score them where validation hides tokens; count the codes of both.

    Parameters
    ----------
    data : PretrainData
    config : MEGXLConfig
        Of the model: how much is hidden, and the codes.

    Returns
    -------
    dict
        JSON-able: what `Guessers.score` gives; ``fitted``, on what and how; ``usage`` of ``train`` and ``validation``
        (`CodeUsage.summary`).
    """
    most = FIT_WINDOWS if data.codes is not None else FIT_WINDOWS_ONLINE
    usage = {part: CodeUsage(config.levels, config.codes) for part in ("train", "validation")}
    some = data.guesser_batches("train", max(1, most // data.batch_size))
    guessers = fit_guessers(_hidden(some, config, usage["train"]), config.levels, config.codes)
    scores = guessers.score(_hidden(data.guesser_batches("validation"), config, usage["validation"]))
    return {
        **scores,
        "fitted": dict(guessers.fitted),
        "usage": {part: counted.summary() for part, counted in usage.items()},
    }


def _hidden(batches: Iterable[Batch], config: MEGXLConfig, usage: CodeUsage) -> Iterator[MaskedBatch]:
    """Hide the tokens that validation hides, and count codes on the way."""
    for batch in batches:
        assert batch.codes_BCTQ is not None
        usage.add(batch)
        yield hide(batch, config, batch.codes_BCTQ.shape[2])


def _taken(tally: Tally, module: PretrainModule) -> dict[str, float | None]:
    """Means over all ranks since the last reading, None for a corpus that was not seen; the tally begins anew."""
    told = tally.reduce(module.sum_over_ranks).read()
    tally.reset()
    names = [f"{what}_level_{level}" for what in ("loss", "accuracy") for level in range(1, tally.levels + 1)]
    names += [f"{corpus}_{what}" for corpus in tally.corpora for what in ("loss", "accuracy")]
    return {name: told.get(name) for name in ("loss", "accuracy", *names)}


def _norm(module: PretrainModule) -> float | None:
    """Norm of the latest gradient, which the device is waited for."""
    return None if module.gradient_norm is None else float(module.gradient_norm)


def log_row(loggers: Iterable[Logger], row: Row, step: int) -> None:
    """Write a row, on the disk before a checkpoint of this step is."""
    known = {name: value for name, value in row.items() if value is not None}
    for logger in loggers:
        # a table has the same columns in all its rows, and empty cells
        logger.log_metrics(dict(row) if isinstance(logger, TableLogger) else known, step)  # pyright: ignore
        logger.save()
