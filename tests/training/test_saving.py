"""Checkpoints: whole or not there, pruned, damaged ones refused, and read by the names of the published code."""

import os
import shutil
import signal
import time
from itertools import count
from multiprocessing import get_context
from pathlib import Path

import pytest
import torch

pytest.importorskip("lightning.pytorch")

from lightning.pytorch import Callback
from lightning.pytorch.loops.progress import _BatchProgress, _OptimizationProgress, _Progress, _SchedulerProgress

from megxl.errors import InputError
from megxl.model.megxl import MEGXL
from megxl.training import engine
from megxl.training.engine import pretrain
from megxl.training.saving import WholeFiles, forget_after, name_last, prune, settle_counters, step_in
from megxl.training.stopping import Stopped
from tests.training.small_run import differences, make_codec, make_store, small_config


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("saving")
    make_store(folder)
    make_codec(folder)
    return folder


@pytest.fixture(scope="module")
def run(folder):
    """Finished run of two epochs of 12 steps, a checkpoint every five, with an average of the weights."""
    changes = {"checkpoint__every_n_train_steps": 5, "training__num_epochs": 2, "training__ema_decay": 0.9}
    return pretrain(small_config(folder, **changes))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_checkpoints_come_every_so_many_steps_and_at_the_end(run):
    steps = (5, 10, 15, 20, 24)
    assert names(run.checkpoints) == ["last.ckpt", *(f"step-{step:08d}.ckpt" for step in steps)]
    assert [step_in(run.checkpoints / name) for name in names(run.checkpoints)] == [24, *steps]
    assert (run.checkpoints / "last.ckpt").samefile(run.checkpoints / "step-00000024.ckpt")


def test_a_checkpoint_is_a_model_with_its_tokenizer(run):
    model, exported = MEGXL.from_pretrained(run.checkpoints / "last.ckpt"), MEGXL.from_pretrained(run.path / "model")
    assert model.provenance["steps"] == exported.provenance["steps"] == 24 and model.tokenizer is not None
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, exported.state_dict()[name])


def test_only_the_newest_are_kept(folder, tmp_path):
    changes = {"checkpoint__every_n_train_steps": 2, "training__num_epochs": 1, "run": str(tmp_path / "run")}
    run = pretrain(small_config(folder, **changes, checkpoint__save_top_k=2))
    assert names(run.checkpoints) == ["last.ckpt", "step-00000010.ckpt", "step-00000012.ckpt"]


def test_pruning_leaves_what_it_did_not_make(tmp_path):
    for name in ("step-00000002.ckpt", "step-00000010.ckpt", "step-00000009.ckpt", "mine.ckpt"):
        (tmp_path / name).touch()
    prune(tmp_path, -1)
    assert len(names(tmp_path)) == 4
    name_last(tmp_path / "step-00000010.ckpt")
    prune(tmp_path, 1)
    assert names(tmp_path) == ["last.ckpt", "mine.ckpt", "step-00000010.ckpt"]
    prune(tmp_path, 0)
    assert names(tmp_path) == ["last.ckpt", "mine.ckpt"]


def test_the_last_one_is_a_copy_where_there_are_no_links(tmp_path, monkeypatch):
    def no_links(*_):
        raise OSError("no links here")

    monkeypatch.setattr(os, "link", no_links)
    path = tmp_path / "step-00000001.ckpt"
    path.write_bytes(b"one")
    name_last(path)
    path.unlink()
    assert (tmp_path / "last.ckpt").read_bytes() == b"one" and names(tmp_path) == ["last.ckpt"]


def test_later_checkpoints_than_the_one_gone_on_from_are_forgotten(tmp_path):
    for step in (2, 4, 6, 8):
        (tmp_path / f"step-{step:08d}.ckpt").touch()
    name_last(tmp_path / "step-00000006.ckpt")
    assert forget_after(tmp_path, 6) == ["step-00000008.ckpt"]
    assert forget_after(tmp_path, 4) == ["step-00000006.ckpt", "last.ckpt"]
    name_last(tmp_path / "step-00000002.ckpt")
    assert forget_after(tmp_path, 4) == []
    assert names(tmp_path) == ["last.ckpt", "step-00000002.ckpt", "step-00000004.ckpt"]


class Signals(Callback):
    """Signals its own process after a step."""

    def on_train_batch_start(self, trainer, *_) -> None:
        if trainer.global_step == 6:
            os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.parametrize(
    ("keep", "last", "holds"), [(-1, True, "last.ckpt"), (-1, False, "step-00000007.ckpt"), (0, False, "last.ckpt")]
)
def test_who_stops_a_training_is_told_which_file_holds_it(folder, tmp_path, monkeypatch, keep, last, holds):
    monkeypatch.setattr(engine, "Progress", lambda insight: Signals())
    changes = {"run": str(tmp_path / "run"), "checkpoint__save_top_k": keep, "checkpoint__save_last": last}
    with pytest.raises(Stopped, match="143") as stopped:
        pretrain(small_config(folder, **changes, checkpoint__every_n_train_steps=100))
    assert names(tmp_path / "run" / "checkpoints") == sorted({holds} | ({"step-00000007.ckpt"} if keep else set()))
    assert stopped.value.sentence.startswith(f"Stopped after step 7; {holds} holds it")
    assert step_in(tmp_path / "run" / "checkpoints" / holds) == 7


