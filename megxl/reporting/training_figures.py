"""How a training went: its curves, against what guessers score at the same hidden places."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from megxl.reporting.style import (
    ACCENT,
    AMBER,
    DASHES,
    FAINT,
    INK,
    SOLID,
    WIDTH,
    Dashes,
    marker,
    palette,
    styled,
    titled_figure,
)

Rows = Sequence[Mapping[str, float]]
"""Of a run's metrics.csv or validation.csv; a row lacks what it has no number for."""

GUESSERS: dict[str, tuple[str, Dashes]] = {
    "unigram": ("unigram guesser", DASHES[1]),
    "last_token": ("last-token guesser", DASHES[2]),
}
"""Names of the guessers as a run has them, their names for people, and their dashes."""
_PACE = {
    "learning_rate": "learning rate",
    "gradient_norm": "gradient norm",
    "tokens_per_s": "tokens / s",
    "samples_per_s": "samples / s",
    "mfu": "share of peak FLOP/s",
    "data_wait": "time waiting for data",
}
_SHARES = ("mfu", "data_wait")
MOST_POINTS = 100
"""From so many points on a curve is smoothed, and its points drawn faintly."""


@styled
def plot_learning(metrics: Rows, validation: Rows, baselines: Mapping[str, Any] | None, line: str) -> Figure:
    """Draw loss and accuracy in training and validation, with guessers and chance, and what the model gains on them."""
    figure = titled_figure((WIDTH, 3.9), line)
    left, middle, right = figure.subplots(1, 3)
    for axes, name in ((left, "loss"), (middle, "accuracy")):
        draw_curve(axes, metrics, name, color=FAINT, label="training")
        draw_curve(axes, validation, name, color=ACCENT, label="validation", marked=True)
        draw_guessers(axes, baselines, name)
        if (chance := chance_of(baselines, name)) is not None:
            axes.axhline(chance, color=INK, linestyle=":", linewidth=1, label="chance")
        _finish(axes, name)
    if baselines and left.dataLim.ymax > baselines["chance"]:
        # the first steps, worse than chance, would flatten all that follows
        left.set_ylim(top=baselines["chance"] + 0.08 * (baselines["chance"] - left.dataLim.ymin))
    figure.legend(*left.get_legend_handles_labels(), ncols=5, loc="outside lower center")
    left.set_title("Loss: lower is better")
    middle.set_title("Accuracy: higher is better")
    for guesser, (_, dashes) in GUESSERS.items():
        if baselines and guesser in baselines:
            score = baselines[guesser]["loss"]
            gain = [{"step": row["step"], "gain": score - row["loss"]} for row in validation if "loss" in row]
            draw_curve(right, gain, "gain", color=ACCENT, dashes=dashes, marked=True)
    right.axhline(0, color=AMBER, linewidth=1.3)
    if (best := right.dataLim.ymax) > 0:
        right.set_ylim(bottom=max(right.dataLim.ymin, -2 * best) - 0.1 * best)
    _finish(right, "loss")
    right.set_ylabel("nats a code below the guesser")
    right.set_title("Gain: above 0 is learnt")
    return figure


@styled
def plot_parts(validation: Rows, baselines: Mapping[str, Any] | None, parts: Mapping[str, str], line: str) -> Figure:
    """Draw the validation loss of parts of the codes: curves on the left, the last values and the guessers' right.

    Parameters
    ----------
    validation : rows
    baselines : mapping, optional
        As in a run's baselines.json.
    parts : mapping
        Column of each part (``loss_level_1``, ``armeni_loss``) to its name for people.
    line : str
        What to say above the figure.
    """
    figure = titled_figure((WIDTH, max(3.4, 1.4 + 0.36 * len(parts))), line)
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    for number, column in enumerate(parts):
        draw_curve(left, validation, column, color=palette(number), label=parts[column], marked=marker(number))
    _finish(left, "loss")
    # below, where no curve runs through it
    figure.legend(*left.get_legend_handles_labels(), ncols=6, loc="outside lower left")
    left.set_title("Validation loss while training")
    heights = -np.arange(len(parts), dtype=float)
    for guesser, shape in zip(GUESSERS, ("|", "d"), strict=True):
        scores = [(baselines or {}).get(guesser, {}).get(column, np.nan) for column in parts]
        style = {"markersize": 13, "markeredgewidth": 2} if shape == "|" else {"markersize": 6, "markerfacecolor": "w"}
        right.plot(scores, heights, linestyle="", marker=shape, color=AMBER, label=GUESSERS[guesser][0], **style)
    scores = [last_value(validation, column) for column in parts]
    right.scatter(scores, heights, s=60, color=[palette(n) for n in range(len(parts))], zorder=5)
    right.set_yticks(heights, list(parts.values()))
    right.xaxis.set_major_locator(MaxNLocator(4))
    right.set(xlabel="loss (nats a code)", ylim=(heights[-1] - 0.6, 0.6))
    right.grid(axis="y", color=FAINT, alpha=0.3)
    right.spines["left"].set_visible(False)
    right.tick_params(axis="y", length=0)
    figure.legend(*right.get_legend_handles_labels(), ncols=2, loc="outside lower right")
    right.set_title("Model (dots) and guessers at the end")
    return figure


