"""What the README shows runs as it is written, in a folder that holds the files it names."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from megxl.checkpoints.released import write_released
from megxl.cli import main
from megxl.corpora.simulated import make_recording
from tests.small import small_model

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text()
SHORTER = {"--subjects 4 --minutes 10": "--subjects 2 --minutes 0.6", "training.max_steps=500": "training.max_steps=4"}


def blocks(language: str) -> list[str]:
    """Code blocks of one language."""
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A working directory with the files that the README names; weights are random and small."""
    place = tmp_path_factory.mktemp("readme")
    model = small_model()
    write_released(place / "meg-xl-med.ckpt", model.to_checkpoint())
    write_released(place / "brainstorm/neuro_tokenizers/biocodec_ckpt.pt", model.tokenizer.to_checkpoint())
    make_recording(8.0).save(place / "sub-01_meg.fif", verbose="ERROR")
    return place


@pytest.mark.slow
def test_every_megxl_command_runs(folder, monkeypatch):
    monkeypatch.chdir(folder)
    commands = [line for block in blocks("bash") for line in block.splitlines() if line.startswith("megxl ")]
    assert len(commands) >= 7
    for command in commands:
        for long, short in SHORTER.items():
            command = command.replace(long, short)
        assert main(shlex.split(command)[1:]) == 0, command
    made = {"features.npz", "features.html", "features", "early.npz", "meg-xl-med", "again.ckpt"}
    assert made <= {path.name for path in folder.iterdir()}
    assert {"report.html", "context.csv", "model"} <= {path.name for path in (folder / "runs/first").iterdir()}
    assert all(sum(long in command for command in commands) == 1 for long in SHORTER)


@pytest.mark.slow
@pytest.mark.parametrize("code", blocks("python"))
def test_every_python_block_runs(folder, code):
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "2"}
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr


def test_other_shell_commands_are_known():
    others = {line for block in blocks("bash") for line in block.splitlines() if line and not line.startswith("megxl ")}
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    makes = {line.split()[1] for line in others if line.startswith("make ")}
    assert makes <= targets and {line for line in others if not line.startswith("make ")} == {
        "pip install -e . -c constraints.txt"
    }


def test_linked_pages_exist():
    for target in re.findall(r"\]\(((?!http|#)[^)]+)\)", TEXT):
        assert (ROOT / target).exists(), target
