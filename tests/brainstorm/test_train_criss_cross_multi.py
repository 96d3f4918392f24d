"""The published pre-training command runs from a checkout as it was published."""

import os
import subprocess
import sys
from pathlib import Path

import yaml

from megxl.training.configuring import compose

REPOSITORY = Path(__file__).parents[2]
PUBLISHED = "train_criss_cross_multi_50hz_med"


def published(*words: str, folder: Path = REPOSITORY) -> subprocess.CompletedProcess[str]:
    """Run the script without any help from the environment."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    script = os.path.relpath(REPOSITORY / "brainstorm" / "train_criss_cross_multi.py", folder)
    return subprocess.run(
        [sys.executable, script, *words], cwd=folder, env=environment, capture_output=True, text=True, timeout=120
    )


def test_the_published_command_reads_the_published_configuration_and_overrides():
    roots = [f"datasets_config.{n}.data_root=/data/{n}" for n in range(5)]
    words = [f"--config-name={PUBLISHED}", *roots, "+model.use_gradient_checkpointing=true", "training.num_epochs=1"]
    done = published(*words, "--cfg", "job")
    assert done.returncode == 0, done.stderr
    assert yaml.safe_load(done.stdout) == compose(PUBLISHED, words[1:]).to_dict()


def test_a_placeholder_is_refused_from_any_folder(tmp_path):
    done = published(f"--config-name={PUBLISHED}", "seed=1", folder=tmp_path)
    assert done.returncode == 2 and "datasets_config.0.data_root = '/path/to/smn4lang' is a placeholder" in done.stderr


def test_a_root_that_is_not_there_is_refused_by_its_key(tmp_path, golden):
    roots = [f"datasets_config.{n}.data_root={tmp_path}/none" for n in range(5)]
    codec = f"model.tokenizer_ckpt={golden.codec}"
    done = published(f"--config-name={PUBLISHED}", *roots, codec, f"data.cache_dir={tmp_path}/store", folder=tmp_path)
    assert done.returncode == 2 and "datasets_config.0.data_root" in done.stderr
    assert "Traceback" not in done.stderr and not (tmp_path / "checkpoints").exists()
