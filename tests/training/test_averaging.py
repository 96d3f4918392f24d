"""The average against the sum written out in float64; who sees it; and that it goes on after a stop."""

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback

from megxl.errors import InputError
from megxl.model.megxl import MEGXL
from megxl.training.averaging import Averaging
from tests.training.small_batches import (
    Watch,
    batch,
    item,
    loader,
    noise_module,
    noise_windows,
    small_module,
    trainer,
    weights,
)

BATCHES = [batch(item(seed)) for seed in range(3)]
HEAD = "head.weight"


class History(Callback):
    """Remembers the trained weights of every step, and those that are validated."""

    def __init__(self) -> None:
        self.trained: list[np.ndarray] = []
        self.validated: list[np.ndarray] = []

    def on_train_start(self, trainer, pl_module) -> None:
        self.trained.append(self._of(pl_module))

    def on_train_batch_end(self, trainer, pl_module, *_) -> None:
        self.trained.append(self._of(pl_module))

    def on_validation_batch_end(self, trainer, pl_module, *_) -> None:
        self.validated.append(self._of(pl_module))

    def _of(self, pl_module) -> np.ndarray:
        return weights(pl_module)[HEAD].double().numpy().copy()


def averages(trained: list[np.ndarray], decay: float) -> list[np.ndarray]:
    average, found = trained[0], []
    for step, current in enumerate(trained[1:], start=1):
        keep = min(decay, (1 + step) / (10 + step))
        average = keep * average + (1 - keep) * current
        found.append(average)
    return found


@pytest.mark.parametrize("first", [True, False])
def test_the_average_is_validated_left_in_the_model_and_saved(tmp_path, first):
    module, history, averaging = small_module(training__ema_decay=0.3), History(), Averaging(0.3)
    watch = Watch()
    run = trainer(max_epochs=2, callbacks=[averaging, history, watch] if first else [history, watch, averaging])
    run.fit(module, loader(BATCHES), loader(BATCHES[:1]))
    expected = averages(history.trained, 0.3)
    assert len(expected) == 6 and len(history.validated) == 2
    for found, wanted in zip(history.validated, (expected[2], expected[5]), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-7)
    assert np.abs(expected[5] - history.trained[-1]).max() > 1e-4
    np.testing.assert_allclose(weights(module)[HEAD].numpy(), expected[5], rtol=0, atol=1e-7)
    run.save_checkpoint(tmp_path / "last.ckpt")
    exported = MEGXL.from_pretrained(tmp_path / "last.ckpt")
    assert torch.equal(exported.head.weight, module.model.head.weight)


@pytest.fixture(scope="module")
def windows(tmp_path_factory):
    return noise_windows(tmp_path_factory.mktemp("noise"))


@pytest.mark.parametrize("saver_first", [True, False])
def test_a_resumed_average_equals_an_unbroken_one_bit_for_bit(tmp_path, windows, saver_first):
    path = tmp_path / "stop.ckpt"

    def module(seed: int):
        return noise_module(seed, training__ema_decay=0.9)

    whole = module(0)
    trainer(max_epochs=2, callbacks=[Averaging(0.9)]).fit(whole, windows())
    stopping = [Watch(10, path), Averaging(0.9)]
    trainer(max_epochs=2, callbacks=stopping if saver_first else stopping[::-1]).fit(module(0), windows())
    rest = module(1)
    trainer(max_epochs=2, callbacks=[Averaging(0.9)]).fit(rest, windows(), ckpt_path=path, weights_only=True)
    for name, expected in weights(whole).items():
        assert torch.equal(weights(rest)[name], expected), name


def test_training_goes_on_from_the_trained_weights_after_validation():
    norms = []
    for validated in (False, True):
        watch = Watch()
        module = small_module(training__ema_decay=0.5)
        run = trainer(max_epochs=2, callbacks=[Averaging(0.5), watch])
        run.fit(module, loader(BATCHES), loader(BATCHES[:1]) if validated else None)
        norms.append(watch.norms)
    assert norms[0] == norms[1]


def test_an_average_in_the_checkpoint_is_not_dropped_in_silence(tmp_path):
    module = small_module(training__ema_decay=0.5)
    run = trainer(max_steps=2, callbacks=[Averaging(0.5)])
    run.fit(module, loader(BATCHES))
    run.save_checkpoint(tmp_path / "last.ckpt")
    with pytest.raises(InputError, match=r"training.ema_decay is null"):
        trainer(max_steps=3).fit(small_module(), loader(BATCHES), ckpt_path=tmp_path / "last.ckpt", weights_only=True)


def test_an_average_can_begin_with_a_checkpoint_that_has_none(tmp_path):
    run = trainer(max_steps=2)
    run.fit(small_module(), loader(BATCHES))
    run.save_checkpoint(tmp_path / "last.ckpt")
    module, history = small_module(training__ema_decay=0.5), History()
    later = trainer(max_steps=5, callbacks=[Averaging(0.5), history])
    later.fit(module, loader(BATCHES), ckpt_path=tmp_path / "last.ckpt", weights_only=True)
    average = history.trained[0]
    for step, current in enumerate(history.trained[1:], start=3):
        keep = min(0.5, (1 + step) / (10 + step))
        average = keep * average + (1 - keep) * current
    np.testing.assert_allclose(weights(module)[HEAD].numpy(), average, rtol=0, atol=1e-7)
