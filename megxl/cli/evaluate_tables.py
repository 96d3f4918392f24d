"""What `megxl evaluate` found, in columns on a terminal or in a pipe."""

from collections.abc import Mapping, Sequence
from typing import Any

from megxl.cli.tables import print_columns
from megxl.reporting.training_figures import GUESSERS

Rows = Sequence[Mapping[str, Any]]


def print_scores(rows: Rows) -> None:
    """Print one line a corpus and context, what guessers score, and the levels of all corpora together."""
    several = len({row["context_s"] for row in rows}) > 1
    lines = [
        ["corpus", "context", "loss (95 %)", "accuracy (95 %)", *(["beyond the longest (95 %)"] if several else [])]
    ]
    for row in rows:
        loss, excess = (f"{row[name]:.4f}{_bounds(row, name, '.4f')}" for name in ("loss", "excess"))
        accuracy = f"{row['accuracy']:.2%}{_bounds(row, 'accuracy', '.2%')}"
        lines.append([row["corpus"], f"{row['context_s']:g} s", loss, accuracy, *([excess] if several else [])])
    for guesser, (name, _) in GUESSERS.items():
        lines += [
            [row["corpus"], name, f"{row[f'{guesser}_loss']:.4f}", f"{row[f'{guesser}_accuracy']:.2%}"]
            for row in rows
            if row["context_s"] == rows[0]["context_s"] and f"{guesser}_loss" in row
        ]
    lines.append(["all", "chance", f"{rows[0]['chance_loss']:.4f}"])
    print_columns(lines)
    print("loss and accuracy by level, all corpora")
    print_columns(_by_level([row for row in rows if row["corpus"] == "all"]))


def print_attention(rows: Rows) -> None:
    """Print distances and entropies by layer, mean over its heads, and those of even attention."""
    lines = [["layer", "distance (s)", "entropy (share)", "distance (m)", "entropy (share)"]]
    for layer in sorted({row["layer"] for row in rows}):
        cells = [f"{layer}"]
        for axis, form in (("time", ".1f"), ("space", ".3f")):
            heads = [row for row in rows if (row["layer"], row["axis"]) == (layer, axis)]
            shares = [row["entropy_share"] for row in heads if row["entropy_share"] is not None]
            cells.append(f"{sum(row['distance'] for row in heads) / len(heads):{form}}")
            cells.append(f"{sum(shares) / len(shares):.1%}" if shares else "-")
        lines.append(cells)
    even = {row["axis"]: row["even_distance"] for row in rows}
    print_columns([*lines, ["even", f"{even['time']:.1f}", "100.0%", f"{even['space']:.3f}", "100.0%"]])


def _by_level(rows: Rows) -> list[list[str]]:
    lines = [["level", *(f"{row['context_s']:g} s" for row in rows)]]
    for level in (name.removeprefix("loss_level_") for name in rows[0] if name.startswith("loss_level_")):
        cells = (f"{row[f'loss_level_{level}']:.4f}, {row[f'accuracy_level_{level}']:.2%}" for row in rows)
        lines.append([level, *cells])
    return lines


def _bounds(row: Mapping[str, Any], name: str, form: str) -> str:
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    return "" if low is None else f" [{low:{form}}, {high:{form}}]"
