"""A whole training of a tokenizer: `train_tokenizer` checks, makes or opens the run, trains, leaves a codec there."""

import torch

import megxl
from megxl.errors import InputError
from megxl.tokenizer.biocodec import BioCodec
from megxl.training.environment import is_first_process
from megxl.training.leaving import leave_model
from megxl.training.loggers import make_loggers
from megxl.training.preparation import Watcher
from megxl.training.running import Tell, begun, checkpoint_to_go_on_from, machine_options
from megxl.training.runs import Run
from megxl.training.saving import Saver, step_in
from megxl.training.starting import Start
from megxl.training.stopping import StopRequest
from megxl.training.tokenizer.checks import Checked, check_before_work
from megxl.training.tokenizer.config import TokenizerConfig
from megxl.training.tokenizer.data import TokenizerData
from megxl.training.tokenizer.module import TokenizerModule
from megxl.training.tokenizer.step_rows import TokenizerProgress, TokenizerRows

try:
    from lightning.pytorch import Callback, Trainer
except ModuleNotFoundError as error:
    raise InputError("Training needs Lightning: pip install 'megxl[train]'.") from error


def train_tokenizer(
    config: TokenizerConfig, *, watch: Watcher | None = None, tell: Tell | None = None
) -> "Run[TokenizerConfig]":
    """Train a tokenizer as a configuration says, or go on where it stopped; every process of a training calls this.

    Parameters
    ----------
    config : TokenizerConfig
    watch : Watcher, optional
        Is told how recordings are prepared.
    tell : callable, optional
        Is told notes for a person, one sentence each.

    Returns
    -------
    Run
        Finished, with a codec in it (`BioCodec.from_pretrained(run.path / "model")`).

    Raises
    ------
    InputError
        What `check_before_work` and `Run` refuse, before any work; damaged files; a training that diverged.
    Stopped
        A signal came; the run goes on with ``resume=true``.
    """
    checked = check_before_work(config)
    with begun(config, checked.notes, tell) as (run, stop, say):
        _train(run, checked, stop, watch, say)
        if is_first_process():
            leave_model(run, "biocodec")
            run.set_status("finished")
    return run


def _train(run: "Run[TokenizerConfig]", checked: Checked, stop: StopRequest, watch: Watcher | None, tell: Tell) -> None:
    config = run.config
    checkpoint = checkpoint_to_go_on_from(run)
    step = None if checkpoint is None else step_in(checkpoint)
    if checkpoint is not None:
        tell(f"Going on after step {step} ({checkpoint.name}).")
    provenance = {"megxl_version": megxl.__version__}
    trainer = Trainer(
        **machine_options(config.trainer),
        accumulate_grad_batches=config.trainer.accumulate_grad_batches,
        max_epochs=config.training.num_epochs or -1,
        max_steps=config.training.max_steps or -1,
        deterministic=config.trainer.deterministic,
        log_every_n_steps=config.logging.log_every_n_steps,
        logger=make_loggers(config, run.path, step),
        callbacks=_callbacks(run, stop, tell),
        default_root_dir=run.path,
    )
    trainer.fit(
        TokenizerModule(_codec(config, checked), config, provenance=provenance),
        TokenizerData(config, watch=watch),
        ckpt_path=checkpoint,
        weights_only=True,
    )


def _codec(config: TokenizerConfig, checked: Checked) -> BioCodec:
    """Random weights of the training's seed, or those of another codec."""
    if checked.start is not None:
        return checked.start
    torch.manual_seed(config.seed)
    return BioCodec(checked.sizes)


def _callbacks(run: "Run[TokenizerConfig]", stop: StopRequest, tell: Tell) -> list[Callback]:
    """In the order in which they act: the checkpoint of it all last."""
    config = run.config
    rows = TokenizerRows(config.logging.log_every_n_steps)
    saver = Saver(
        run.checkpoints,
        every=config.checkpoint.every_n_train_steps,
        keep=config.checkpoint.save_top_k,
        last=config.checkpoint.save_last,
        stop=stop,
        saved=lambda step, epoch: run.set_status("running", step=step, epoch=epoch),
        tell=tell,
    )
    return [Start(run, tell), rows, TokenizerProgress(rows), stop, saver]
