"""The model that a finished training leaves: the weights of its last checkpoint, and how well they did."""

import math
from dataclasses import replace
from typing import Any

from megxl.checkpoints.checkpoint import Kind
from megxl.checkpoints.files import read_checkpoint, write_checkpoint
from megxl.training.runs import MODEL, Run
from megxl.training.tables import STEP

TASKS: dict[Kind, str] = {"megxl": "masked-prediction", "biocodec": "reconstruction"}
MEASURED: dict[Kind, tuple[str, ...]] = {"megxl": ("loss", "accuracy"), "biocodec": ("r", "si_sdr_db")}
"""Columns of validation.csv that a model card shows."""
GUESSERS = ("unigram", "last_token")


def leave_model(run: "Run[Any]", kind: Kind) -> None:
    """Write the weights of the last checkpoint (their average, if one is kept) in our own format."""
    newest = run.checkpoint_to_resume()
    assert newest is not None, "a training ends with a checkpoint"
    checkpoint = read_checkpoint(newest, kind=kind)
    if (validation := _validation(run, kind)) is not None:
        origin = checkpoint.provenance["source"] | {"validation": validation}
        checkpoint = replace(checkpoint, provenance=checkpoint.provenance | {"source": origin})
    write_checkpoint(run.path / MODEL, checkpoint, overwrite=True)


def _validation(run: "Run[Any]", kind: Kind) -> dict[str, Any] | None:
    """Last scores of a run beside those of guessers; None: it was never validated."""
    rows = run.validation()
    if not rows:
        return None
    row, guessers = rows[-1], run.baselines() or {}
    beside = {"model": row, **{name: guessers.get(name, {}) for name in GUESSERS}}
    metrics = {
        metric: {who: scores[metric] for who, scores in beside.items() if math.isfinite(scores.get(metric, math.nan))}
        for metric in MEASURED[kind]
        if math.isfinite(row.get(metric, math.nan))
    }
    return {"task": TASKS[kind], "step": int(row[STEP]), "metrics": metrics}
