"""What `megxl info` says of the directory of a run."""

from pathlib import Path
from typing import Any

_FILES = ("config.yaml", "status.json")


def is_run(path: Path) -> bool:
    """Whether a training wrote this directory; told by its files, as the training itself is slow to import."""
    return path.is_dir() and all((path / name).is_file() for name in _FILES)


def describe_run(path: Path) -> dict[str, Any]:
    """What trained there, how far it is, its last validation, and which of its checkpoints to take; JSON-able."""
    from megxl.training.runs import REPORT, Run

    run = Run.open(path)
    validation, started = run.validation(), run.status["step"] > 0
    return {
        "what": f"a run of `{run.config.made_by}`",
        **run.status,
        "last validation": validation[-1] if validation else {},
        "weights": str(run.newest_model()) if started else None,
        "report": str(path / REPORT) if (path / REPORT).is_file() else None,
    }
