"""Directories of runs: what is refused, what may change when a run goes on, where it goes on."""

import os
import time
from multiprocessing import get_context

import pytest

pytest.importorskip("lightning.pytorch")

from megxl.errors import InputError
from megxl.training.runs import Run
from tests.training.small_run import small_config


def made(tmp_path, **changes) -> Run:
    return Run.create(small_config(tmp_path, **changes), environment={"torch": "1"})


def test_a_run_is_opened_as_it_was_made(tmp_path):
    config = small_config(tmp_path, training__learning_rate=1e-05)
    run = Run.open(Run.create(config, environment={"torch": "1"}).path)
    assert run.config == config and run.environment() == {"torch": "1"}
    assert run.status == {"state": "running", "step": 0, "epoch": 0}
    assert (run.metrics(), run.validation(), run.baselines(), run.split()) == ([], [], None, None)


def test_status_keeps_what_is_not_said(tmp_path):
    run = made(tmp_path)
    run.set_status("running", step=5, epoch=1)
    run.set_status("failed", message="The disk is full.")
    assert run.status == {"state": "failed", "step": 5, "epoch": 1, "message": "The disk is full."}
    run.set_status("running")
    assert "message" not in run.status


def test_an_existing_run_is_not_begun_again_by_accident(tmp_path):
    run = made(tmp_path)
    (run.checkpoints / "step-00000001.ckpt").touch()
    with pytest.raises(InputError, match=r"exists already.*resume=true.*overwrite=true"):
        made(tmp_path)
    assert made(tmp_path, overwrite=True).checkpoint_to_resume() is None


def test_a_run_that_failed_before_its_first_step_is_in_nobodys_way(tmp_path):
    made(tmp_path).set_status("failed", message="No group is left for test.")
    run = made(tmp_path)
    assert run.status["state"] == "running"
    run.set_status("failed", step=3)
    with pytest.raises(InputError, match="exists already"):
        made(tmp_path)


@pytest.mark.parametrize("name", ["thesis.tex", "data"])
def test_nothing_but_a_run_is_overwritten(tmp_path, name):
    run = made(tmp_path)
    (run.path / name).mkdir()
    with pytest.raises(InputError, match=f"{name}.*nothing was deleted"):
        made(tmp_path, overwrite=True)
    assert (run.path / "config.yaml").exists()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / name).touch()
    with pytest.raises(InputError, match="is no run"):
        made(tmp_path, overwrite=True, run=str(tmp_path / "other"))
    assert (tmp_path / "other" / name).exists()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("seed", 2),
        ("training__batch_size", 1),
        ("training__sampler_seed", 3),
        ("training__learning_rate", 1.0),
        ("model__latent_dim", 32),
        ("data__segment_length", 9.0),
        ("trainer__accumulate_grad_batches", 2),
        ("trainer__precision", "bf16-mixed"),
        ("datasets_config", [{"type": "armeni"}]),
        ("datasets_config", [{"type": "armeni", "split": {"validation": 0.2, "seed": 0}}, {"type": "camcan"}]),
    ],
)
def test_what_makes_the_curve_cannot_change_when_a_run_goes_on(tmp_path, key, value):
    run = made(tmp_path)
    before = (run.path / "config.yaml").read_text()
    with pytest.raises(InputError, match=rf"^{key.replace('__', '.')}.* this cannot change"):
        Run.resume(small_config(tmp_path, **{key: value}, resume=True), environment={})
    assert (run.path / "config.yaml").read_text() == before


def test_what_does_not_make_the_curve_may_change_and_is_kept(tmp_path):
    made(tmp_path)
    block = {"type": "armeni", "split": {"validation": 0.2, "seed": 0}, "data_root": "/somewhere"}
    changes = {
        "training__num_epochs": 9,
        "training__num_workers": 4,
        "checkpoint__every_n_train_steps": 3,
        "checkpoint__save_top_k": 1,
        "logging__log_every_n_steps": 1,
        "trainer__devices": 2,
        "datasets_config": [block],
    }
    run = Run.resume(small_config(tmp_path, **changes, resume=True), environment={"torch": "2"})
    opened = Run.open(run.path)
    assert opened.config == small_config(tmp_path, **changes)
    assert opened.environment() == {"torch": "2"}


def test_there_must_be_a_run_to_resume(tmp_path):
    with pytest.raises(InputError, match=r"there is no .*run to resume.*resume=auto"):
        Run.resume(small_config(tmp_path, resume=True), environment={})
    with pytest.raises(InputError, match=r"is no run: it has no config.yaml"):
        Run.open(tmp_path)


def test_a_run_goes_on_from_its_newest_checkpoint(tmp_path):
    run = made(tmp_path)
    assert run.checkpoint_to_resume() is None
    with pytest.raises(InputError, match="no checkpoint yet"):
        run.newest_model()
    for step, seconds in ((8, 10), (12, 20)):
        path = run.checkpoints / f"step-{step:08d}.ckpt"
        path.touch()
        os.utime(path, (seconds, seconds))
    assert run.checkpoint_to_resume() == run.checkpoints / "step-00000012.ckpt"
    os.link(run.checkpoints / "step-00000008.ckpt", run.checkpoints / "last.ckpt")  # killed before it was linked anew
    assert run.checkpoint_to_resume() == run.checkpoints / "step-00000012.ckpt"
    (run.checkpoints / ".step-00000016.ckpt.1-1-1.partial").touch()
    for path in run.checkpoints.glob("step-*"):
        path.unlink()
    assert run.newest_model() == run.checkpoints / "last.ckpt"
    (run.path / "model").mkdir()
    assert run.newest_model() == run.path / "model"


def test_one_process_trains_in_a_run(tmp_path):
    run = made(tmp_path)
    held = get_context("fork").Event()

    def train() -> None:
        with run.lock():
            held.set()
            time.sleep(60)

    other = get_context("fork").Process(target=train)
    other.start()
    assert held.wait(10)
    with pytest.raises(InputError, match="another process trains"), run.lock():
        pass
    with pytest.raises(InputError, match="another process trains"):
        made(tmp_path, overwrite=True)
    other.kill()
    other.join()
    with run.lock():
        pass


@pytest.mark.parametrize(("name", "what"), [("status.json", "status"), ("baselines.json", "baselines")])
def test_a_damaged_file_is_named(tmp_path, name, what):
    run = made(tmp_path)
    (run.path / name).write_text("{")
    with pytest.raises(InputError, match=f"{name} .*damaged"):
        value = getattr(run, what)
        value()
