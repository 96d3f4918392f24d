"""``megxl pretrain`` in processes of its own, killed at random moments: what is resumed becomes the unbroken run."""

import json
import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest

pytest.importorskip("lightning.pytorch")
pytest.importorskip("hydra")

from megxl.errors import InputError
from megxl.training.engine import pretrain
from tests.training.small_run import (
    command,
    differences,
    environment,
    make_codec,
    make_store,
    pretrain_command,
    small_config,
    write_config,
)

EPOCH = 12
SETTINGS = {
    "training__num_workers": 2,
    "training__persistent_workers": True,
    "training__num_epochs": 5,
    "logging__log_every_n_steps": 2,
    "checkpoint__every_n_train_steps": 7,
    "checkpoint__save_top_k": 3,
}
STEPS = {
    "training__num_epochs": None,
    "training__max_steps": 50,
    "training__ema_decay": 0.9,
    "trainer__accumulate_grad_batches": 2,
    "trainer__val_check_interval": 4,
}
TWO_PROCESSES = {
    "trainer__devices": 2,
    "trainer__strategy": "ddp",
    "training__num_workers": 0,
    "training__num_epochs": 4,
}
SECONDS = 120


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("killed")
    make_store(folder)
    make_codec(folder)
    return folder


def started(folder: Path, run: Path) -> "subprocess.Popen[str]":
    """Training in a session of its own, that goes on if there is something to go on from."""
    return subprocess.Popen(
        command(folder, f"run={run}", "resume=auto"),
        env=environment(),
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def signalled(folder: Path, run: Path, number: signal.Signals, step: int, *, to_all: bool = True) -> None:
    """Train until a step is in metrics.csv and a little longer, signal, and see that it ends as it ought to."""
    process = started(folder, run)
    deadline = time.monotonic() + SECONDS
    while last_step(run) < step:
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()[1]
        time.sleep(0.002)
    time.sleep(random.Random(step).uniform(0, 0.05))
    (os.killpg if to_all else os.kill)(process.pid, number)
    said = process.communicate(timeout=SECONDS)[1]  # returns when no process of the training is left
    assert not (run / "model").exists(), "the signal came too late to test anything"
    status = json.loads((run / "status.json").read_text())
    if number == signal.SIGKILL:
        assert process.returncode == -signal.SIGKILL and status["state"] == "running"
    else:
        assert process.returncode == 128 + number, said
        assert "resume=true" in said and "Traceback" not in said
        assert status["state"] == "stopped" and status["step"] >= step
        assert (run / "checkpoints" / f"step-{status['step']:08d}.ckpt").exists()


def last_step(run: Path) -> int:
    """Step of the last whole row of metrics.csv."""
    path = run / "metrics.csv"
    rows = path.read_text().split("\n")[1:-1] if path.exists() else []
    return int(rows[-1].split(",")[0]) if rows else 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "signals"),
    [
        ({}, (signal.SIGKILL, signal.SIGTERM, signal.SIGKILL)),
        (STEPS, (signal.SIGINT, signal.SIGKILL, signal.SIGUSR1)),
    ],
    ids=["epochs", "steps, average and accumulation"],
)
def test_a_run_that_is_killed_again_and_again_becomes_the_unbroken_run(folder, tmp_path, changes, signals):
    settings = SETTINGS | changes
    whole = pretrain(small_config(folder, **settings, run=str(tmp_path / "whole"))).path
    write_config(folder, **settings)
    rng, run, step = random.Random(len(changes)), tmp_path / "run", EPOCH
    for number in signals:
        step += rng.randrange(2, 12)
        signalled(folder, run, number, step)
    assert pretrain(small_config(folder, **settings, run=str(run), resume=True)).status["state"] == "finished"
    assert differences(run, whole) == []


@pytest.mark.slow
def test_a_run_of_two_processes_that_is_stopped_and_killed_becomes_the_unbroken_run(folder, tmp_path):
    write_config(folder, **SETTINGS | TWO_PROCESSES)
    whole, run = tmp_path / "whole", tmp_path / "run"
    unbroken = started(folder, whole)
    signalled(folder, run, signal.SIGTERM, 8, to_all=False)  # the other one learns of it after the step
    signalled(folder, run, signal.SIGKILL, 15)
    done = pretrain_command(folder, f"run={run}", "resume=true")
    assert done.returncode == 0, done.stderr
    assert unbroken.communicate(timeout=SECONDS) and unbroken.returncode == 0
    assert differences(run, whole) == []


@pytest.mark.slow
def test_a_second_process_is_refused_while_one_trains(folder, tmp_path):
    write_config(folder, **SETTINGS)
    run = tmp_path / "run"
    process = started(folder, run)
    try:
        while last_step(run) < 2:
            assert process.poll() is None
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGSTOP)
        for word in ("resume", "overwrite"):
            with pytest.raises(InputError, match="another process trains"):
                pretrain(small_config(folder, **SETTINGS, run=str(run), **{word: True}))
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
