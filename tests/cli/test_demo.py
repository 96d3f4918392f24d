"""`megxl demo`: what it refuses before it begins, and an interrupt. (CI runs a quick one from beginning to end.)"""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import mne
import numpy as np
import pytest

from megxl.cli import main
from megxl.cli.demo import _activate, _described, _described_in, _enter
from megxl.cli.demo_plan import FULL, QUICK
from megxl.corpora.simulated import make_recording
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


@pytest.mark.parametrize("content", ["{}", "[1]", '{"unrelated": 1}', "no JSON"])
def test_a_file_of_the_same_name_makes_no_demo(tmp_path, capsys, content):
    (tmp_path / "demo.json").write_text(content)
    (tmp_path / "thesis.tex").write_text("mine")
    assert "something else in it" in refusal(capsys, "--out", tmp_path, "--overwrite")
    assert {path.name for path in tmp_path.iterdir()} == {"demo.json", "thesis.tex"}


def test_who_has_no_megxl_in_the_shell_is_told_how_to_get_it(tmp_path, monkeypatch):
    (tmp_path / ".venv/bin").mkdir(parents=True)
    (tmp_path / ".venv/bin/activate").touch()
    monkeypatch.setattr(sys, "prefix", str(tmp_path / ".venv"))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert _activate().startswith("  . .venv/bin/activate ")
    (tmp_path / "megxl").touch(mode=0o755)
    assert _activate() == ""


def test_what_lies_beside_a_demo_is_never_deleted(tmp_path, capsys):
    (tmp_path / "demo.json").write_text(json.dumps({"megxl": "0.0.1"}))
    (tmp_path / "codec").mkdir()
    (tmp_path / "thesis.tex").write_text("mine")
    assert "(thesis.tex)" in refusal(capsys, "--out", tmp_path, "--overwrite")
    assert (tmp_path / "codec").is_dir()


def test_a_demo_is_deleted_to_begin_anew_and_a_quick_one_stays_quick(tmp_path):
    _enter(tmp_path, QUICK, overwrite=False)
    kept = [tmp_path / "codec" / "model", tmp_path / "steps" / "codec.json"]
    for path in kept:
        path.parent.mkdir()
        path.write_text("old")
    _enter(tmp_path, QUICK, overwrite=False)
    assert all(path.exists() for path in kept)
    _enter(tmp_path, FULL, overwrite=True)
    assert _described_in(tmp_path) == _described(FULL) and not any(path.exists() for path in kept)


@pytest.mark.parametrize(("what", "said"), [("slow", "40 samples a second"), ("nowhere", "position")])
def test_a_recording_that_cannot_be_embedded_is_refused_before_minutes_pass(tmp_path, capsys, what, said):
    raw = make_recording(4)
    if what == "slow":
        raw.resample(40, verbose="ERROR")
    else:
        info = mne.create_info(["EEG 1", "EEG 2"], 100.0, "eeg")
        raw = mne.io.RawArray(np.zeros((2, 400)), info, verbose="ERROR")
    raw.save(tmp_path / "own_raw.fif", verbose="ERROR")
    assert said in refusal(capsys, "--out", tmp_path / "demo", "--recording", tmp_path / "own_raw.fif")
    assert not (tmp_path / "demo").exists()


@pytest.mark.slow
def test_a_signal_stops_all_steps_and_what_they_have_is_kept(tmp_path):
    out = tmp_path / "demo"
    command = [sys.executable, "-m", "megxl", "demo", "--quick", "--out", str(out), "--processors", "2"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not begun(out / "codec"):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    process.terminate()  # an interrupt: see .ci/run
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 128 + signal.SIGTERM and "Traceback" not in said and "megxl: stopped" in said
    assert Run.open(out / "codec").status["state"] == "stopped"
    assert (out / "steps" / "listener-snr-0.json").exists() and not (out / "steps" / "codec.json").exists()


def begun(run: Path) -> bool:
    """Whether a training has taken a step."""
    return (run / "status.json").exists() and (run / "metrics.csv").exists()
