"""What a training ran on: versions, revision, seed and devices, without the names of machines or people."""

import os
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

import megxl

_PACKAGES = ("torch", "lightning", "numpy", "mne", "hydra-core", "safetensors")
_RANKS = ("RANK", "LOCAL_RANK", "NODE_RANK", "GROUP_RANK", "SLURM_PROCID")


def is_first_process() -> bool:
    """Whether this is the process that writes: the only one, or the first of those that a launcher started."""
    return all(os.environ.get(name, "0") == "0" for name in _RANKS)


def describe_environment(seed: int) -> dict[str, Any]:
    """Describe this process, JSON-able.

    Parameters
    ----------
    seed : int
        Of the training.
    """
    gpus = [torch.cuda.get_device_name(n) for n in range(torch.cuda.device_count())]
    return {
        "megxl": megxl.__version__,
        "revision": _revision(Path(megxl.__file__).resolve().parents[1]),
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        **{name: found for name in _PACKAGES if (found := _version(name))},
        "gpus": gpus,
        "processors": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "seed": seed,
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _revision(folder: Path) -> str | None:
    """Commit of a checkout, with a + if files differ from it; None: the package was installed without one."""
    if not (folder / ".git").exists():
        return None
    said = []
    for words in (("rev-parse", "HEAD"), ("status", "--porcelain", "--untracked-files=no")):
        try:
            done = subprocess.run(["git", "-C", folder, *words], capture_output=True, text=True, timeout=20)
        except (OSError, subprocess.TimeoutExpired):
            return None
        if done.returncode:
            return None
        said.append(done.stdout.strip())
    return said[0] + ("+" if said[1] else "")
