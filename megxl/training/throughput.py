"""How fast a training is, measured from row to row without stalling the device in each step."""

import time
from collections.abc import Callable
from typing import Any

import torch

from megxl.errors import InputError
from megxl.model.benchmark import PEAK_BF16
from megxl.model.flops import Workload, training_flops
from megxl.sizes import MEGXLConfig
from megxl.training.masks import MaskedBatch

try:
    from lightning.pytorch import Callback, LightningModule, Trainer
    from lightning.pytorch.profilers import Profiler
except ModuleNotFoundError as error:
    raise InputError("Training needs Lightning: pip install 'megxl[train]'.") from error

TIMING_COLUMNS = ("tokens_per_s", "windows_per_s", "mfu", "data_wait")
"""Columns of metrics.csv that depend on the machine and the moment."""

_FETCH, _SAVE, _VALIDATION, _FIRST_STEP = "train_dataloader_next", "save_checkpoint", "validation", "first step"


class Clock(Profiler):
    """Adds up the time of training and, within it, of waiting for batches; Lightning tells what begins and ends.

    Parameters
    ----------
    settle : callable
        Waits until the device has done what it was given.

    The clock stands still at the beginning, until "first step" has ended.
    """

    def __init__(self, settle: Callable[[], None]) -> None:
        super().__init__()
        self._settle = settle
        self._holds = {_FIRST_STEP}
        self._since = self._asked = 0.0
        self._running_s = self._waiting_s = 0.0

    def start(self, action_name: str) -> None:
        """Know that something begins."""
        what = _last_word(action_name)
        if what == _FETCH:
            self._asked = time.perf_counter()
        elif what in (_SAVE, _VALIDATION):
            self._add()
            self._holds.add(what)

    def stop(self, action_name: str) -> None:
        """Know that it has ended."""
        what = _last_word(action_name)
        if what == _FETCH and not self._holds:
            self._waiting_s += time.perf_counter() - self._asked
        elif what in self._holds:
            self._holds.remove(what)
            self._settle()
            self._since = time.perf_counter()

    def read(self) -> tuple[float, float]:
        """Seconds of training, and of waiting among them, since the last reading."""
        self._add()
        told = self._running_s, self._waiting_s
        self._running_s = self._waiting_s = 0.0
        return told

    def _add(self) -> None:
        if not self._holds:
            self._settle()
            now = time.perf_counter()
            self._running_s += now - self._since
            self._since = now


class Timed(Callback):
    """Takes the time of training.

    Validation and the writing of checkpoints are left out, and so is the first step of a process, which starts workers
    and compiles. The device is waited for at a reading, and where the clock stops for something else.
    """

    def __init__(self) -> None:
        self._device = torch.device("cpu")
        self._ranks = 1
        self._clock = Clock(self._settle)
        self._started = False

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Have Lightning tell what it begins and ends."""
        self._device, self._ranks = trainer.strategy.root_device, trainer.world_size
        trainer.profiler = self._clock  # pyright: ignore[reportAttributeAccessIssue]

    def counts(self) -> bool:
        """Whether a batch that has ended counts; the first one starts the clock."""
        if not self._started:
            self._started = True
            self._clock.stop(_FIRST_STEP)
            return False
        return True

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop the clock."""
        self._clock.start(_VALIDATION)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Let the clock go on."""
        self._clock.stop(_VALIDATION)

    def _settle(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        elif self._device.type == "mps":
            torch.mps.synchronize()


class Throughput(Timed):
    """Counts what is trained on between two readings, and the time that it takes (`Timed`).

    Parameters
    ----------
    config : MEGXLConfig
        Of the model, for its operations; an online tokenizer's are not counted.
    """

    def __init__(self, config: MEGXLConfig) -> None:
        super().__init__()
        self._config = config
        self._windows = self._tokens = self._flops = 0

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: MaskedBatch, batch_idx: int
    ) -> None:
        """Count a batch, by its shape alone."""
        if not self.counts():
            return
        work = _workload(batch, self._config)
        self._windows += work.batch
        self._tokens += work.batch * work.sensors * batch.mask_BT.shape[1]
        self._flops += training_flops(self._config, work, int(batch.mask_BT[0].sum()))

    def read(self) -> dict[str, float | None]:
        """Say how fast it was since the last reading, and begin anew.

        Returns
        -------
        dict
            ``tokens_per_s`` and ``windows_per_s`` of all devices together, padding included; ``mfu``, the share of the
            vendor's bfloat16 peak; ``data_wait``, the share of time in which this process waited for a batch, which is
            more than a GPU with work in its queue does. None where it is not known: before a step was timed, and for
            the peak of a CPU or an unlisted GPU.
        """
        seconds, waiting_s = self._clock.read()
        windows, tokens, flops = self._windows, self._tokens, self._flops
        self._windows = self._tokens = self._flops = 0
        if not windows or seconds <= 0:
            return dict.fromkeys(TIMING_COLUMNS)
        peak = _peak(self._device)
        rates = (
            self._ranks * tokens / seconds,
            self._ranks * windows / seconds,
            None if peak is None else flops / seconds / peak,
            waiting_s / seconds,
        )
        return dict(zip(TIMING_COLUMNS, rates, strict=True))


def _workload(masked: MaskedBatch, config: MEGXLConfig) -> Workload:
    sensors = masked.batch.sensors.kinds_BC.shape[1]
    return Workload(batch=len(masked), sensors=sensors, samples=masked.mask_BT.shape[1] * config.samples_per_token)


def _peak(device: torch.device) -> float | None:
    """Operations a second that the vendor names."""
    if device.type != "cuda":
        return None
    name = torch.cuda.get_device_name(device)
    return next((peak for known, peak in PEAK_BF16.items() if known in name), None)


def _last_word(action_name: str) -> str:
    return action_name.rpartition(".")[2]