@styled
def plot_pace(metrics: Rows, line: str) -> Figure | None:
    """Draw learning rate, gradient norm and speed, as far as they were logged; None if nothing of it was."""
    there = [name for name in _PACE if any(name in row for row in metrics)]
    if not there:
        return None
    columns = len(there) if len(there) <= 4 else 3
    lines = -(-len(there) // columns)
    figure = titled_figure((WIDTH, 2.7 * lines), line)
    every = list(figure.subplots(lines, columns, squeeze=False).flat)
    for axes, name in zip(every, there, strict=False):
        draw_curve(axes, metrics, name, color=ACCENT)
        _finish(axes, name)
        axes.set(ylabel=_PACE[name], ylim=(0, None))
        if name in _SHARES:
            axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    for axes in every[len(there) :]:
        axes.axis("off")
    return figure


def draw_guessers(axes: Axes, baselines: Mapping[str, Any] | None, name: str) -> None:
    """Draw what guessers score, as far as it is known."""
    for guesser, (label, dashes) in GUESSERS.items():
        if baselines and (score := baselines.get(guesser, {}).get(name)) is not None:
            axes.axhline(score, color=AMBER, linestyle=dashes, linewidth=1.3, label=label)


def draw_curve(
    axes: Axes,
    rows: Rows,
    name: str,
    *,
    color: str,
    label: str | None = None,
    marked: bool | str = False,
    dashes: Dashes = SOLID,
) -> None:
    """Draw a column over steps, marked by dots or by a marker; a long one also smoothed, over a 50th of its length."""
    points = [(row["step"], row[name]) for row in rows if name in row]
    if not points:
        return
    steps_N, value_N = np.array(points, dtype=float).T
    shape = "o" if marked is True or len(points) == 1 else marked or ""
    shape = shape if len(points) <= 30 else ""
    long = len(points) >= MOST_POINTS
    faint: dict[str, Any] = {"linewidth": 0.6, "alpha": 0.45} if long else {"linewidth": 1.4, "label": label}
    axes.plot(steps_N, value_N, color=color, marker=shape, markersize=4, linestyle=dashes, **faint)
    if long:
        width = len(points) // 50 // 2 * 2 + 1
        smooth = np.convolve(value_N, np.full(width, 1 / width), mode="valid")
        edge = width // 2
        axes.plot(
            steps_N[edge : len(steps_N) - edge], smooth, color=color, linewidth=1.6, linestyle=dashes, label=label
        )


def last_value(rows: Rows, name: str) -> float:
    """Newest number of a column; NaN if there is none."""
    return next((row[name] for row in reversed(rows) if name in row), np.nan)


def chance_of(baselines: Mapping[str, Any] | None, name: str) -> float | None:
    """What somebody scores who knows nothing: ln V as loss, 1 / V as accuracy."""
    if not baselines or "chance" not in baselines:
        return None
    return baselines["chance"] if name == "loss" else float(np.exp(-baselines["chance"]))


def _finish(axes: Axes, name: str) -> None:
    axes.set(xlabel="optimiser step", ylabel="loss (nats a code)" if name == "loss" else name)
    if name == "accuracy":
        axes.set_ylabel("codes predicted right")
        axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
