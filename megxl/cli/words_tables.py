"""What `megxl evaluate` says of a run that names words, in columns on a terminal or in a pipe."""

from collections.abc import Mapping, Sequence
from typing import Any

from megxl.cli.tables import print_columns

_ROWS = 20
"""Words that are listed; all are in results.json."""


def print_results(name: str, told: Mapping[str, Any]) -> None:
    """Print every part's metrics and, of the test, its subjects, sessions and most frequent words."""
    about = told["about"]
    for part in ("validation", "test"):
        if part in told:
            facts = [f"{about[key]}" for key in ("corpus", "protocol") if key in about]
            control = about.get("control", "none")
            facts += [] if control == "none" else [f"control: {control}"]
            print(" ".join([f"{name}: {part}", *([f"({', '.join(facts)})"] if facts else [])]))
            print_part(told[part])
    for leak in about.get("leaks", ()):
        print(f"leak: {leak}")
    if told.get("changed"):
        changes = (f"{key} = {values['now']} (run: {values['run']})" for key, values in told["changed"].items())
        print(f"changed: {'; '.join(changes)}")


def print_part(told: Mapping[str, Any]) -> None:
    """Print what one part scores; * is the reported metric, + the one that chose the best epoch."""
    where = "{words} words in {groups} groups of {recordings} recordings and {subjects} subjects; vocabulary of "
    print("  " + (where + "{vocabulary}").format(**told))
    lines = [["metric", "", "value (95 %)", "chance", "frequent words", "p"]]
    for name, row in told["metrics"].items():
        mark = "*" * (name == told["reported_metric"]) + "+" * (name == told["selection_metric"])
        lines.append([name, mark, _value(row["value"], row), _percent(row["chance"]), _percent(row["frequency"]),
                      "-" if row["p"] is None else f"{row['p']:.4f}"])  # fmt: skip
    print_columns(lines)
    lines = [["candidates", "words", "mean rank (95 %)", "median rank (95 %)", "chance"]]
    for row in told["sets"]:
        ranks = [f"{rank['value']:.1f}{_bounds(rank, '.1f')}" for rank in (row["mean_rank"], row["median_rank"])]
        lines.append([str(row["candidates"]), str(row["words"]), *ranks, f"{row['mean_rank']['chance']:.1f}"])
    print_columns(lines)
    if told["part"] == "test":
        for what, rows in (("subject", told["by_subject"]), ("session", told["by_session"])):
            if len(rows) > 1:
                _print_parts(what, rows, told["reported_metric"])
        _print_words(told)
    for note in told["notes"]:
        print(f"note: {note}")


def print_beside(name: str, beside: Sequence[Mapping[str, Any]]) -> None:
    """Print the differences to other runs."""
    for other in beside:
        print(f"{name} beside {other['run']}")
        lines = [["metric", "this", "other", "difference (95 %)"]]
        for metric, row in other["metrics"].items():
            difference = f"{row['difference']:+.2%}{_bounds(row, '+.2%')}"
            lines.append([metric, _percent(row["value"]), _percent(row["other"]), difference])
        print_columns(lines)
        for note in other["notes"]:
            print(f"note: {note}")


def _print_parts(what: str, rows: Mapping[str, Any], metric: str) -> None:
    lines = [[what, "words", f"{metric} (95 %)"]]
    for name, row in rows.items():
        value = row["values"].get(metric)
        lines.append([name, str(row["words"]), "-" if value is None else _value(value, row)])
    print_columns(lines)


def _print_words(told: Mapping[str, Any]) -> None:
    names = list(dict.fromkeys(name for row in told["by_word"].values() for name in row["values"]))
    lines = [["word", "words", "in training", *names]]
    for word, row in list(told["by_word"].items())[:_ROWS]:
        trained = "-" if row["trained"] is None else str(row["trained"])
        lines.append([word, str(row["words"]), trained, *(_percent(row["values"].get(name)) for name in names)])
    print_columns(lines)
    if len(told["by_word"]) > _ROWS:
        print(f"  and {len(told['by_word']) - _ROWS} more words in results.json")


def _value(value: float, row: Mapping[str, Any]) -> str:
    return f"{value:.2%}{_bounds(row, '.2%')}"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.2%}"


def _bounds(row: Mapping[str, Any], form: str) -> str:
    return "" if row["low"] is None else f" [{row['low']:{form}}, {row['high']:{form}}]"
