"""`megxl evaluate` of a run that names words: all metrics anew from its saved predictions."""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from megxl.decoding.predictions import Predictions
    from megxl.training.runs import Run
    from megxl.training.words.config import WordsConfig
    from megxl.training.words.sections import EvaluationSection

_PARTS = ("validation", "test")


def evaluate_words(run: "Run[WordsConfig]", args: argparse.Namespace) -> int:
    """Measure, print, and write results.json; beside other runs, compare with them."""
    from megxl.cli.words_tables import print_beside, print_results
    from megxl.placing import free_to_write
    from megxl.training.runs import RESULTS, write_json
    from megxl.training.words.results import run_results

    if args.json is not None:
        free_to_write(args.json, overwrite=args.overwrite)
    evaluation = _evaluation(run.config.evaluation, args)
    parts = read_parts(run)
    before = run.results() or {}
    about = before.get("about", dict(parts["test"].about))
    beside = [_beside(other, parts["test"], evaluation) for other in _open_all(args.beside or [])]
    told = {**before, **run_results(parts, evaluation, about)}
    told["changed"] = _changes(run.config.evaluation, evaluation)
    print_results(run.name, told)
    print_beside(run.name, beside)
    write_json(run.path / RESULTS, told)
    print(f"written: {run.path / RESULTS}")
    if args.json is not None:
        write_json(args.json, told | ({"beside": beside} if beside else {}))
        print(f"written: {args.json}")
    return 0


def read_parts(run: "Run[Any]") -> dict[str, "Predictions"]:
    """Predictions of validation and test that a run saved.

    Raises
    ------
    InputError
        There are none yet, or they are damaged.
    """
    from megxl.decoding.predictions import read_predictions
    from megxl.errors import InputError
    from megxl.training.runs import PREDICTIONS

    if not (run.path / PREDICTIONS / "test").is_dir():
        raise InputError(f"{run.path} has no predictions of its test yet; a run writes them when its training ends "
                         f"(it is {run.status['state']} at step {run.status['step']}).")  # fmt: skip
    folders = {part: run.path / PREDICTIONS / part for part in _PARTS}
    return {part: read_predictions(folder) for part, folder in folders.items() if folder.is_dir()}


def _evaluation(section: "EvaluationSection", args: argparse.Namespace) -> "EvaluationSection":
    """Options of the run, but for those of the command; what chose its best epoch stays what it was."""
    from megxl.training.words.results import metric_named

    given = {"k": args.k, "resamples": args.resamples, "permutations": args.permutations}
    changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if args.sizes is not None:
        changes["retrieval_set_sizes"] = _sizes(args.sizes)
    if changes.keys() & {"k", "retrieval_set_sizes"}:
        changes["selection_metric"] = metric_named(section, "selection").name
    return replace(section, **changes)


def _sizes(text: str) -> tuple[int, ...]:
    from megxl.errors import InputError

    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError as error:
        raise InputError(f"--sizes {text}: give numbers of words with commas between them, as in 50,250.") from error


def _changes(before: "EvaluationSection", now: "EvaluationSection") -> dict[str, Any]:
    """What was evaluated otherwise than the run's configuration says."""
    from megxl.training.fields import plain

    old, new = plain(before), plain(now)
    named = ("k", "retrieval_set_sizes", "resamples", "permutations")
    return {f"evaluation.{key}": {"run": old[key], "now": new[key]} for key in named if old[key] != new[key]}


def _open_all(paths: Sequence[Path]) -> list["Run[WordsConfig]"]:
    from megxl.training.runs import Run
    from megxl.training.words.config import WordsConfig

    return [Run.open(path, WordsConfig) for path in paths]


def _beside(other: "Run[WordsConfig]", test: "Predictions", evaluation: "EvaluationSection") -> dict[str, Any]:
    from megxl.errors import InputError
    from megxl.training.words.beside import beside

    try:
        return {"run": str(other.path), **beside(test, read_parts(other)["test"], evaluation)}
    except InputError as error:
        raise InputError(f"--beside {other.path}: {error}") from error
