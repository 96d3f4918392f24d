"""Two processes train a tokenizer as one does with the same windows: weights, code books and tables."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

pytest.importorskip("lightning.pytorch")

from megxl.checkpoints.files import read_checkpoint
from megxl.training.runs import Run
from megxl.training.tokenizer import engine
from megxl.training.tokenizer.config import TokenizerConfig
from tests.training.small_run import environment
from tests.training.tokenizer.small_codecs import Descending, codec_config, make_signals, settings

SCRIPT = """
import json, sys
from pathlib import Path
from megxl.training.tokenizer import engine
from megxl.training.tokenizer.config import TokenizerConfig
from tests.training.tokenizer.small_codecs import Descending

if __name__ == "__main__":
    engine.TokenizerModule = Descending
    engine.train_tokenizer(TokenizerConfig.from_dict(json.loads(Path(sys.argv[1]).read_text())))
"""
# an epoch is one step of four windows of unequally many good sensors, among which codes die
CHANGES = {
    "datasets_config": [{"type": "armeni", "split": {"validation": 0.34, "seed": 0}}],
    "data__sensors_per_window": 3,
    "training__max_steps": 8,
    "training__learning_rate": 1e-2,
    "codebooks__decay": 0.8,
    "codebooks__dead_below": 1.0,
}


def two_processes(folder: Path, **changes) -> Run:
    """Run of two processes, each started as Lightning starts them."""
    (folder / "train.py").write_text(SCRIPT)
    (folder / "two.json").write_text(json.dumps(settings(folder, **changes, trainer__devices=2)))
    command = [sys.executable, str(folder / "train.py"), str(folder / "two.json")]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr[-3000:]
    return Run.open(changes["run"], TokenizerConfig)


@pytest.mark.slow
def test_two_processes_equal_one_with_the_same_global_batch(tmp_path, monkeypatch):
    monkeypatch.setattr(engine, "TokenizerModule", Descending)
    # 13 s: two windows a recording; one of them has a bad sensor
    make_signals(tmp_path, recordings=3, seconds=13.0, bads_of={0: ("MEG 0112", "MEG 0122")})
    one = engine.train_tokenizer(codec_config(tmp_path, **CHANGES, run=str(tmp_path / "one")))
    two = two_processes(tmp_path, **CHANGES, training__batch_size=2, run=str(tmp_path / "two"))
    mine, theirs = (read_checkpoint(run.path / "model").tensors for run in (one, two))
    for name, tensor in mine.items():
        torch.testing.assert_close(
            theirs[name], tensor, rtol=1e-6, atol=1e-6, msg=lambda said, name=name: f"{name}: {said}"
        )
    for table in (Run.metrics, Run.validation):
        for row, other in zip(table(one), table(two), strict=True):
            different = [name for name in row if row[name] != pytest.approx(other[name], rel=1e-4, abs=1e-5)]
            assert set(different) <= {"samples_per_s", "epoch"}, different
    assert sum(row["revived_level_1"] for row in one.metrics()) > 0
