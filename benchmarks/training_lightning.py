"""A case of `training.py` as users run it: `PretrainModule` under Lightning's Trainer."""

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from lightning.pytorch import Callback, Trainer
from torch import Tensor
from torch.utils.data import DataLoader

from benchmarks.training_cost import Step
from megxl.data.batch import Batch
from megxl.model.megxl import MEGXL
from megxl.tokenizer.biocodec import BioCodec
from megxl.training.config import PretrainConfig
from megxl.training.module import PretrainModule

if TYPE_CHECKING:
    from benchmarks.training import Case, Clock


def train(case: "Case", loader: DataLoader, sensors: Any, clock: "Clock") -> tuple[list[float], float]:
    """Times of the counted steps, and the seconds spent in the loader.

    Parameters
    ----------
    case : Case
    loader : DataLoader
        Of codes, or of signals where codes are made online.
    sensors : SensorTensors
        Those of every batch, on the CPU.
    clock : Clock
    """
    step = case.step
    model = MEGXL(replace(step.config, dropout=case.dropout), BioCodec() if case.online else None)
    module = PretrainModule(model, _config(case), {"random": 0})
    stream = _Stream(loader, step, sensors)
    marks = _Marks(case.warmup, clock, stream)
    trainer = Trainer(
        accelerator="gpu" if case.device == "cuda" else "cpu",
        devices=1,
        precision="bf16-mixed" if step.mixed else "32-true",
        max_steps=case.warmup + case.steps,
        logger=False,
        callbacks=[marks],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )
    trainer.fit(module, stream)
    return clock.seconds(), sum(stream.waits)


def _config(case: "Case") -> PretrainConfig:
    """What the module reads of a configuration; sizes are the model's own."""
    model = {"recompute": case.step.recompute, "compile": case.compiled, "attention": case.attention}
    return PretrainConfig.from_dict(
        {
            "datasets_config": [{"type": "simulated"}],
            "data": {"segment_length": case.step.window_s},
            "model": model | {"tokenizer_ckpt": "none"},
            "training": {"num_epochs": None, "max_steps": case.warmup + case.steps, "batch_size": case.step.batch},
        }
    )


class _Stream:
    """Windows as batches, and how long each was waited for."""

    def __init__(self, loader: DataLoader, step: Step, sensors: Any) -> None:
        self.loader, self.step, self.sensors = loader, step, sensors
        self.waits: list[float] = []

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[Batch]:
        from benchmarks.training import waiting

        for number, windows in enumerate(waiting(iter(self.loader), self.waits)):
            yield self._batch(windows, number)

    def _batch(self, windows: Tensor, number: int) -> Batch:
        items = len(windows)
        cached = not windows.is_floating_point()
        return Batch(
            signal_BCT=None if cached else windows,
            codes_BCTQ=windows if cached else None,
            sensors=self.sensors,
            sensor_mask_BC=None,
            sfreq_hz=self.step.config.sfreq_hz,
            corpora=("random",) * items,
            corpus_B=torch.zeros(items, dtype=torch.int64),
            keys=("random",) * items,
            start_s_B=torch.zeros(items),
            seeds_B=torch.arange(items) + number * items,
        )


class _Marks(Callback):
    """Marks the clock between the steps that count."""

    def __init__(self, warmup: int, clock: "Clock", stream: _Stream) -> None:
        self.warmup, self.clock, self.stream = warmup, clock, stream

    def on_train_batch_start(self, trainer: Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """The first that counts begins."""
        if batch_idx == self.warmup:
            self.stream.waits.clear()
            self.clock.mark()

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """One has ended."""
        if batch_idx >= self.warmup:
            self.clock.mark()
