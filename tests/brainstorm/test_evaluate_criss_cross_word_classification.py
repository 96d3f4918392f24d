"""The published word-decoding commands run from a checkout as they were published."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from brainstorm import foreign_files
from megxl.training.configuring import compose
from megxl.training.words.config import WordsConfig

REPOSITORY = Path(__file__).parents[2]
NAMES = {
    "evaluate_criss_cross_word_classification": ("eval_criss_cross_word_classification", "finetune"),
    "evaluate_criss_cross_word_classification_linear_probe": (
        "eval_criss_cross_word_classification_linear_probe", "probe",
    ),
}  # fmt: skip


def published(module: str, *words: str, script: bool = False) -> subprocess.CompletedProcess[str]:
    """Run the module from a checkout without any help from the environment."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    how = [f"brainstorm/{module}.py"] if script else ["-m", f"brainstorm.{module}"]
    return subprocess.run(
        [sys.executable, *how, *words], cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=120
    )


@pytest.mark.parametrize("module", NAMES)
def test_the_published_command_reads_the_published_configuration_and_overrides(module):
    name, command = NAMES[module]
    words = ["model.criss_cross_checkpoint=/data/meg-xl.ckpt", "data.root=/data/armeni", "+training.num_epochs=3"]
    done = published(module, f"--config-name={name}_armeni", *words, "--cfg", "job")
    assert done.returncode == 0, done.stderr
    expected = compose(f"{name}_armeni", words, schema=WordsConfig, given={"command": command}).to_dict()
    assert yaml.safe_load(done.stdout) == expected and expected["command"] == command


def test_as_a_script_a_placeholder_is_refused_by_its_key():
    module = "evaluate_criss_cross_word_classification"
    done = published(module, f"--config-name={NAMES[module][0]}_libribrain", "seed=1", script=True)
    assert done.returncode == 2 and "data.root = '/path/to/LibriBrain' is a placeholder" in done.stderr
    assert "Traceback" not in done.stderr


def test_both_are_known_as_aliases():
    assert not foreign_files(REPOSITORY / "brainstorm")
