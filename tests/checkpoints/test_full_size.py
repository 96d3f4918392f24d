"""Files as big as the released ones, with every section that those carry."""

import collections
import pathlib
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from megxl.checkpoints.files import read_checkpoint, write_checkpoint
from megxl.checkpoints.names import model_rows
from tests.checkpoints.making import codec_file, codec_state, hyper_parameters, model_file, model_state
from tests.checkpoints.test_names import PUBLISHED_CODEC, PUBLISHED_MODEL

DATASETS = {
    "camcan": {"data_root": "/data", "subjects": None},
    "mous": {"tasks": ["auditory"], "val_subjects": ["sub-A2003"]},
}


def adam_state(tensors: list[torch.Tensor], **group) -> dict:
    state = {
        n: {"step": torch.tensor(113000.0), "exp_avg": torch.randn_like(tensor), "exp_avg_sq": torch.rand_like(tensor)}
        for n, tensor in enumerate(tensors)
    }
    return {"state": state, "param_groups": [{"lr": 1e-4, "betas": (0.9, 0.999), "params": list(state), **group}]}


def full_codec(folder: Path) -> Path:
    state = codec_state(PUBLISHED_CODEC)
    trained = [tensor for name, tensor in state.items() if "_codebook" not in name]
    scheduler = {"base_lrs": [1e-4], "last_epoch": 20, "_step_count": 21, "_last_lr": [1e-6], "lr_lambdas": [None]}
    return codec_file(folder, state, optimizer_state_dict=adam_state(trained), scheduler_state_dict=scheduler)


def full_model(folder: Path, objects: dict | None = None) -> Path:
    """`objects`: what the data module's metadata holds besides plain values."""
    config = {**PUBLISHED_MODEL, "masked_blocks": 20}
    state = model_state(config, PUBLISHED_CODEC)
    fixed = ("tokenizer.", "biocodec_embedding_")
    trained = [t for n, t in state.items() if not n.startswith(fixed) and not n.endswith((".B", ".freqs", ".rotate"))]
    more = {
        "loops": {"fit_loop": {"epoch_progress": {"total": {"ready": 50}}, "state_dict": {}}, "validate_loop": {}},
        "callbacks": {"ModelCheckpoint{}": {"best_model_score": torch.tensor(3.2), "dirpath": "runs"}},
        "optimizer_states": [adam_state(trained, weight_decay=0.01)],
        "lr_schedulers": [{"T_max": 113000, "eta_min": 1e-6, "_last_lr": [2e-6]}],
        "datamodule_hparams_name": "kwargs",
        "datamodule_hyper_parameters": {"plain": DATASETS, "segment_length": 150.0} | (objects or {}),
    }
    return model_file(folder, state, hyper_parameters=hyper_parameters(config), **more)


def test_a_full_size_codec_is_read_strictly(tmp_path):
    path = full_codec(tmp_path)
    assert 37e6 < path.stat().st_size < 40e6
    checkpoint = read_checkpoint(path)
    assert checkpoint.config == PUBLISHED_CODEC
    assert checkpoint.report.matched == 166
    assert checkpoint.report.unmatched == checkpoint.report.missing == ()
    assert checkpoint.report.skipped_sections == ("optimizer_state_dict", "scheduler_state_dict")


@pytest.mark.slow
def test_a_full_size_model_is_read_strictly_and_converted(tmp_path):
    omegaconf = pytest.importorskip("omegaconf")
    objects = {
        "dataset_configs": omegaconf.OmegaConf.create(DATASETS),
        "cache_dir": pathlib.Path("data/cache"),
        "counts": collections.defaultdict(int, a=1),
    }
    path = full_model(tmp_path, objects)
    assert 275e6 < path.stat().st_size < 290e6
    checkpoint = read_checkpoint(path)
    assert checkpoint.report.matched == sum(row.ours is not None for row in model_rows(checkpoint.config))
    assert len(checkpoint.report.derived) == 16
    assert checkpoint.report.unmatched == checkpoint.report.missing == ()
    assert checkpoint.report.skipped_sections == (
        "loops", "callbacks", "optimizer_states", "lr_schedulers", "datamodule_hparams_name",
        "datamodule_hyper_parameters",
    )  # fmt: skip
    assert checkpoint.provenance["untrained"] is False
    folder = write_checkpoint(tmp_path / "model", checkpoint)
    again = read_checkpoint(folder)
    assert all(torch.equal(again.tensors[name], tensor) for name, tensor in checkpoint.tensors.items())


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak of memory from /proc")
def test_reading_a_full_size_model_never_holds_its_optimiser_state(tmp_path):
    path = full_model(tmp_path)
    code = (
        "import re, sys, torch\nfrom pathlib import Path\nfrom megxl.checkpoints.files import read_checkpoint\n"
        "def peak_kb():\n    return int(re.search(r'VmHWM:\\s+(\\d+)', Path('/proc/self/status').read_text())[1])\n"
        "before = peak_kb()\nweights = read_checkpoint(sys.argv[1]).tensors.values()\n"
        "print(peak_kb() - before, sum(w.nbytes for w in weights) // 1024)\n"
    )
    root = str(Path(__file__).resolve().parents[2])
    said = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True, env={"PYTHONPATH": root}
    )
    grown_kb, weights_kb = map(int, said.stdout.split())
    # the weights once as pages of the file and once as our own, and little else
    assert grown_kb < 2 * weights_kb + 40_000
    assert grown_kb < 0.95 * path.stat().st_size / 1024
