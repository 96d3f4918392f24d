"""Speed: what the clock counts and what it leaves out, in made-up time and in real trainings."""

import time

import pytest
import torch
from lightning.pytorch import Callback
from torch.utils.data import DataLoader

from megxl.model.flops import Workload, training_flops
from megxl.training import throughput
from megxl.training.masks import hide
from megxl.training.throughput import TIMING_COLUMNS, Clock, Throughput
from tests.training.small_batches import TOKENS, batch, item, loader, small_module, small_sizes, trainer

FETCH = "[_TrainingEpochLoop].train_dataloader_next"


class Time:
    """Time that passes when a test says so."""

    def __init__(self, monkeypatch) -> None:
        self.now = 100.0
        monkeypatch.setattr(throughput.time, "perf_counter", lambda: self.now)

    def passes(self, seconds: float) -> None:
        self.now += seconds


def test_the_clock_leaves_out_first_step_validation_and_saving(monkeypatch):
    clock_time = Time(monkeypatch)
    settled = []
    clock = Clock(lambda: settled.append(clock_time.now))

    def lasts(what: str, seconds: float) -> None:
        clock.start(what)
        clock_time.passes(seconds)
        clock.stop(what)

    lasts(FETCH, 1000)  # workers start
    clock_time.passes(1000)
    clock.stop("first step")
    lasts(FETCH, 1)
    clock_time.passes(2)
    lasts("save_checkpoint", 500)
    clock_time.passes(4)
    clock.start("validation")
    lasts("[_EvaluationLoop].val_next", 500)
    lasts("save_checkpoint", 500)  # within a validation: it goes on afterwards
    clock_time.passes(500)
    clock.stop("validation")
    clock_time.passes(8)
    lasts("[Callback]Insight.on_train_batch_end", 16)
    assert clock.read() == (1 + 2 + 4 + 8 + 16, 1)
    assert clock.read() == (0, 0)
    clock_time.passes(32)
    lasts(FETCH, 3)
    assert clock.read() == (35, 3)
    assert settled  # a reading waits for what the device was given


def test_rates_are_what_was_counted_by_the_time_on_all_ranks(monkeypatch):
    clock_time = Time(monkeypatch)
    monkeypatch.setattr(throughput, "_peak", lambda device: 1e9)
    sizes, speed, ranks = small_sizes(), Throughput(small_sizes()), 2
    speed._ranks = ranks
    batches = [batch(item(0), item(1, 6)), batch(item(2), item(3))]  # the first one is padded to six sensors
    masked = [hide(some, sizes, TOKENS) for some in batches]
    speed.on_train_batch_end(None, None, None, masked[0], 0)
    assert speed.read() == dict.fromkeys(TIMING_COLUMNS)
    for some in masked:
        clock_time.passes(0.25)
        speed.on_train_batch_end(None, None, None, some, 0)
    rates = speed.read()
    hidden = int(masked[0].mask_BT[0].sum())
    work = [Workload(batch=2, sensors=sensors, samples=12 * TOKENS) for sensors in (6, 4)]
    assert rates["windows_per_s"] == pytest.approx(ranks * 4 / 0.5)
    assert rates["tokens_per_s"] == pytest.approx(ranks * 2 * (6 + 4) * TOKENS / 0.5)
    assert rates["mfu"] == pytest.approx(sum(training_flops(sizes, some, hidden) for some in work) / 0.5 / 1e9)


class Slow:
    """Batches that take their time."""

    def __init__(self, batches, seconds: float) -> None:
        self.batches, self.seconds = batches, seconds

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, number: int):
        time.sleep(self.seconds)
        return self.batches[number]


class Reader(Callback):
    """Reads the speed after the last step; saves and is slow in validation on the way."""

    def __init__(self, speed: Throughput, path) -> None:
        self.speed, self.path = speed, path
        self.rates = {}

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if trainer.global_step == 4:
            trainer.save_checkpoint(self.path)
        if trainer.global_step == 8:
            self.rates = self.speed.read()

    def on_save_checkpoint(self, trainer, pl_module, checkpoint):
        time.sleep(2)

    def on_validation_batch_end(self, *_):
        time.sleep(2)


def trained(tmp_path, seconds: float) -> dict:
    batches = [batch(item(number), item(number + 100)) for number in range(8)]
    speed = Throughput(small_sizes())
    reader = Reader(speed, tmp_path / "some.ckpt")
    fit = trainer(max_epochs=1, callbacks=[speed, reader], val_check_interval=6)
    slow = DataLoader(Slow(batches, seconds), batch_size=None)
    fit.fit(small_module(), slow, loader(batches[:1]))
    return reader.rates


@pytest.mark.slow
def test_a_training_that_waits_for_its_data_says_so_and_is_not_blamed_for_validation_and_saving(tmp_path):
    rates = trained(tmp_path, 0.3)
    assert 0.5 < rates["data_wait"] <= 1
    assert 0.5 * 2 / 0.3 < rates["windows_per_s"] <= 2 / 0.3  # four seconds of other things would halve it
    assert rates["tokens_per_s"] == pytest.approx(rates["windows_per_s"] * 4 * TOKENS)
    assert rates["mfu"] is None  # nobody names the peak of a CPU


def test_a_training_that_has_its_data_does_not_wait(tmp_path, monkeypatch):
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    assert trained(tmp_path, 0.0)["data_wait"] < 0.5


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_the_peak_of_this_gpu_is_known():
    assert throughput._peak(torch.device("cuda")) is not None
