"""Importing megxl is quick and pulls in nothing heavy; the torch-only rooms need no more than torch."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

import megxl

ROOT = Path(__file__).parents[1]
HEAVY = ("mne", "lightning", "hydra", "transformers", "torch", "matplotlib", "rich", "huggingface_hub")
ABSENT_ON_A_BARE_MACHINE = (
    "mne",
    "scipy",
    "lightning",
    "hydra",
    "omegaconf",
    "transformers",
    "matplotlib",
    "rich",
    "pandas",
)


def python(code: str) -> None:
    """Run in a fresh interpreter."""
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr


def test_import_loads_nothing_heavy():
    python(f"import sys, megxl; found = set({HEAVY}) & set(sys.modules); assert not found, found")


def test_import_takes_less_than_a_second():
    def seconds() -> float:
        begin = time.perf_counter()
        python("import megxl")
        return time.perf_counter() - begin

    assert min(seconds() for _ in range(3)) < 1.0


@pytest.mark.slow
def test_codec_model_and_bench_run_with_torch_numpy_and_safetensors_alone():
    python(
        f"""
import sys
for name in {ABSENT_ON_A_BARE_MACHINE}:
    sys.modules[name] = None  # importing it raises ImportError
import torch, megxl
from megxl.cli import main
model = megxl.MEGXL(megxl.MEGXLConfig(width=64, layers=1, heads=4), megxl.BioCodec()).eval()
from megxl.signals.normalization import scale_blocks
from megxl.signals.sensors import neuromag306
sensors = neuromag306().select(neuromag306().names[:4])
assert model(scale_blocks(torch.randn(1, 4, 60)), sensors).shape == (1, 4, 5, 64)
assert main(["bench", "model", "--size", "tiny", "--seconds", "9", "--sensors", "3", "--stages", "tokenize", "forward",
             "train", "--repeats", "1", "--warmup", "0"]) == 0
"""
    )


def test_public_names_resolve():
    for name in megxl.__all__:
        assert getattr(megxl, name).__module__.startswith("megxl.")
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = megxl.nothing
