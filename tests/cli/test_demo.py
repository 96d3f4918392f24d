"""`megxl demo`: what it refuses before it begins, and an interrupt. (CI runs a quick one from beginning to end.)"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from megxl.cli import main
from megxl.training.runs import Run

pytest.importorskip("lightning.pytorch")
pytest.importorskip("wordllama")


def refusal(capsys, *words: object) -> str:
    assert main(["demo", *map(str, words)]) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == 1
    return said.err


def test_a_folder_of_other_things_is_left_alone(tmp_path, capsys):
    (tmp_path / "mine.txt").write_text("mine")
    for words in ((), ("--overwrite",)):
        assert "something else in it" in refusal(capsys, "--out", tmp_path, *words)
    assert [path.read_text() for path in tmp_path.iterdir()] == ["mine"]


def test_a_demo_of_another_size_is_not_gone_on_with(tmp_path, capsys):
    (tmp_path / "demo.json").write_text(json.dumps({"megxl": "0.0.1"}))
    assert "another size or version" in refusal(capsys, "--out", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["demo.json"]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_all_steps_and_what_they_have_is_kept(tmp_path, number):
    out = tmp_path / "demo"
    command = [sys.executable, "-m", "megxl", "demo", "--quick", "--out", str(out), "--processors", "2"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    deadline = time.monotonic() + 120
    while not begun(out / "codec"):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    (os.killpg if number == signal.SIGINT else os.kill)(process.pid, number)  # Ctrl-C reaches all of them
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 128 + number and "Traceback" not in said and "megxl: stopped" in said
    assert Run.open(out / "codec").status["state"] == "stopped"
    assert (out / "steps" / "listener-snr-0.json").exists() and not (out / "steps" / "codec.json").exists()


def begun(run: Path) -> bool:
    """Whether a training has taken a step."""
    return (run / "status.json").exists() and (run / "metrics.csv").exists()
