"""A small prepared store, a small tokenizer and a small configuration, for tests of whole trainings."""

import csv
import os
import subprocess
import sys
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

import torch

from megxl.cli import main
from megxl.sizes import BioCodecConfig
from megxl.store.store import Store
from megxl.tokenizer.biocodec import BioCodec
from tests.data.told import told

REPOSITORY = Path(__file__).parents[2]
CODEC = BioCodecConfig(filters=4, width=16, code_width=4, levels=3, codes=16)
SUBJECTS = 5


def small_codec(seed: int = 0, config: BioCodecConfig = CODEC) -> BioCodec:
    """Codec with random weights, by default of 3 levels and 16 codes, whose codes vary as a trained one's do."""
    torch.manual_seed(seed)
    codec = BioCodec(config).eval()
    with torch.no_grad():
        rest_NTD = codec.encoder(torch.randn(64, 1, 300)).transpose(1, 2)
        for level in codec.quantizer._levels():
            # else the bias would point all vectors at one code
            level.project_in.bias -= level.project_in(rest_NTD).mean((0, 1))
            rest_NTD = rest_NTD - level(rest_NTD).vectors_NTD
    return codec


def make_store(folder: Path, *, subjects: int = SUBJECTS, seconds: float = 40.0, corpora: Sequence[str] = ("armeni",)):
    """Write noise of one subject a recording into a store; every other one has a sensor more.

    Windows of 6 s: 6 a recording of 40 s. Returns the store's path.
    """
    for corpus in corpora:
        for number in range(subjects):
            told(
                folder / "store",
                [],
                seconds=seconds,
                corpus=corpus,
                subject=f"sub-{number}",
                n_sensors=4 + number % 2,
                seed=number + 100 * list(corpora).index(corpus),
            )
    return Store(folder / "store").path


def make_codec(folder: Path) -> Path:
    """Save the codec in our format; returns its folder."""
    small_codec().save_pretrained(folder / "codec")
    return folder / "codec"


def settings(folder: Path, **changes: Any) -> dict[str, Any]:
    """Plain configuration (`PretrainConfig.from_dict`) of a training of seconds, on `make_store` and `make_codec`.

    Parameters
    ----------
    folder : Path
        Holds store and codec; the run will be ``folder / "run"``.
    **changes
        By dotted key with ``__`` for dots: ``training__batch_size=2``.
    """
    content: dict[str, Any] = {
        "datasets_config": [{"type": "armeni", "split": {"validation": 0.2, "seed": 0}}],
        "data": {"cache_dir": str(folder / "store"), "segment_length": 6.0},
        "model": {
            "tokenizer_ckpt": str(folder / "codec"),
            "latent_dim": 16,
            "num_layers": 1,
            "num_heads": 2,
            "vocab_size": CODEC.codes,
            "fourier_pos_dim": 8,
            "dropout": 0.1,
        },
        "training": {
            "batch_size": 2,
            "num_epochs": 3,
            "warmup_steps": 4,
            "learning_rate": 3e-3,
            "num_workers": 0,
            "pin_memory": False,
            "persistent_workers": False,
        },
        "logging": {"log_every_n_steps": 3, "tensorboard": False, "experiment_name": "small"},
        "checkpoint": {"save_dir": str(folder / "checkpoints"), "every_n_train_steps": 4},
        "trainer": {"accelerator": "cpu", "precision": "32-true", "val_check_interval": 5},
        "seed": 1,
        "run": str(folder / "run"),
    }
    return set_keys(content, changes)


def set_keys(content: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Change values of a plain configuration by dotted key, with ``__`` for dots."""
    for name, value in changes.items():
        *parents, key = name.split("__")
        place: Any = content
        for parent in parents:
            place = place[int(parent)] if isinstance(place, list) else place.setdefault(parent, {})
        place[key] = value
    return content


def small_config(folder: Path, **changes: Any):
    """`PretrainConfig` of `settings`."""
    from megxl.training.config import PretrainConfig

    return PretrainConfig.from_dict(settings(folder, **changes))


def write_config(folder: Path, **changes: Any) -> Path:
    """Write the settings as a YAML file for ``megxl pretrain --config FILE``."""
    import yaml

    path = folder / "small.yaml"
    path.write_text(yaml.safe_dump(settings(folder, **changes), sort_keys=False))
    return path


def command(folder: Path, *overrides: str) -> list[str]:
    """Command line of a training of the settings that `write_config` wrote."""
    return [sys.executable, "-m", "megxl", "pretrain", "--config", str(folder / "small.yaml"), *overrides]


def environment() -> dict[str, str]:
    """Environment of a command: this checkout, and as many threads as here, without which sums differ in a last bit."""
    return os.environ | {"PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": str(torch.get_num_threads())}


def pretrain_command(folder: Path, *overrides: str, seconds: float = 240) -> "subprocess.CompletedProcess[str]":
    """Run ``megxl pretrain`` on the written settings, in a process of its own."""
    return subprocess.run(
        command(folder, *overrides), env=environment(), cwd=folder, capture_output=True, text=True, timeout=seconds
    )


def pretrain_here(folder: Path, *overrides: str) -> int:
    """Run ``megxl pretrain`` on the written settings in this process; returns its exit code."""
    return main(command(folder, *overrides)[3:])


def overrides(folder: Path, **changes: Any) -> list[str]:
    """Settings as overrides ``key=value`` for the command line, but for the list of corpora."""
    flat = _flat({key: value for key, value in settings(folder, **changes).items() if key != "datasets_config"})
    return [f"{key}={value}" for key, value in flat.items()]


def _flat(content: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in content.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat


def differences(one: Path, other: Path) -> list[str]:
    """What differs between two finished runs, bit for bit: tables (without timing), checkpoints at the end, weights."""
    from megxl.training.throughput import TIMING_COLUMNS
    from megxl.training.tokenizer.step_rows import SAMPLE_RATE

    found = []
    for name in ("metrics.csv", "validation.csv"):
        mine, theirs = (_table(run / name, (*TIMING_COLUMNS, SAMPLE_RATE)) for run in (one, other))
        found += [f"{name}: {a} / {b}" for a, b in zip_longest(mine, theirs) if a != b]
    mine, theirs = (torch.load(run / "checkpoints" / "last.ckpt", weights_only=True) for run in (one, other))
    found += unequal(mine, theirs)
    weights = [(run / "model" / "model.safetensors").read_bytes() for run in (one, other)]
    return found + ([] if weights[0] == weights[1] else ["model.safetensors"])


def unequal(one: Any, other: Any, place: str = "") -> list[str]:
    """Places where two nested states differ, NaN equal to NaN."""
    if isinstance(one, torch.Tensor):
        return [] if torch.equal(one, other) else [place]
    if isinstance(one, dict) and isinstance(other, dict):
        keys = {*one, *other}
        return [bad for key in keys for bad in unequal(one.get(key), other.get(key), f"{place}/{key}")]
    if isinstance(one, list | tuple) and isinstance(other, list | tuple) and len(one) == len(other):
        return [bad for n, (a, b) in enumerate(zip(one, other, strict=True)) for bad in unequal(a, b, f"{place}/{n}")]
    return [] if one == other else [place]


def _table(path: Path, but: Sequence[str]) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return [{name: text for name, text in row.items() if name not in but} for row in csv.DictReader(file)]
