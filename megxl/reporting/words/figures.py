"""Figures of a decoder's page: its score beside others, its learning, what it confuses, when and where it listens.

Letters: K words, C sensors, R recordings or runs.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from megxl.reporting.maps import draw_group, project, sensor_groups
from megxl.reporting.style import (
    ACCENT,
    AMBER,
    DASHES,
    FAINT,
    INK,
    MARKERS,
    PALETTE,
    SHARES,
    WIDTH,
    styled,
    titled_figure,
)
from megxl.reporting.training_figures import Rows, draw_curve
from megxl.reporting.words.confusion import Confusion
from megxl.reporting.words.examination import SensorUse
from megxl.reporting.words.scores import Scored, told


@styled
def plot_scores(scored: Scored, others: Sequence[Scored], line: str, warning: str | None = None) -> Figure:
    """Draw the reported metric of a run and of others with their intervals, chance (dashed) and frequent words."""
    runs = [scored, *others]
    figure = titled_figure((WIDTH, 1.9 + 0.45 * len(runs)), line, warning)
    axes = figure.subplots()
    heights = -np.arange(len(runs) + 1, dtype=float)
    for height, one, color in zip(heights, runs, [ACCENT] + [INK] * len(others), strict=False):
        if one.interval is not None:
            axes.plot([one.interval.low, one.interval.high], [height] * 2, color=color, linewidth=3, alpha=0.5,
                      solid_capstyle="butt")  # fmt: skip
        axes.plot(one.value, height, "o", color=color, markersize=8)
        axes.plot([one.chance] * 2, [height - 0.42, height + 0.42], color=INK, linestyle=DASHES[1], linewidth=1.3)
    names = [one.name for one in runs]
    if scored.frequency is not None:
        axes.plot(scored.frequency, heights[-1], "D", color=AMBER, markersize=7)
        names.append("frequent words, always")
    axes.set_yticks(heights[: len(names)], names)
    axes.set(xlim=(0, 1), ylim=(-len(names) + 0.4, 0.6), xlabel=told(scored.metric))
    axes.xaxis.set_major_formatter(PercentFormatter(1.0))
    axes.set_title("Dots: the value; bars: its interval; dashed: chance")
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color=FAINT, alpha=0.3)
    return figure


@styled
def plot_learning(
    metrics: Rows, validation: Rows, shown: Mapping[str, str], best_step: int | None, line: str
) -> Figure:
    """Draw the loss in training and validation, and metrics of validation with the epoch whose weights were kept.

    Parameters
    ----------
    metrics, validation : rows
    shown : mapping
        Columns of metrics to their names for people, the one that selects first.
    best_step : int, optional
    line : str
    """
    figure = titled_figure((WIDTH, 4.4), line)
    left, right = figure.subplots(1, 2)
    draw_curve(left, metrics, "loss", color=FAINT, label="training")
    draw_curve(left, validation, "loss", color=ACCENT, label="validation", marked=True)
    for (column, name), color, shape, pattern in zip(shown.items(), PALETTE, MARKERS, DASHES, strict=False):
        draw_curve(right, validation, column, color=color, label=name, marked=shape, dashes=pattern)
    for axes in (left, right):
        if best_step is not None:
            axes.axvline(best_step, color=INK, linestyle=":", linewidth=1.2, label="weights that were kept")
        axes.set_xlabel("optimiser step")
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower left")
    figure.legend(*right.get_legend_handles_labels(), loc="outside lower right")
    left.set_ylabel("loss")
    right.set_ylabel("validation")
    right.yaxis.set_major_formatter(PercentFormatter(1.0))
    left.set_title("Loss: lower is better")
    right.set_title("Words found: higher is better")
    return figure


@styled
def plot_confusion(confusion: Confusion, line: str) -> Figure:
    """Draw, for each frequent word, how often each was decoded in its place."""
    size = len(confusion.words)
    figure = titled_figure((WIDTH, 2.2 + 0.33 * size), line)
    axes = figure.subplots()
    image = axes.imshow(confusion.shares_KX, cmap=SHARES, vmin=0, vmax=max(1e-9, confusion.shares_KX.max()))
    axes.set_xticks(range(size + 1), [*confusion.words, "any other"], rotation=90)
    names = [f"{word} ({times})" for word, times in zip(confusion.words, confusion.times_K, strict=True)]
    axes.set_yticks(range(size), names)
    axes.plot(range(size), range(size), linestyle="", marker="s", markerfacecolor="none", markeredgecolor=AMBER,
              markersize=13 if size > 10 else 17)  # fmt: skip
    axes.axvline(size - 0.5, color=FAINT, linewidth=1)
    axes.set(xlabel="decoded: the best candidate", ylabel="heard (times)")
    axes.spines[:].set_visible(False)
    bar = figure.colorbar(image, ax=axes, shrink=0.6, format=PercentFormatter(1.0))
    bar.set_label("share of the word's occurrences")
    return figure


@styled
def plot_truncation(
    times_s: Sequence[float], scores: Sequence[Scored], line: str, warning: str | None = None
) -> Figure:
    """Draw the metric against how much signal after the onset the decoder was given, with intervals and chance."""
    figure = titled_figure((WIDTH, 3.6), line, warning)
    axes = figure.subplots()
    if all(one.interval is not None for one in scores):
        low, high = zip(*((one.interval.low, one.interval.high) for one in scores if one.interval), strict=True)
        axes.fill_between(times_s, low, high, color=ACCENT, alpha=0.2, linewidth=0, label="interval")
    axes.plot(times_s, [one.value for one in scores], color=ACCENT, marker="o", markersize=4, label="decoder")
    axes.axhline(scores[0].chance, color=INK, linestyle=DASHES[1], linewidth=1.2, label="chance")
    axes.set(
        xlabel="signal given after each word's onset (s)", ylabel=told(scores[0].metric).replace(" among", "\namong")
    )
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.legend()
    return figure


@styled
def plot_sensors(use: SensorUse, line: str, warning: str | None = None) -> Figure:
    """Draw how much each sensor moves what is decoded, one map a kind of sensor; below, what the head looks at."""
    groups, shown = sensor_groups(use.array), [(use.saliency_C, "|gradient x feature|")]
    if use.attention_C is not None:
        shown.append((use.attention_C, "attention weight"))
    figure = titled_figure((max(WIDTH, 4.4 * len(groups)), 4.0 * len(shown)), line, warning)
    xy_C2 = project(use.array.positions_C3)
    every: np.ndarray = figure.subplots(len(shown), len(groups), squeeze=False)
    for row, (value_C, label) in zip(every, shown, strict=True):
        axes: Axes
        for axes, group in zip(row, groups, strict=True):
            draw_group(axes, group, value_C, use.good_C, xy_C2, label=label)
    return figure
