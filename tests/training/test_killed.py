"""``megxl pretrain`` in a process of its own, killed at random moments: what is resumed becomes the unbroken run."""

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

from tests.training.small_run import (
    command,
    differences,
    environment,
    make_codec,
    make_store,
    pretrain_command,
    write_config,
)

EPOCH, EPOCHS = 12, 5
SETTINGS = {
    "training__num_workers": 2,
    "training__persistent_workers": True,
    "training__num_epochs": EPOCHS,
    "logging__log_every_n_steps": 2,
    "checkpoint__every_n_train_steps": 7,
    "checkpoint__save_top_k": 3,
}
SECONDS = 120


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("killed")
    make_store(folder)
    make_codec(folder)
    return folder


def signalled(folder: Path, run: Path, number: signal.Signals, step: int, rng: random.Random, *overrides: str):
    """Train until a step is in metrics.csv and a little longer, and send a signal to all processes of the training."""
    process = subprocess.Popen(
        command(folder, f"run={run}", "resume=auto", *overrides),
        env=environment(),
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + SECONDS
    while last_step(run) < step:
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()[1]
        time.sleep(0.002)
    time.sleep(rng.uniform(0, 0.05))
    os.killpg(process.pid, number)
    said = process.communicate(timeout=SECONDS)[1]
    return process.returncode, said


def last_step(run: Path) -> int:
    """Step of the last whole row of metrics.csv."""
    path = run / "metrics.csv"
    rows = path.read_text().split("\n")[1:-1] if path.exists() else []
    return int(rows[-1].split(",")[0]) if rows else 0


@pytest.fixture(scope="module")
def unbroken(folder) -> dict[str, Path]:
    """Finished runs by the name of their settings."""
    runs = {}
    for name, changes in VARIANTS.items():
        write_config(folder, **SETTINGS | changes)
        done = pretrain_command(folder, f"run={folder / name}")
        assert done.returncode == 0, done.stderr
        runs[name] = folder / name
    return runs


VARIANTS = {
    "epochs": {},
    "steps-average-accumulation": {
        "training__num_epochs": None,
        "training__max_steps": 50,
        "training__ema_decay": 0.9,
        "trainer__accumulate_grad_batches": 2,
        "trainer__val_check_interval": 4,
    },
}


@pytest.mark.slow
@pytest.mark.parametrize("variant", VARIANTS)
def test_a_run_that_is_killed_again_and_again_becomes_the_unbroken_run(folder, unbroken, tmp_path, variant):
    write_config(folder, **SETTINGS | VARIANTS[variant])
    rng = random.Random(variant)
    run, step = tmp_path / "run", EPOCH
    for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGKILL):
        step += rng.randrange(2, 14)
        code, said = signalled(folder, run, number, step, rng)
        status = json.loads((run / "status.json").read_text())
        if number == signal.SIGKILL:
            assert code == -signal.SIGKILL and status["state"] == "running"
        else:
            assert code == 143, said
            assert "resume=true" in said and "Traceback" not in said
            assert status["state"] == "stopped" and status["step"] >= step
            assert (run / "checkpoints" / f"step-{status['step']:08d}.ckpt").exists()
        assert not (run / "model").exists(), "the signal came too late to test anything"
    done = pretrain_command(folder, f"run={run}", "resume=true")
    assert done.returncode == 0, done.stderr
    assert json.loads((run / "status.json").read_text())["state"] == "finished"
    assert differences(run, unbroken[variant]) == []


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGUSR1, 138)])
def test_other_signals_stop_a_run_too(folder, unbroken, tmp_path, number, code):
    write_config(folder, **SETTINGS)
    run = tmp_path / "run"
    assert signalled(folder, run, number, EPOCH + 3, random.Random(0))[0] == code
    done = pretrain_command(folder, f"run={run}", "resume=true")
    assert done.returncode == 0, done.stderr
    assert differences(run, unbroken["epochs"]) == []


@pytest.mark.slow
def test_a_second_process_is_refused_while_one_trains(folder, tmp_path):
    write_config(folder, **SETTINGS)
    run = tmp_path / "run"
    process = subprocess.Popen(command(folder, f"run={run}"), env=environment(), stderr=subprocess.DEVNULL)
    try:
        while last_step(run) < 2:
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGSTOP)
        for override in ("resume=true", "overwrite=true"):
            second = pretrain_command(folder, f"run={run}", override)
            assert second.returncode == 2 and "another process trains" in second.stderr
    finally:
        process.kill()
        process.wait()
