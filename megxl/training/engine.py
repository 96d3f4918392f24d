"""A whole training: `pretrain` checks, makes or opens the run, trains in it, and leaves a model there."""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch

import megxl
from megxl.checkpoints.files import read_checkpoint, write_checkpoint
from megxl.errors import InputError
from megxl.model.megxl import MEGXL
from megxl.training.averaging import Averaging
from megxl.training.checks import Checked, check_before_work
from megxl.training.config import PretrainConfig
from megxl.training.data import PretrainData, Watcher
from megxl.training.environment import is_first_process
from megxl.training.insight import Insight
from megxl.training.loggers import make_loggers
from megxl.training.module import PretrainModule
from megxl.training.progress import Progress
from megxl.training.running import enter, machine_options, named_checkpoint, outcome_told, quiet_engine, say_nothing
from megxl.training.runs import BASELINES, MODEL, SPLIT, Run, write_json
from megxl.training.saving import Saver, step_in
from megxl.training.stopping import StopRequest
from megxl.training.throughput import Throughput

try:
    from lightning.pytorch import Callback, LightningModule, Trainer
except ModuleNotFoundError as error:
    raise InputError("Training needs Lightning: pip install 'megxl[train]'.") from error


def pretrain(config: PretrainConfig, *, watch: Watcher | None = None, tell: Callable[[str], None] | None = None) -> Run:
    """Train as a configuration says, or go on where it stopped; every process of a training calls this.

    Parameters
    ----------
    config : PretrainConfig
    watch : Watcher, optional
        Is told how recordings are prepared and encoded.
    tell : callable, optional
        Is told notes for a person, one sentence each.

    Returns
    -------
    Run
        Finished, with a model in it.

    Raises
    ------
    InputError
        What `check_before_work` and `Run` refuse, before any work; damaged files.
    Stopped
        A signal came; the run goes on with ``resume=true``.
    """
    checked = check_before_work(config)
    first, stop = is_first_process(), StopRequest()
    tell = tell if tell is not None and first else say_nothing
    with ExitStack() as stack:
        run = enter(config, stack) if first else Run(config.run_dir, config)
        for note in checked.notes:
            tell(note)
        stack.enter_context(outcome_told(run, first))
        stack.enter_context(stop.listening())
        stack.enter_context(quiet_engine())
        _train(run, checked, stop, watch, tell)
        if first:
            _write_model(run)
            run.set_status("finished")
    return run


def _train(run: Run, checked: Checked, stop: StopRequest, watch: Watcher | None, tell: Callable[[str], None]) -> None:
    config = run.config
    checkpoint = _checkpoint(run)
    step = None if checkpoint is None else step_in(checkpoint)
    if checkpoint is not None:
        tell(f"Going on after step {step} ({checkpoint.name}).")
    data = PretrainData(config, checked.tokenizer, watch=watch)
    module = PretrainModule(
        _model(config, checked), config, data.corpus_ids, provenance={"megxl_version": megxl.__version__}
    )
    trainer = _trainer(run, checked, stop, step, tell)
    trainer.fit(module, data, ckpt_path=checkpoint, weights_only=True)


def _checkpoint(run: Run) -> Path | None:
    """Where to go on: the file that was named, or the newest of the run."""
    named = run.config.checkpoint.resume_path
    if named is None:
        return run.checkpoint_to_resume() if run.config.resume else None
    return named_checkpoint("checkpoint.resume_path", named)


def _model(config: PretrainConfig, checked: Checked) -> MEGXL:
    """Random weights of the training's seed, or those of another model."""
    torch.manual_seed(config.seed)
    model = MEGXL(checked.sizes, checked.tokenizer)
    if config.model.init_from is not None:
        start = MEGXL.from_pretrained(config.model.init_from, checked.tokenizer)
        model.load_state_dict(start.state_dict())
        model.provenance, model.recipe = start.provenance, start.recipe
    return model


def _trainer(run: Run, checked: Checked, stop: StopRequest, step: int | None, tell: Callable[[str], None]) -> Trainer:
    config, given = run.config, run.config.trainer
    return Trainer(
        **machine_options(given),
        accumulate_grad_batches=given.accumulate_grad_batches,
        max_epochs=config.training.num_epochs or -1,
        max_steps=config.training.max_steps or -1,
        deterministic=given.deterministic,
        log_every_n_steps=config.logging.log_every_n_steps,
        logger=make_loggers(config, run.path, step),
        callbacks=_callbacks(run, checked, stop, tell),
        default_root_dir=run.path,
    )


def _callbacks(run: Run, checked: Checked, stop: StopRequest, tell: Callable[[str], None]) -> list[Callback]:
    """In the order in which they act: the average first, the checkpoint of it all last."""
    config = run.config
    averaging = [] if config.training.ema_decay is None else [Averaging(config.training.ema_decay)]
    throughput = Throughput(checked.sizes)
    insight = Insight(config.logging.log_every_n_steps, run.path / BASELINES, throughput)
    saver = Saver(
        run.checkpoints,
        every=config.checkpoint.every_n_train_steps,
        keep=config.checkpoint.save_top_k,
        last=config.checkpoint.save_last,
        stop=stop,
        saved=lambda step, epoch: run.set_status("running", step=step, epoch=epoch),
        tell=tell,
    )
    return [*averaging, Start(run, tell), throughput, insight, Progress(insight), stop, saver]


class Start(Callback):
    """Fits the rhythm of validation to the epoch, writes who trains and validates, and passes notes on."""

    def __init__(self, run: Run, tell: Callable[[str], None]) -> None:
        self.run = run
        self.tell = tell

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Know the data, once they are prepared."""
        data = trainer.datamodule  # pyright: ignore[reportAttributeAccessIssue] (Lightning adds it)
        batches, asked = len(data.train_dataloader()), self.run.config.trainer.val_check_interval
        accumulated = self.run.config.trainer.accumulate_grad_batches
        # between accumulated batches there is nothing new to validate
        every = trainer.val_check_interval = min(-(-asked // accumulated) * accumulated, batches)
        assert isinstance(pl_module, PretrainModule)
        pl_module.told["recordings"] = split = _split(data)  # so that nobody need evaluate on them unknowingly
        if not trainer.is_global_zero:
            return
        write_json(self.run.path / SPLIT, split)
        for note in data.notes:
            self.tell(note)
        if every != asked:
            why = f"an epoch has {batches} batches" if every == batches else f"a step takes {accumulated} batches"
            self.tell(f"trainer.val_check_interval = {asked}, but {why}: validation comes every {every} batches.")

    def on_train_start(self, trainer: Trainer, pl_module: PretrainModule) -> None:
        """Pass on what the module noticed."""
        for note in pl_module.notes:
            self.tell(note)


def _split(data: PretrainData) -> dict[str, Any]:
    return {
        corpus: {"train": list(split.train), "validation": list(split.validation)}
        for corpus, split in data.split().items()
    }


def _write_model(run: Run) -> None:
    """Write the weights of the last checkpoint (their average, if one is kept) in our own format."""
    newest = run.checkpoint_to_resume()
    assert newest is not None, "a training ends with a checkpoint"
    write_checkpoint(run.path / MODEL, read_checkpoint(newest, kind="megxl"), overwrite=True)
