"""Finished runs of sweeps as rows: which method, how much data, which seed, what came out."""

import csv
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from megxl.errors import InputError
from megxl.placing import placed
from megxl.training.runs import CONFIG, Run
from megxl.training.words.config import WordsConfig


@dataclass(frozen=True, kw_only=True)
class Row:
    """One finished run."""

    method: str
    amount: str
    """Of training data, as its configuration has it: runs of one amount are a point."""
    hours: float
    """Of distinct signal that it trained on."""
    seed: int
    metric: str
    result: float
    low: float
    """Lower bound over the groups (and subjects) of the test part."""
    high: float
    chance: float
    task: str
    """Corpus, protocol and its split: what must be equal for results to be compared."""
    folder: str


def read_rows(folders: Sequence[str | Path]) -> tuple[list[Row], list[str]]:
    """Read the finished runs of some sweeps.

    Parameters
    ----------
    folders : sequence of path
        Runs, or folders of runs.

    Returns
    -------
    rows : list of Row
    notes : list of str
        What was left out, one sentence each.

    Raises
    ------
    InputError
        A folder without runs, no finished run, runs that cannot be compared, or two of one method, amount and seed.
    """
    runs = [run for folder in folders for run in _runs(Path(folder).expanduser())]
    rows = [row_of(run) for run in runs if run.results() is not None]
    unfinished = [run.name for run in runs if run.results() is None]
    if not rows:
        raise InputError(f"None of the {len(runs)} runs in {', '.join(map(str, folders))} has results yet; finish one.")
    _refuse_unlike(rows)
    left_out = f"{len(unfinished)} of {len(runs)} runs are not finished and left out"
    return rows, [f"{left_out} (first: {unfinished[0]})."] if unfinished else []


def row_of(run: Run[WordsConfig]) -> Row:
    """Read the row of a finished run.

    Raises
    ------
    InputError
        Its test part has no word of the retrieval set that is reported.
    """
    config, told = run.config, run.results() or {}
    data, about, test = config.data, told["about"], told["test"]
    metric = test["reported_metric"]
    if metric not in test["metrics"]:
        raise InputError(
            f"{run.path} has no {metric}: no word of its test part is among the candidates; leave this run out, or "
            "measure all of them in a larger retrieval set (evaluation.reported_metric)."
        )
    scored = test["metrics"][metric]
    alone = scored["low"] is None  # a single group: there is nothing to draw from
    return Row(
        method=method_of(config),
        amount=f"{data.train_hours:g} h" if data.train_hours is not None else f"{data.train_pct:.4g} of the groups",
        hours=about["hours"]["train"],
        seed=config.seed,
        metric=metric,
        result=scored["value"],
        low=scored["value" if alone else "low"],
        high=scored["value" if alone else "high"],
        chance=scored["chance"],
        task=_task(config, about["corpus"]),
        folder=str(run.path),
    )


def write_rows(rows: Sequence[Row], path: Path) -> None:
    """Put the runs into a CSV file, a row each."""
    with placed(path, folder=False) as part, part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Row)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)


def method_of(config: WordsConfig) -> str:
    """Name what a run stands for in a figure."""
    model = config.model
    if config.control != "none":
        name = f"control: {config.control.replace('_', ' ')}"
    elif model.backbone != "megxl":
        name = {"convolution": "convolution, supervised", "codec": "codec features"}[model.backbone]
    elif model.train_from_scratch:
        name = "from scratch"
    else:
        name = {"finetune": "pre-trained, fine-tuned", "probe": "pre-trained, probed"}[config.command]
    head = {"mlp": "", "linear": ""}.get(config.head, f", {config.head} head") if model.head else ""
    sees = f" that sees {model.sees}" if config.head == "sequence" and model.sees != "group" else ""
    return name + head + sees


def _runs(folder: Path) -> list[Run[WordsConfig]]:
    places = [folder] if Run.exists(folder) else sorted(file.parent for file in folder.glob(f"*/{CONFIG}"))
    if not places:
        raise InputError(f"{folder} is no run and holds none; name the folder of `megxl finetune -m` or of a run.")
    return [Run.open(place, WordsConfig) for place in places]


def _task(config: WordsConfig, corpus: str) -> str:
    """What must be equal. The published split has the training's seed, so that there each seed has its own test set."""
    data = config.data
    seed = 42 if data.split_seed is None else data.split_seed
    rule = f" by {data.strict_by}, split seed {seed}" if data.protocol_name == "strict" else ""
    return f"{corpus}, protocol {data.protocol_name}{rule}"


def _refuse_unlike(rows: Sequence[Row]) -> None:
    first = rows[0]
    for row in rows:
        for name in ("task", "metric"):
            if getattr(row, name) != getattr(first, name):
                raise InputError(
                    f"{row.folder} cannot be compared with {first.folder}: its {name} is {getattr(row, name)!r}, not "
                    f"{getattr(first, name)!r}; draw them apart."
                )
    known: dict[tuple[str, str, int], Row] = {}
    for row in rows:
        other = known.setdefault((row.method, row.amount, row.seed), row)
        if other is not row:
            raise InputError(
                f"{row.folder} and {other.folder} are both {row.method!r} with {row.amount} and seed {row.seed}; "
                "leave one of them out."
            )
