"""How the training of a tokenizer went: parts of its loss, what it gives back of held-out signals, codes in use."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, PercentFormatter

from megxl.reporting.style import (
    ACCENT,
    AMBER,
    DASHES,
    FAINT,
    INK,
    SOLID,
    WIDTH,
    Dashes,
    dashes,
    level_colour,
    marker,
    styled,
    titled_figure,
)
from megxl.reporting.training_figures import Rows, draw_curve
from megxl.reporting.training_tables import level_columns

PARTS: dict[str, tuple[str, str, Dashes]] = {
    "time": ("time", ACCENT, SOLID),
    "spectral": ("spectral", AMBER, DASHES[1]),
    "commitment": ("commitment", INK, DASHES[2]),
}
"""Unweighted parts of the loss: column, name for people, colour, dashes."""


@styled
def plot_learning(metrics: Rows, validation: Rows, line: str) -> Figure:
    """Draw the loss in training and validation, its unweighted parts, and r of the held-out recordings."""
    figure = titled_figure((WIDTH, 3.9), line)
    left, middle, right = figure.subplots(1, 3)
    draw_curve(left, metrics, "loss", color=FAINT, label="training")
    draw_curve(left, validation, "loss", color=ACCENT, label="held out", marked=True)
    left.set_title("Loss: lower is better")
    for name, (label, color, pattern) in PARTS.items():
        draw_curve(middle, validation or metrics, name, color=color, label=label, dashes=pattern, marked=True)
    whose = "held out" if validation else "in training"
    middle.set_title(f"Its parts before weighting, {whose}")
    draw_curve(right, validation, "r", color=ACCENT, label="Pearson r", marked=True)
    draw_curve(right, validation, "variance", color=AMBER, label="variance explained", dashes=DASHES[1], marked=True)
    right.set_title("Rebuilt: higher is better")
    right.set_ylim(min(0.0, right.dataLim.ymin) if np.isfinite(right.dataLim.ymin) else 0.0, 1.0)
    for axes in (left, middle):
        axes.set_ylabel("loss")
        if _spans_decades(axes):
            axes.set_yscale("log")
            plain_decades(axes.yaxis)
    right.set_ylabel("r, or share (1: the same signal)")
    for axes in (left, middle, right):
        _finish(axes)
    return figure


@styled
def plot_code_learning(metrics: Rows, validation: Rows, line: str) -> Figure | None:
    """Draw codes used and in effective use at each level, and codes revived; None where nothing of it was logged."""
    panels = [
        (name, title, rows)
        for name, title, rows in (
            ("usage", "Codes that occur, held out", validation),
            ("perplexity", "In effective use, held out", validation),
            ("revived", "Dead codes replaced", metrics),
        )
        if level_columns(rows, name)
    ]
    if not panels:
        return None
    figure = titled_figure((WIDTH, 3.7), line)
    every = figure.subplots(1, len(panels), squeeze=False)[0]
    for axes, (name, title, rows) in zip(every, panels, strict=True):
        columns = level_columns(rows, name)
        for level, column in enumerate(columns):
            color = level_colour(level, len(columns))
            draw_curve(axes, rows, column, color=color, label=f"level {level + 1}", marked=marker(level),
                       dashes=dashes(level))  # fmt: skip
        axes.set_title(title)
        axes.set_ylim(bottom=0)
        _finish(axes, legend=False)
        if name == "usage":
            axes.set_ylim(0, 1.03)
            axes.yaxis.set_major_formatter(PercentFormatter(1.0))
        axes.set_ylabel({"usage": "share of the code book"}.get(name, "codes"))
    figure.legend(*every[0].get_legend_handles_labels(), ncols=8,
                  loc="outside lower center")  # fmt: skip
    return figure


def plain_decades(axis: Axis) -> None:
    """Label a logarithmic axis with plain numbers at 1, 2 and 5."""
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter(NullFormatter())


def _spans_decades(axes: Axes) -> bool:
    low, high = axes.dataLim.ymin, axes.dataLim.ymax
    return bool(0 < 10 * low < high)


def _finish(axes: Axes, *, legend: bool = True) -> None:
    axes.set_xlabel("optimiser step")
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    if legend and axes.get_legend_handles_labels()[0]:
        axes.legend()
