"""Two processes are one with the same batches: arrays of unequal size, accumulation, and a short end of the epoch.

Sharded weights are tried on the CPU, too; torch can train there but not gather whole weights into a checkpoint.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.training.small_batches import Descending, Watch, batch, item, loader, small_module, trainer, weights

SHARES = [
    ([item(1), item(2, 6)], [item(3, 3)]),
    ([item(4, 5, bad=True)], [item(5), item(6, 2, corpus="camcan")]),
    ([item(7, 3)], [item(8, 6, corpus="camcan"), item(9)]),
]
"""Items of rank 0 and rank 1 in three batches, of which two are accumulated: the epoch ends with a step of one."""
WHOLES = [batch(*SHARES[0][0], *SHARES[0][1], *SHARES[1][0], *SHARES[1][1]), batch(*SHARES[2][0], *SHARES[2][1])]
RATE = {"training__learning_rate": 0.1}

SCRIPT = """
import sys
from pathlib import Path
import torch
from torch.distributed.fsdp import FullyShardedDataParallel
from megxl.training.sharding import BatchesAsTheyAre, Sharded
from tests.training.small_batches import Descending, Watch, batch, loader, small_module, trainer, weights
from tests.training.test_ddp import RATE, SHARES


class OnCpu(Sharded):
    def _setup_model(self, model):
        options = self.kwargs | {"device_id": torch.device("cpu"), "mixed_precision": self.mixed_precision_config}
        return FullyShardedDataParallel(model, **options)


class Whole(Watch):
    def on_train_end(self, trainer, pl_module):
        if isinstance(trainer.strategy, Sharded):
            with FullyShardedDataParallel.summon_full_params(trainer.strategy.model):
                whole = weights(pl_module)
                self.weights = {name.replace("_fsdp_wrapped_module.", ""): part for name, part in whole.items()}
        else:
            self.weights = weights(pl_module)


if __name__ == "__main__":
    folder, way = Path(sys.argv[1]), sys.argv[2]
    module, watch = small_module(kind=Descending, **RATE), Whole()
    options = {"strategy": "ddp"}
    if way != "ddp":
        sharded = OnCpu(process_group_backend="gloo")
        options = {"strategy": sharded, "plugins": [BatchesAsTheyAre("32-true")]}
    run = trainer(max_epochs=3, devices=2, accumulate_grad_batches=2, callbacks=[watch], **options)
    batches = [batch(*shares[run.global_rank]) for shares in SHARES]
    before = folder / "before.ckpt"
    going_on = {"ckpt_path": before, "weights_only": True} if before.exists() else {}
    watch.rates += [0.0] * 2 * bool(going_on)
    run.fit(module, loader(batches), loader(batches[:1]), **going_on)
    if way == "ddp":
        run.save_checkpoint(folder / "last.ckpt")
    told = module.validation_tally.reduce(module.sum_over_ranks).read()
    torch.save((watch.weights, watch.norms, watch.rates[-len(watch.norms):], told), folder / f"{run.global_rank}.pt")
"""


def two_processes(folder: Path, way: str) -> list:
    """Weights, gradient norms, rates and means of validation of both ranks."""
    (folder / "train.py").write_text(SCRIPT)
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(folder / "train.py"), str(folder), way]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr[-3000:]
    return [torch.load(folder / f"{rank}.pt", weights_only=False) for rank in (0, 1)]


def one_process(batches=WHOLES, accumulated: int = 1, *callbacks) -> tuple[Descending, Watch]:
    module, watch = small_module(kind=Descending, **RATE), Watch()
    run = trainer(max_epochs=3, accumulate_grad_batches=accumulated, callbacks=[watch, *callbacks])
    run.fit(module, loader(batches), loader([batch(*SHARES[0][0], *SHARES[0][1])]))
    return module, watch


def assert_equal(ranks: list, alone: Descending, watch: Watch, steps: int) -> None:
    expected, before = weights(alone), weights(small_module())
    for found, norms, rates, told in ranks:
        assert rates == watch.rates[-steps:] and len(rates) == steps
        torch.testing.assert_close(norms, watch.norms[-steps:], rtol=1e-5, atol=0)
        for name, wanted in expected.items():
            torch.testing.assert_close(found[name], wanted, rtol=0, atol=1e-6)
            assert (wanted - before[name]).abs().max() > 1e-5
        for name, mean in alone.validation_tally.read().items():
            assert told[name] == pytest.approx(mean, rel=1e-5), name


@pytest.mark.slow
def test_two_processes_equal_one_with_the_same_global_batch(tmp_path):
    alone, watch = one_process()
    assert_equal(two_processes(tmp_path, "ddp"), alone, watch, steps=6)


@pytest.mark.slow
def test_sharded_weights_are_trained_as_whole_ones(tmp_path):
    assert_equal(two_processes(tmp_path, "fsdp"), *one_process(), steps=6)


class SaveAfterTwo(Watch):
    """Saves and goes on."""

    def on_train_batch_end(self, trainer, *rest) -> None:
        # not again after the first batch that the third step accumulates
        if trainer.global_step == 2 and not self.path.exists():
            trainer.save_checkpoint(self.path)


@pytest.mark.slow
def test_a_sharded_training_goes_on_from_the_checkpoint_of_a_whole_one(tmp_path):
    pairs = [batch(*first, *second) for first, second in SHARES]
    alone, watch = one_process(pairs, 2, SaveAfterTwo(path=tmp_path / "before.ckpt"))
    assert_equal(two_processes(tmp_path, "fsdp"), alone, watch, steps=4)
