"""Where the numbers of a training go: tables in the run, TensorBoard, and Weights & Biases by one key."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any
from uuid import uuid4

from megxl.errors import InputError
from megxl.training.run_config import RunConfig
from megxl.training.tables import BEGINNING, TableLogger

try:
    from lightning.pytorch.loggers import Logger, TensorBoardLogger, WandbLogger
    from lightning.pytorch.utilities.rank_zero import rank_zero_only
except ModuleNotFoundError as error:
    raise InputError("Training needs Lightning: pip install 'megxl[train]'.") from error

TENSORBOARD, WANDB = "tensorboard", "wandb"


def make_loggers(config: RunConfig, run_path: Path, resumed_step: int | None) -> list[Logger]:
    """Make the loggers of a run; rows after the step from which a run goes on are taken away.

    Parameters
    ----------
    config : RunConfig
    run_path : Path
        Directory of the run.
    resumed_step : int, optional
        Optimizer steps of the checkpoint; None: the run begins.

    Raises
    ------
    InputError
        TensorBoard or Weights & Biases is asked for and not installed.
    """
    tables = TableLogger(run_path)
    tables.cut_back(BEGINNING if resumed_step is None else resumed_step)
    loggers: list[Logger] = [tables]
    if config.logging.tensorboard:
        _need("tensorboard", "logging.tensorboard", "pip install tensorboard")
        # what is written at the resumed step itself is in the past
        purge = None if resumed_step is None else resumed_step + 1
        loggers.append(TensorBoardLogger(run_path, name=None, version=TENSORBOARD, purge_step=purge))
    if config.logging.wandb:
        _need("wandb", "logging.wandb", "pip install wandb")
        loggers.append(WandbLogger(**wandb_options(config, run_path)))
    return loggers


def wandb_options(config: RunConfig, run_path: Path) -> dict[str, Any]:
    """Options for `WandbLogger`; the id of its run is kept in ours, so that a resumed run goes on in the same one."""
    kept = run_path / WANDB / "id"
    if not kept.exists() and rank_zero_only.rank == 0:
        kept.parent.mkdir(exist_ok=True)
        kept.write_text(uuid4().hex[:12], encoding="utf-8")
    return {
        "project": config.logging.wandb_project,
        "entity": config.logging.wandb_entity,
        "name": config.logging.experiment_name,
        "save_dir": run_path,
        # other ranks write nothing
        "id": kept.read_text(encoding="utf-8") if kept.exists() else None,
        "resume": "allow",
        "config": config.to_dict(),
    }


def _need(module: str, key: str, hint: str) -> None:
    if find_spec(module) is None:
        raise InputError(f"{key} = true, but {module} is not installed: {hint}, or set {key}=false.")
