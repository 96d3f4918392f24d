"""A whole training: `pretrain` checks, makes or opens the run, trains in it, and leaves a model there."""

from collections.abc import Callable

import torch

import megxl
from megxl.checkpoints.files import read_checkpoint
from megxl.errors import InputError
from megxl.model.megxl import MEGXL
from megxl.model.pairing import CARRIED, READS_CODES
from megxl.training.averaging import Averaging
from megxl.training.checks import Checked, check_before_work
from megxl.training.config import PretrainConfig
from megxl.training.data import PretrainData, Watcher
from megxl.training.environment import is_first_process
from megxl.training.insight import Insight
from megxl.training.leaving import leave_model
from megxl.training.loggers import make_loggers
from megxl.training.module import PretrainModule
from megxl.training.progress import Progress
from megxl.training.running import begun, checkpoint_to_go_on_from, machine_options
from megxl.training.runs import BASELINES, Run
from megxl.training.saving import Saver, step_in
from megxl.training.starting import Start
from megxl.training.stopping import StopRequest
from megxl.training.throughput import Throughput

try:
    from lightning.pytorch import Callback, Trainer
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
    with begun(config, checked.notes, tell) as (run, stop, say):
        _train(run, checked, stop, watch, say)
        if is_first_process():
            leave_model(run, "megxl")
            run.set_status("finished")
    return run


def _train(run: Run, checked: Checked, stop: StopRequest, watch: Watcher | None, tell: Callable[[str], None]) -> None:
    config = run.config
    checkpoint = checkpoint_to_go_on_from(run)
    step = None if checkpoint is None else step_in(checkpoint)
    if checkpoint is not None:
        tell(f"Going on after step {step} ({checkpoint.name}).")
    data = PretrainData(config, checked.tokenizer, watch=watch)
    module = PretrainModule(
        _model(config, checked), config, data.corpus_ids, provenance={"megxl_version": megxl.__version__}
    )
    trainer = _trainer(run, checked, stop, step, tell)
    trainer.fit(module, data, ckpt_path=checkpoint, weights_only=True)


def _model(config: PretrainConfig, checked: Checked) -> MEGXL:
    """Random weights of the training's seed, or those of another model."""
    torch.manual_seed(config.seed)
    model = MEGXL(checked.sizes, checked.tokenizer)
    if config.model.init_from is not None:
        start = MEGXL.from_checkpoint(read_checkpoint(config.model.init_from, kind="megxl"))
        left_out = READS_CODES if config.model.swap_tokenizer else CARRIED
        kept = {name: tensor for name, tensor in start.state_dict().items() if not name.startswith(left_out)}
        model.load_state_dict(model.state_dict() | kept)
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
