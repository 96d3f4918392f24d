"""Decoding runs that are killed or stopped in the middle of an epoch: what is resumed is the unbroken run."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("lightning.pytorch")
pytest.importorskip("wordllama")

import torch

from megxl.training.stopping import Stopped
from megxl.training.words.engine import decode_words
from megxl.training.words.module import WordsModule
from tests.training.small_run import environment, unequal
from tests.training.words.small_words import make_backbone, make_word_store, words_config

EPOCH = 21
SCRIPT = """
import sys
from pathlib import Path
from megxl.training.stopping import Stopped
from megxl.training.words.engine import decode_words
from megxl.training.words.module import WordsModule
from tests.training.words.small_words import words_config
from tests.training.words.test_resume import SETTINGS, stopped

if __name__ == "__main__":
    store, run, changes, step = Path(sys.argv[1]), sys.argv[2], eval(sys.argv[3]), int(sys.argv[4])
    if step:
        stopped(store, Path(run), changes, step)
    else:
        decode_words(words_config(store, **SETTINGS, **changes, run=run, resume="auto"))
"""
SETTINGS = {
    "training__num_epochs": 3,
    "training__patience": 2,
    "model__word_mlp__dropout": 0.3,
    "logging__log_every_n_steps": 4,
    "logging__tensorboard": False,
}
SECONDS = 120


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("killed")
    make_backbone(folder)
    return make_word_store(folder)


def started(folder: Path, store: Path, run: Path, changes: dict, step: int = 0) -> "subprocess.Popen[str]":
    """Begin or go on in a process of its own: one that has run other tests may round its sums otherwise."""
    (folder / "decode.py").write_text(SCRIPT)
    command = [sys.executable, str(folder / "decode.py"), str(store), str(run), repr(changes), str(step)]
    return subprocess.Popen(command, env=environment(), start_new_session=True, stderr=subprocess.PIPE, text=True)


def ended(process: "subprocess.Popen[str]") -> None:
    said = process.communicate(timeout=SECONDS)[1]
    assert process.returncode == 0, said


def last_step(run: Path) -> int:
    path = run / "metrics.csv"
    rows = path.read_text().split("\n")[1:-1] if path.exists() else []
    return int(rows[-1].split(",")[0]) if rows else 0


def killed(folder: Path, store: Path, run: Path, changes: dict, step: int) -> None:
    process = started(folder, store, run, changes)
    deadline = time.monotonic() + SECONDS
    while last_step(run) < step:
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()[1]
        time.sleep(0.002)
    os.killpg(process.pid, signal.SIGKILL)
    said = process.communicate(timeout=SECONDS)[1]
    assert process.returncode == -signal.SIGKILL, said
    assert not (run / "results.json").exists(), "the signal came too late to test anything"


def stopped(store: Path, run: Path, changes: dict, step: int) -> None:
    """Go on, and take a signal in the middle of a step."""
    whole, sent = WordsModule.training_step, []

    def signalled(self, *batch):
        if self.trainer.global_step == step and not sent:
            sent.append(os.kill(os.getpid(), signal.SIGTERM))
        return whole(self, *batch)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(WordsModule, "training_step", signalled)
        with pytest.raises(Stopped) as caught:
            decode_words(words_config(store, **SETTINGS, **changes, run=str(run), resume="auto"))
    assert f"Stopped after step {step + 1};" in caught.value.sentence


def differences(one: Path, other: Path) -> list[str]:
    """What differs between two finished runs, bit for bit, but for their times."""
    found = []
    for name in ("validation.csv", "split.json", "model/decoder.json", "model/head.safetensors"):
        found += [name] if (one / name).read_bytes() != (other / name).read_bytes() else []
    for name in ("predictions/validation", "predictions/test", "model/backbone"):
        mine, theirs = ({p.name: p.read_bytes() for p in (run / name).iterdir()} for run in (one, other))
        found += [f"{name}/{file}" for file in mine if mine[file] != theirs.get(file)]
    rows = [[line.rpartition(",")[0] for line in (run / "metrics.csv").read_text().split()] for run in (one, other)]
    states = [torch.load(run / "checkpoints" / "last.ckpt", weights_only=True) for run in (one, other)]
    parts = ("state_dict", "optimizer_states", "loops", "callbacks", "WordsData", "FeatureData", "global_step", "epoch")
    found += ["metrics.csv"] if rows[0] != rows[1] else []
    return found + [bad for part in parts for bad in unequal(*(state.get(part) for state in states), part)]


@pytest.mark.slow
def test_a_run_that_is_killed_in_an_epoch_becomes_the_unbroken_run(store, tmp_path):
    whole, run = tmp_path / "whole" / "run", tmp_path / "killed" / "run"
    changes = {"training__criss_cross_lr": 1e-3, "loss__learnable": True}
    ended(started(tmp_path, store, whole, changes))
    killed(tmp_path, store, run, changes, EPOCH + 6)
    ended(started(tmp_path, store, run, changes, EPOCH + 10))
    ended(started(tmp_path, store, run, changes))
    assert differences(run, whole) == []


@pytest.mark.slow
def test_a_probe_that_is_stopped_in_an_epoch_becomes_the_unbroken_run(store, tmp_path):
    whole, run = tmp_path / "whole" / "run", tmp_path / "stopped" / "run"
    changes = {"command": "probe", "model__subject_embedding": True, "trainer__accumulate_grad_batches": 2}
    decode_words(words_config(store, **SETTINGS, **changes, run=str(whole)))
    for step in (3, EPOCH // 2 + 5):
        stopped(store, run, changes, step)
    decode_words(words_config(store, **SETTINGS, **changes, run=str(run), resume=True))
    assert differences(run, whole) == []