def test_going_on_from_an_earlier_checkpoint_tells_what_it_removes(run, folder, tmp_path):
    copy, notes = tmp_path / "copy", []
    shutil.copytree(run.path, copy)
    earlier = str(copy / "checkpoints" / "step-00000015.ckpt")
    changes = {"training__num_epochs": 2, "training__ema_decay": 0.9, "checkpoint__save_top_k": 2}
    named = {"run": str(copy), "resume": True, "checkpoint__resume_path": earlier, "checkpoint__resume": True}
    pretrain(small_config(folder, **changes, **named, checkpoint__every_n_train_steps=5), tell=notes.append)
    gone = "step-00000020.ckpt, step-00000024.ckpt are removed: they are trained again after step 15."
    assert gone in notes
    assert differences(copy, run.path) == []


@pytest.mark.parametrize("damage", ["cut", "flipped", "emptied", "text"])
def test_a_damaged_checkpoint_is_named_with_how_to_go_on(run, tmp_path, damage):
    content = bytearray((run.checkpoints / "last.ckpt").read_bytes())
    path = tmp_path / "step-00000007.ckpt"
    if damage == "flipped":
        content[len(content) // 2] ^= 16
    path.write_bytes({"cut": content[: len(content) // 2], "emptied": b"", "text": b"hello"}.get(damage, content))
    with pytest.raises(InputError, match=r"step-00000007.ckpt cannot be read.*resume_path=FILE, or delete it"):
        WholeFiles().load_checkpoint(path)


def test_weights_alone_are_no_state_to_go_on_from(tmp_path):
    torch.save({"state_dict": {}}, tmp_path / "some.ckpt")
    with pytest.raises(InputError, match=r"weights alone.*model.init_from="):
        step_in(tmp_path / "some.ckpt")


def write_for_ever(folder: Path) -> None:
    for number in count(1):
        path = folder / f"step-{number % 3:08d}.ckpt"
        state = {"loops": {}, "global_step": number, "x": torch.full((20_000,), number)}
        WholeFiles().save_checkpoint(state, path)
        name_last(path)


def test_what_a_killed_writer_leaves_is_whole(tmp_path):
    for attempt in range(20):
        writer = get_context("fork").Process(target=write_for_ever, args=(tmp_path,))
        writer.start()
        time.sleep(0.02 + 0.0013 * attempt)
        writer.kill()
        writer.join()
        for path in tmp_path.glob("*.ckpt"):
            content = WholeFiles().load_checkpoint(path)
            assert (content["x"] == content["global_step"]).all()
    assert (tmp_path / "last.ckpt").exists()


def counters(epochs: int, batches: int, total: int) -> dict:
    """What Lightning holds while batch number `batches` of an epoch is done, after `epochs` whole ones."""
    epoch, batch = _Progress().state_dict(), _BatchProgress(is_last_batch=True).state_dict()
    for counts in (epoch["total"], epoch["current"]):
        counts |= {"ready": epochs + 1, "started": epochs + 1, "processed": epochs, "completed": epochs}
    for counts, done in ((batch["total"], total), (batch["current"], batches)):
        counts |= {"ready": done, "started": done, "processed": done, "completed": done - 1}
    return {
        "epoch_progress": epoch,
        "epoch_loop.batch_progress": batch,
        "epoch_loop.val_loop.batch_progress": _BatchProgress().state_dict(),
        "epoch_loop.scheduler_progress": _SchedulerProgress().state_dict(),
        "epoch_loop.automatic_optimization.optim_progress": _OptimizationProgress().state_dict(),
        "epoch_loop.state_dict": {"_batches_that_stepped": 0},
    }


def test_counters_say_that_a_batch_in_the_middle_of_an_epoch_is_done():
    loop = counters(epochs=2, batches=3, total=23)
    settle_counters(loop, batches=10, steps=23)
    assert loop["epoch_progress"]["total"] == {"ready": 3, "started": 3, "processed": 2, "completed": 2}
    assert set(loop["epoch_loop.batch_progress"]["current"].values()) == {3}
    assert set(loop["epoch_loop.batch_progress"]["total"].values()) == {23}
    assert loop["epoch_loop.state_dict"] == {"_batches_that_stepped": 23}


def test_counters_say_that_an_epoch_is_over_and_none_has_begun():
    loop = counters(epochs=2, batches=10, total=30)
    settle_counters(loop, batches=10, steps=30)
    assert set(loop["epoch_progress"]["current"].values()) == {3}
    assert set(loop["epoch_loop.batch_progress"]["current"].values()) == {0}
    assert loop["epoch_loop.batch_progress"]["is_last_batch"] is False
