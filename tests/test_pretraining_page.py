"""What the page on pre-training shows for a laptop runs as it is written; its other commands are configurations."""

import re
import shlex
from pathlib import Path

import pytest
import torch

from megxl.checkpoints.released import write_released
from megxl.cli import main
from megxl.tokenizer.biocodec import BioCodec
from megxl.training.configuring import compose

PAGE = Path(__file__).parents[1] / "docs" / "pretraining.md"
TEXT = PAGE.read_text()
SHORTER = {"--subjects 4 --minutes 10": "--subjects 2 --minutes 0.6", "training.max_steps=500": "training.max_steps=4"}


def commands(text: str) -> list[str]:
    """Every `megxl` command, lines that go on joined."""
    lines = text.replace("\\\n", " ").splitlines()
    return [line.strip() for line in lines if re.match(r"(    )?(megxl|srun megxl|torchrun .* -m megxl) ", line)]


@pytest.mark.slow
def test_the_laptop_recipe_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    write_released(tmp_path / "brainstorm/neuro_tokenizers/biocodec_ckpt.pt", BioCodec().to_checkpoint())
    (block,) = re.findall(r"```bash\n(.*?)```", TEXT, re.DOTALL)
    for long, short in SHORTER.items():
        assert block.count(long) == 1
        block = block.replace(long, short)
    for command in commands(block):
        assert main(shlex.split(command)[1:]) == 0, command
    made = {path.relative_to("runs/first").as_posix() for path in Path("runs/first").rglob("*")}
    table = "".join(line for line in TEXT.split("## Reading")[0].splitlines() if line.startswith("| `"))
    named = {name.strip("/") for name in re.findall(r"`([^`]+)`", table)} - {"last.ckpt", "step-*.ckpt"}
    assert {"report.html", "model", "status.json", "tensorboard"} <= named
    assert named | {"checkpoints/last.ckpt"} <= made
    assert (tmp_path / "first.ckpt").is_file()


def test_every_other_training_command_is_a_configuration():
    found = [command for command in commands(TEXT) if " pretrain " in command and "..." not in command]
    assert len(found) >= 5
    for command in found:
        words = [word for word in shlex.split(command.split(" pretrain ")[1]) if "=" in word]
        for word in words:
            key, values = word.split("=", 1)
            if "," in values and not values.startswith("["):
                words = [f"{key}={values.split(',')[0]}" if other == word else other for other in words]
        compose("pretrain", words)


def test_keys_and_machines_of_the_page_exist():
    keys = set(re.findall(r"`((?:data|model|training|trainer|checkpoint|logging)\.[a-z_]+)", TEXT))
    plain = compose("pretrain", ["corpora=simulated"]).to_dict()
    for key in keys:
        section, name = key.split(".")
        assert name in plain[section], key
    for machine in re.findall(r"machine=(\w+)", TEXT):
        compose("pretrain", ["corpora=simulated", f"machine={machine}"])


def test_linked_pages_exist():
    for target in re.findall(r"\]\(((?!http|#)[^)]+)\)", TEXT):
        assert (PAGE.parent / target).exists(), target
