"""What every training does around its steps: the run that it holds, its outcome, devices, and a quiet engine."""

import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import torch

from megxl.errors import InputError
from megxl.training.environment import describe_environment, is_first_process
from megxl.training.run_config import RunConfig
from megxl.training.runs import Run
from megxl.training.saving import WholeFiles, epochs_in, step_in
from megxl.training.sections import TrainerConfig
from megxl.training.sharding import BatchesAsTheyAre, Sharded
from megxl.training.stopping import Stopped, StopRequest

try:
    from lightning.pytorch.plugins.environments import SLURMEnvironment, TorchElasticEnvironment
    from lightning.pytorch.strategies import DDPStrategy, Strategy
except ModuleNotFoundError as error:
    raise InputError("Training needs Lightning: pip install 'megxl[train]'.") from error

C = TypeVar("C", bound=RunConfig)
Tell = Callable[[str], None]
"""Is told notes for a person, one sentence each."""
_PATIENCE = timedelta(days=2)


def enter(config: C, stack: ExitStack) -> "Run[C]":
    """Make the run, or open it to go on, and hold its lock."""
    environment = describe_environment(config.seed)
    goes_on = config.resume is True or (config.resume == "auto" and Run.exists(config.run_dir))
    run = (Run.resume if goes_on else Run.create)(config, environment=environment)
    stack.enter_context(run.lock())
    run.set_status("running")
    return run


@contextmanager
def begun(config: C, notes: Sequence[str], tell: Tell | None) -> "Iterator[tuple[Run[C], StopRequest, Tell]]":
    """Have a run, hold it while its training goes on, and let it say how that ended; every process calls this.

    Parameters
    ----------
    config : RunConfig
        Checked.
    notes : sequence of str
        What the checks found, to be told.
    tell : callable, optional
        Is told notes for a person by the first process.

    Yields
    ------
    The run, who remembers signals, and to whom to tell.
    """
    first, stop = is_first_process(), StopRequest()
    tell = tell if tell is not None and first else say_nothing
    with ExitStack() as stack:
        run = enter(config, stack) if first else Run(config.run_dir, config)
        for note in notes:
            tell(note)
        stack.enter_context(outcome_told(run, first))
        stack.enter_context(stop.listening())
        stack.enter_context(quiet_engine())
        yield run, stop, tell


def checkpoint_to_go_on_from(run: "Run[Any]") -> Path | None:
    """Where to go on: the file that was named, or the newest of the run; None: at the beginning."""
    named = run.config.checkpoint.resume_path
    if named is None:
        return run.checkpoint_to_resume() if run.config.resume else None
    return named_checkpoint("checkpoint.resume_path", named)


def refuse_shorter(checkpoint: Path, num_epochs: int | None, max_steps: int | None) -> None:
    """Refuse to go on to an end that a checkpoint has passed.

    Raises
    ------
    InputError
        That; a damaged file.
    """
    for key, asked, done in (
        ("max_steps", max_steps, step_in(checkpoint)),
        ("num_epochs", num_epochs, epochs_in(checkpoint)),
    ):
        if asked is not None and asked < done:
            raise InputError(
                f"training.{key} = {asked}, but {checkpoint} was trained for {done} already; give at least {done}."
            )


def named_checkpoint(key: str, named: str) -> Path:
    """File that a key names, to go on from."""
    path = Path(named).expanduser()
    if not path.is_file():
        raise InputError(f"{key} = {named!r}: there is no such file.")
    return path


@contextmanager
def outcome_told(run: Run, first: bool) -> Iterator[None]:
    """Have the run say how its training ended."""
    try:
        yield
    except Stopped as stopped:
        if first:
            run.set_status("stopped", message=stopped.sentence)
        raise
    except (KeyboardInterrupt, SystemExit):
        if first:
            run.set_status("stopped", message="Stopped before the first step.")
        raise
    except Exception as error:
        if first:
            run.set_status("failed", message=str(error) or type(error).__name__)
        raise


@contextmanager
def quiet_engine() -> Iterator[None]:
    """Keep the engine's own announcements off the terminal; its errors are raised."""
    names = ("lightning", "lightning.pytorch", "lightning.fabric", "lightning_utilities", "torch.distributed")
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"lightning\.")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def machine_options(given: TrainerConfig, *, unused: bool = False) -> dict[str, Any]:
    """Devices, strategy and precision, as Lightning's `Trainer` takes them.

    Parameters
    ----------
    given : TrainerConfig
    unused : bool
        Whether weights that are trained may play no part in a step.
    """
    return {
        "accelerator": given.accelerator,
        "devices": list(given.devices) if isinstance(given.devices, tuple) else given.devices,
        "num_nodes": given.num_nodes,
        "strategy": _strategy(given, unused),
        **_precision(given),
        "use_distributed_sampler": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "enable_autolog_hparams": False,
        "num_sanity_val_steps": 0,
    }


def say_nothing(note: str) -> None:
    """Drop notes: nobody listens, or another process says them."""


def _strategy(given: TrainerConfig, unused: bool) -> Strategy | str:
    # the first process prepares recordings and writes codes while the others wait, for hours if need be
    if given.strategy == "fsdp":
        return Sharded(timeout=_PATIENCE)
    # buffers are equal on all ranks, also code books that are learned
    ddp = given.strategy == "ddp" or _several(given)
    return DDPStrategy(broadcast_buffers=False, find_unused_parameters=unused, timeout=_PATIENCE) if ddp else "auto"


def _several(given: TrainerConfig) -> bool:
    """Whether there will be more than one process."""
    devices = given.devices
    if devices == "auto":
        devices = 1 if given.accelerator == "cpu" else torch.cuda.device_count()
    return given.num_nodes > 1 or (len(devices) if isinstance(devices, tuple) else int(devices)) > 1


def _precision(given: TrainerConfig) -> dict[str, Any]:
    plugins: list[Any] = [WholeFiles()]
    if SLURMEnvironment.detect() and not TorchElasticEnvironment.detect():
        plugins.append(SLURMEnvironment(auto_requeue=False))
    if given.strategy == "fsdp":
        return {"plugins": [*plugins, BatchesAsTheyAre(given.precision)]}  # pyright: ignore[reportArgumentType]
    return {"plugins": plugins, "precision": given.precision}
