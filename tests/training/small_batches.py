"""Batches of random codes or noise without a store, a model of their size, and a quiet trainer."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, Trainer
from torch.utils.data import DataLoader

from megxl.data.batch import Batch, collate
from megxl.data.dataset import Item
from megxl.data.modules import MultiCorpusDataModule
from megxl.data.sources import CorpusSource
from megxl.model.megxl import MEGXL
from megxl.sizes import MEGXLConfig
from megxl.training.config import PretrainConfig
from megxl.training.module import PretrainModule
from tests.data.small import sensors
from tests.training.small_run import CODEC, make_store, settings, small_codec

CORPORA = {"armeni": 0, "camcan": 1}
TOKENS = 50
"""12 s: four blocks, of which two are hidden."""


def small_sizes(**changes: Any) -> MEGXLConfig:
    known = {"width": 32, "layers": 2, "heads": 4, "fourier_width": 8, "masked_blocks": 2, "dropout": 0.0}
    codec = {name: getattr(CODEC, name) for name in ("levels", "codes", "code_width", "samples_per_token")}
    return MEGXLConfig(**(known | codec | changes))


def small_model(seed: int = 0, **changes: Any) -> MEGXL:
    codec = small_codec()
    torch.manual_seed(seed)
    return MEGXL(small_sizes(**changes), codec)


def item(
    seed: int,
    n_sensors: int = 4,
    *,
    corpus: str = "armeni",
    signal: bool = False,
    bad: bool = False,
    again: bool = False,
) -> Item:
    """Codes that tell their sensor and time a little, so that there is something to learn; or noise."""
    generator = torch.Generator().manual_seed(seed)
    codes = torch.randint(CODEC.codes // 2, (n_sensors, TOKENS, CODEC.levels), generator=generator, dtype=torch.uint8)
    return Item(
        signal_CT=torch.randn(n_sensors, 12 * TOKENS, generator=generator) if signal else None,
        codes_CTQ=None if signal else codes + (torch.arange(n_sensors, dtype=torch.uint8) % 8)[:, None, None],
        sensors=sensors(n_sensors),
        sensor_mask_C=torch.arange(n_sensors) > 0 if bad else None,
        sfreq_hz=50.0,
        corpus=corpus,
        key=f"{corpus}/{seed}",
        start_s=0.0,
        stop_s=12.0,
        seed=seed,
        repeated=again,
    )


def batch(*items: Item) -> Batch:
    return collate(items, CORPORA)


def loader(batches: Sequence[Batch]) -> DataLoader:
    return DataLoader(list(batches), batch_size=None)


def small_module(model: MEGXL | None = None, kind: type[PretrainModule] = PretrainModule, **changes: Any):
    """Module; `changes` are those of `tests.training.small_run.settings`."""
    known = {"training__learning_rate": 1e-2, "training__warmup_steps": 4, "training__num_epochs": 3, "seed": 1}
    config = PretrainConfig.from_dict(settings(Path("nowhere"), **(known | changes)))
    return kind(model or small_model(), config, CORPORA)


class Descending(PretrainModule):
    """Plain descent: AdamW divides by the gradient's size, and would blow up the noise of what ought to be zero."""

    def configure_optimizers(self) -> torch.optim.Optimizer:
        super().configure_optimizers()
        return torch.optim.SGD([p for p in self.model.parameters() if p.requires_grad], lr=1.0, momentum=0.5)


def trainer(**options: Any) -> Trainer:
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}
    known = quiet | {"enable_checkpointing": False, "num_sanity_val_steps": 0, "use_distributed_sampler": False}
    return Trainer(**(known | options))


class Watch(Callback):
    """Remembers rates, gradient norms and gradients of all steps; saves after one of them and stops there."""

    def __init__(self, save_after: int | None = None, path: Any = None) -> None:
        self.save_after, self.path = save_after, path
        self.rates: list[float] = []
        self.norms: list[float] = []
        self.gradients: list[dict[str, torch.Tensor]] = []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        if trainer.global_step == len(self.rates):
            return
        self.rates.append(trainer.optimizers[0].param_groups[0]["lr"])
        self.norms.append(float(pl_module.gradient_norm))
        named = pl_module.model.named_parameters()
        self.gradients.append({name: p.grad.clone() for name, p in named if p.grad is not None})
        if trainer.global_step == self.save_after:
            trainer.save_checkpoint(self.path)
            trainer.should_stop = True


def weights(module: PretrainModule) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in module.model.named_parameters() if p.requires_grad}


def noise_windows(folder: Path) -> Callable[[], MultiCorpusDataModule]:
    """Make a store of noise; returns what makes data modules of its windows of 6 s: 8 batches of training."""
    store = make_store(folder, seconds=25.0)
    source = CorpusSource(store=store, corpus="armeni", split={"validation": 0.2})
    return lambda: MultiCorpusDataModule([source], window_s=6.0, batch_size=2, jitter=True, seed=5)


def noise_module(seed: int, **changes: Any) -> PretrainModule:
    return small_module(small_model(seed, dropout=0.2, masked_blocks=1), **changes)
