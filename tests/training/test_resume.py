"""A run that goes on from any of its checkpoints becomes the unbroken run, bit for bit."""

import os
import shutil
from pathlib import Path

import pytest

pytest.importorskip("lightning.pytorch")

from megxl.training.engine import pretrain
from tests.training.small_run import differences, make_codec, make_store, small_config

EVERY_STEP = {"checkpoint__every_n_train_steps": 1}
# eight batches an epoch
SHORT = {"training__num_epochs": 2, "data__segment_length": 9.0, "trainer__val_check_interval": 2} | EVERY_STEP
SETTINGS = {
    "epochs": {},
    "steps": {"training__num_epochs": None, "training__max_steps": 12},
    "steps to the end of an epoch": {"training__num_epochs": None, "training__max_steps": 16},
    "accumulation": {"trainer__accumulate_grad_batches": 3, "training__num_epochs": 3},
    "average": {"training__ema_decay": 0.9},
    "average and steps": {"training__ema_decay": 0.9, "training__num_epochs": None, "training__max_steps": 13},
    "validation at the end of epochs": {"trainer__val_check_interval": 100},
    "online codes": {"data__codes": "online", "data__jitter": True, "data__shuffle_segments": True},
    "workers": {"training__num_workers": 2, "training__persistent_workers": True},
    "two corpora": {"datasets_config": [
        {"type": "armeni", "split": {"validation": 0.2, "seed": 0}}, {"type": "camcan", "validation_only": True},
    ]},
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("resume")
    make_store(folder, corpora=("armeni", "camcan"))
    make_codec(folder)
    return folder


def killed_after(run: Path, copy: Path, step: int) -> Path:
    """What a run leaves that was killed after the checkpoint of a step and before the next: later rows, and no end."""
    shutil.copytree(run, copy)
    for path in (copy / "checkpoints").glob("step-*.ckpt"):
        if int(path.stem[5:]) > step:
            path.unlink()
    shutil.rmtree(copy / "model")
    last = copy / "checkpoints" / "last.ckpt"
    last.unlink()
    if step:
        os.link(copy / "checkpoints" / f"step-{step:08d}.ckpt", last)
    return copy


@pytest.mark.slow
@pytest.mark.parametrize("changes", SETTINGS.values(), ids=SETTINGS.keys())
def test_every_checkpoint_leads_to_the_unbroken_run(folder, tmp_path, changes):
    settings = SHORT | changes
    whole = pretrain(small_config(folder, **settings, run=str(tmp_path / "whole"))).path
    steps = sorted(int(path.stem[5:]) for path in (whole / "checkpoints").glob("step-*.ckpt"))
    assert steps == list(range(1, steps[-1] + 1)) and len(steps) >= 8
    # in the middle of epochs, without and with a validation, at their end (8, and 3 with accumulation), and the last
    for step in (5, 9) if settings.get("training__num_workers") else sorted({1, 3, 8, 10} & {*steps} | {steps[-1]}):
        copy = killed_after(whole, tmp_path / f"killed-{step}", step)
        pretrain(small_config(folder, **settings, run=str(copy), resume=True))
        assert differences(copy, whole) == [], f"resumed after step {step}"


def test_nothing_and_a_checkpoint_in_the_middle_and_at_the_end_of_an_epoch_lead_to_the_unbroken_run(folder, tmp_path):
    whole = pretrain(small_config(folder, **SHORT, run=str(tmp_path / "whole"))).path
    for step in (0, 7, 8):
        copy = killed_after(whole, tmp_path / f"killed-{step}", step)
        pretrain(small_config(folder, **SHORT, run=str(copy), resume="auto"))
        assert differences(copy, whole) == []
