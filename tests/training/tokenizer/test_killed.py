"""A training of a tokenizer that is told to stop becomes, resumed, the unbroken one."""

import json
import signal
import subprocess
import sys
import time

import pytest

pytest.importorskip("lightning.pytorch")

from megxl.training.tokenizer.engine import train_tokenizer
from tests.training.small_run import differences, environment
from tests.training.tokenizer.small_codecs import codec_config, make_signals, settings

SCRIPT = """
import json, sys
from megxl.training.tokenizer.config import TokenizerConfig
from megxl.training.tokenizer.engine import train_tokenizer

train_tokenizer(TokenizerConfig.from_dict(json.loads(sys.argv[1])))
"""
CHANGES = {"training__max_steps": 45, "trainer__accumulate_grad_batches": 2, "trainer__val_check_interval": 8}


@pytest.mark.slow
def test_a_run_that_is_stopped_and_resumed_equals_the_unbroken_one(tmp_path):
    make_signals(tmp_path)
    whole = train_tokenizer(codec_config(tmp_path, **CHANGES, run=str(tmp_path / "whole"))).path
    run = tmp_path / "run"
    told = json.dumps(settings(tmp_path, **CHANGES, run=str(run)))
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, told], env=environment(), stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 120
    while not ((run / "metrics.csv").exists() and len((run / "metrics.csv").read_text().splitlines()) > 3):
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()[1]
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    said = process.communicate(timeout=120)[1]
    status = json.loads((run / "status.json").read_text())
    assert process.returncode == 128 + signal.SIGTERM and "Traceback" not in said
    assert status["state"] == "stopped" and 6 < status["step"] < 45
    assert not (run / "model").exists(), "the signal came too late to test anything"
    train_tokenizer(codec_config(tmp_path, **CHANGES, run=str(run), resume=True))
    assert differences(run, whole) == []
