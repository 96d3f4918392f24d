"""Folders of finished runs with told results, as sweeps leave them."""

from pathlib import Path
from typing import Any

from megxl.training.configuring import compose
from megxl.training.runs import RESULTS, Run, write_json
from megxl.training.words.config import WordsConfig

METRIC = "balanced_top10_of_50"


def finish(
    folder: Path, result: float, *overrides: str, hours: float = 1.0, command: str = "finetune", **told: Any
) -> Run:
    """Make a run with a result, its bounds 0.02 away."""
    words = ["corpus=armeni", *overrides, f"run='{folder}'"]
    config = compose("finetune", words, schema=WordsConfig, given={"command": command})
    run = Run.create(config, environment={})
    scored = {"value": result, "low": result - 0.02, "high": result + 0.02, "chance": 0.2} | told
    write_json(
        folder / RESULTS,
        {
            "about": {"hours": {"train": hours, "test": 0.1}, "corpus": "armeni"},
            "test": {"reported_metric": METRIC, "metrics": {METRIC: scored, "top1": {"value": 0.0}}},
        },
    )
    run.set_status("finished")
    return run


def finish_curve(folder: Path, results: dict[float, list[float]], *overrides: str) -> Path:
    """Make the runs of a sweep: for each number of hours, one with each result, of seeds from 0 on."""
    for hours, some in results.items():
        for seed, result in enumerate(some):
            own = [f"data.train_hours={hours}", f"seed={seed}"]
            finish(folder / f"{hours}_{seed}", result, *overrides, *own, hours=hours)
    return folder
