"""How prediction depends on the context that a model is given, and how far and how evenly its heads look."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator, PercentFormatter

from megxl.reporting.style import ACCENT, AMBER, INK, MUTED, WIDTH, styled, titled_figure
from megxl.reporting.training_figures import GUESSERS

Rows = Sequence[Mapping[str, Any]]


@styled
def plot_context(rows: Rows, line: str, warning: str | None = None) -> Figure:
    """Draw loss and accuracy over the seconds of context, with intervals, the guessers and chance.

    Parameters
    ----------
    rows : rows
        Of `megxl.training.evaluation.context_rows`; those of all corpora together are drawn.
    line : str
        Above the figure: whose weights on which windows.
    warning : str, optional
        In its stead.
    """
    rows = [row for row in rows if row["corpus"] == "all"]
    figure = titled_figure((WIDTH, 4), line, warning)
    left, right = figure.subplots(1, 2)
    for axes, name, title in (
        (left, "loss", "Loss: lower is better"),
        (right, "accuracy", "Accuracy: higher is better"),
    ):
        _draw_over_context(axes, rows, name)
        for guesser, (label, dashes) in GUESSERS.items():
            if (score := rows[0].get(f"{guesser}_{name}")) is not None:
                axes.axhline(score, color=AMBER, linestyle=dashes, linewidth=1.3, label=label)
        axes.set_title(title)
    left.axhline(rows[0]["chance_loss"], color=INK, linestyle=":", linewidth=1, label="chance")
    left.set_ylabel("loss (nats a code)")
    right.set_ylabel("codes predicted right")
    right.yaxis.set_major_formatter(PercentFormatter(1.0))
    left.legend()
    return figure


def _draw_over_context(axes: Axes, rows: Rows, name: str) -> None:
    seconds, means = ([row[key] for row in rows] for key in ("given_s", name))
    if rows[0][f"{name}_low"] is not None:
        low, high = ([row[f"{name}_{end}"] for row in rows] for end in ("low", "high"))
        axes.vlines(seconds, low, high, color=ACCENT, linewidth=1.2, label="95 % over recordings")
    axes.plot(seconds, means, color=ACCENT, marker="o", markersize=4, label="model")
    axes.set(xscale="log", xlabel="context given (s)")
    axes.set_xticks(seconds, [f"{row['context_s']:g}" for row in rows])
    axes.xaxis.set_minor_locator(NullLocator())


@styled
def plot_attention(rows: Rows, line: str, warning: str | None = None) -> Figure:
    """Draw distance and entropy of attention by layer, a point a head: over time above, over sensors below.

    Parameters
    ----------
    rows : rows
        Of `megxl.training.evaluation.attention_rows`.
    line, warning : str
        As in `plot_context`.
    """
    figure = titled_figure((WIDTH, 7), line, warning)
    for axis, (left, right) in zip(("time", "space"), figure.subplots(2, 2, sharex=True), strict=True):
        chosen = [row for row in rows if row["axis"] == axis]
        what, unit = ("Over time", "s") if axis == "time" else ("Over sensors", "m")
        _draw_heads(left, chosen, "distance", chosen[0]["even_distance"])
        _draw_heads(right, chosen, "entropy_share", 1.0)
        left.set_title(f"{what}: distance between query and key")
        left.set_ylabel(f"distance ({unit})")
        right.set_title(f"{what}: entropy, share of even attention's")
        right.set_ylabel("share of even attention")
        right.yaxis.set_major_formatter(PercentFormatter(1.0))
        if axis == "space":
            left.set_xlabel("layer")
            right.set_xlabel("layer")
            right.legend()
    return figure


def _draw_heads(axes: Axes, rows: Rows, name: str, even: float) -> None:
    known = [row for row in rows if row[name] is not None]
    layers = sorted({row["layer"] for row in rows})
    means = [np.mean([row[name] for row in known if row["layer"] == layer]) for layer in layers] if known else []
    axes.plot(
        [row["layer"] for row in known], [row[name] for row in known], ".", color=ACCENT, alpha=0.6, label="a head"
    )
    axes.plot(layers[: len(means)], means, color=ACCENT, linewidth=1.2, label="mean")
    axes.axhline(even, color=MUTED, linestyle="--", linewidth=1, label="even attention")
    axes.set_xticks(layers)
    axes.set(xlim=(layers[0] - 0.5, layers[-1] + 0.5), ylim=(0, 1.1 * max([even, *(row[name] for row in known)])))
