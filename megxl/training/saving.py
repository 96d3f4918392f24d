"""Checkpoints that are whole or not there, and from which a training goes on exactly.

A checkpoint is the state after an optimiser step, and after the validation that belongs to it. Its counters say just
that, whichever hook saved it: Lightning resumes in five ways, by the hook that its counters tell of, and not all of
them are exact.
"""

import os
import pickle
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from megxl.errors import InputError
from megxl.placing import placed
from megxl.training.stopping import Stopped, StopRequest

try:
    from lightning.fabric.plugins import TorchCheckpointIO
    from lightning.pytorch import LightningModule, Trainer
    from lightning.pytorch.callbacks import Checkpoint
except ModuleNotFoundError as error:
    raise InputError("Training needs Lightning: pip install 'megxl[train]'.") from error

LAST = "last.ckpt"
PATTERN = "step-*.ckpt"


class WholeFiles(TorchCheckpointIO):
    """Writes a checkpoint under a hidden name, and gives it its own when it is on the disk."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Write a checkpoint; at a kill or power cut there is the whole file or none of this name."""
        path = Path(path)
        with placed(path, folder=False) as part, part.open("wb") as file:
            torch.save(checkpoint, file)
            file.flush()
            os.fsync(file.fileno())
        sync_folder(path.parent)

    def load_checkpoint(
        self, path: str | Path, map_location: Any = lambda storage, place: storage, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Read a checkpoint of plain tensors and values; nothing in it is run.

        Raises
        ------
        InputError
            The file is damaged or no checkpoint of a training.
        """
        content = _read(path, map_location=map_location)
        # torch compares no checksums, and one wrong bit among the weights would go unseen
        with zipfile.ZipFile(path) as file:
            if (bad := file.testzip()) is not None:
                raise _damaged(path, f"the checksum of {bad} is wrong")
        return content


class Saver(Checkpoint):
    """Saves every so many optimiser steps, at the end, and when the training is stopped.

    The numbered files are kept or pruned by `keep`; `last.ckpt` is another name of the newest.

    Parameters
    ----------
    folder : Path
        For the checkpoints.
    every : int
        Optimiser steps between two.
    keep : int
        How many numbered files: -1 all, k the newest k.
    last : bool
        Whether there is a `last.ckpt`.
    stop : StopRequest
        Asked after every step.
    saved : callable, optional
        Called on the first rank with step and epoch after each save.
    tell : callable, optional
        Is told on the first rank, for a person, which files are removed because they are made again.
    """

    def __init__(
        self,
        folder: Path,
        *,
        every: int,
        keep: int = -1,
        last: bool = True,
        stop: StopRequest,
        saved: Callable[[int, int], None] | None = None,
        tell: Callable[[str], None] | None = None,
    ) -> None:
        self.folder = folder
        self.every = every
        self.keep = keep
        self.last = last
        self.stop = stop
        self.saved = saved
        self.tell = tell
        self._step = 0
        self._due = False

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Count from the step at which the training begins or goes on."""
        self._step = trainer.global_step
        gone = forget_after(self.folder, self._step) if trainer.is_global_zero else []
        if gone and self.tell is not None:
            are = "is removed: it is" if len(gone) == 1 else "are removed: they are"
            self.tell(f"{', '.join(gone)} {are} trained again after step {self._step}.")

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """See after each optimiser step whether to save and to stop, now or after the validation that follows."""
        if trainer.global_step == self._step:  # between accumulated batches
            return
        self._step = trainer.global_step
        final = _is_final(trainer, batch_idx)
        if final:
            trainer.should_stop = True  # Lightning validates once more before it stops
        self._due = final or self._step % self.every == 0
        if not _validates(trainer, batch_idx):
            self._settle(trainer)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save and stop where that waited for the validation."""
        if trainer.state.fn == "fit" and not trainer.sanity_checking:
            self._settle(trainer)

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Have the counters say what is done."""
        settle_counters(checkpoint["loops"]["fit_loop"], int(trainer.num_training_batches), trainer.global_step)

    def _settle(self, trainer: Trainer) -> None:
        signal = self.stop.agreed(trainer)
        if self._due or signal:
            self._save(trainer)
        self._due = False
        if signal:
            name = LAST if self._names_last else numbered(self._step)
            raise Stopped(signal, f"Stopped after step {self._step}; {name} holds it, resume=true goes on from there.")

    @property
    def _names_last(self) -> bool:
        return self.last or self.keep == 0  # one file there must be

    def _save(self, trainer: Trainer) -> None:
        for logger in trainer.loggers:
            logger.save()  # rows of this step are on the disk before the checkpoint that follows them
        path = self.folder / numbered(self._step)
        trainer.save_checkpoint(path)
        if trainer.is_global_zero:
            if self._names_last:
                name_last(path)
            prune(self.folder, self.keep)
            if self.saved is not None:
                self.saved(self._step, trainer.current_epoch)


def settle_counters(loop: dict[str, Any], batches: int, steps: int) -> None:
    """Rewrite the counters of Lightning's fit loop: its last batch is done, and so is all that follows from it.

    Parameters
    ----------
    loop : dict
        State of the fit loop.
    batches : int
        Of an epoch.
    steps : int
        Of the optimiser.
    """
    epoch, batch = loop["epoch_progress"], loop["epoch_loop.batch_progress"]
    finished = batch["current"]["ready"] >= batches
    # an epoch that is over is counted as such, and the next one as not begun: whether Lightning counts epochs or
    # steps, it then begins the next epoch at its first batch
    for counts in (epoch["total"], epoch["current"]):
        done = counts["ready"] - (not finished)
        counts |= {"started": counts["ready"], "processed": done, "completed": done}
    batch["total"] = dict.fromkeys(batch["total"], batch["total"]["ready"])
    batch["current"] = dict.fromkeys(batch["current"], batch["current"]["ready"])
    batch["is_last_batch"] = False
    if finished:
        optimizer = loop["epoch_loop.automatic_optimization.optim_progress"]["optimizer"]
        for counts in (batch, loop["epoch_loop.scheduler_progress"], *optimizer.values()):
            counts["current"] = dict.fromkeys(counts["current"], 0)
        validated = loop["epoch_loop.val_loop.batch_progress"]
        validated |= {name: dict.fromkeys(validated[name], 0) for name in ("total", "current")}
    loop["epoch_loop.state_dict"] = {**loop["epoch_loop.state_dict"], "_batches_that_stepped": steps}


def name_last(path: Path) -> None:
    """Give a checkpoint the second name last.ckpt; a copy where the file system has no links."""
    last = path.with_name(LAST)
    with placed(last, folder=False) as part:
        try:
            os.link(path, part)
        except OSError:
            shutil.copyfile(path, part)
            with part.open("rb") as file:
                os.fsync(file.fileno())
    sync_folder(path.parent)


def prune(folder: Path, keep: int) -> None:
    """Delete numbered checkpoints but for the newest `keep` (-1: none is deleted)."""
    if keep >= 0:
        for path in sorted(folder.glob(PATTERN), reverse=True)[keep:]:
            path.unlink()


def forget_after(folder: Path, step: int) -> list[str]:
    """Delete numbered checkpoints of later steps than the one from which a training goes on; returns their names."""
    later = [path for path in sorted(folder.glob(PATTERN)) if path.name > numbered(step)]
    # another name of one of them would lead back to it if the training were killed before its next checkpoint
    later += [last for last in folder.glob(LAST) if any(last.samefile(path) for path in later)]
    for path in later:
        path.unlink()
    return [path.name for path in later]


def step_in(path: Path) -> int:
    """Optimiser steps that a checkpoint was trained, without reading its tensors.

    Raises
    ------
    InputError
        As `WholeFiles.load_checkpoint`.
    """
    return int(_read(path, mmap=True)["global_step"])


def epochs_in(path: Path) -> int:
    """Whole epochs that a checkpoint was trained, 0 where it does not say; otherwise as `step_in`."""
    progress = _read(path, mmap=True)["loops"].get("fit_loop", {}).get("epoch_progress", {})
    return int(progress.get("current", {}).get("completed", 0))


def numbered(step: int) -> str:
    """Name of the checkpoint of a step; names sort as steps do."""
    return f"step-{step:08d}.ckpt"


def sync_folder(folder: Path) -> None:
    """Have the names in a folder written to the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read(path: str | Path, **options: Any) -> dict[str, Any]:
    try:
        content = torch.load(path, weights_only=True, **options)
    except (RuntimeError, EOFError, ValueError, KeyError, OSError, pickle.UnpicklingError) as error:
        raise _damaged(path, str(error).partition("\n")[0].rstrip(".") or type(error).__name__) from error
    if not isinstance(content, dict) or "loops" not in content:
        raise InputError(
            f"{path} holds weights alone, no state of a training: start from them with model.init_from={path}."
        )
    return content


def _is_final(trainer: Trainer, batch_idx: int) -> bool:
    if 0 <= trainer.max_steps <= trainer.global_step:
        return True
    epochs = trainer.max_epochs
    is_last = batch_idx + 1 >= trainer.num_training_batches
    return is_last and epochs is not None and 0 <= epochs <= trainer.current_epoch + 1


def _validates(trainer: Trainer, batch_idx: int) -> bool:
    """Whether Lightning validates after this batch."""
    if not trainer.enable_validation or not any(trainer.num_val_batches):
        return False
    every = trainer.val_check_batch
    return trainer.should_stop or (every is not None and (batch_idx + 1) % every == 0)


def _damaged(path: str | Path, why: str) -> InputError:
    return InputError(
        f"{path} cannot be read, it is damaged or no checkpoint ({why}). Go on from another one with "
        "checkpoint.resume=true checkpoint.resume_path=FILE, or delete it to go on from the one before."
    )
