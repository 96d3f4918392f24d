"""How good tokenizers are, drawn from what judging found: scores beside controls, levels, disturbances, places.

All numbers are those of judged.json (`megxl.training.tokenizer.judged`). Letters: C sensors, Q levels, V codes.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from megxl.reporting.figures import draw_code_usage
from megxl.reporting.maps import draw_group, project, sensor_groups
from megxl.reporting.style import FAINT, INK, WIDTH, dashes, marker, palette, styled, titled_figure
from megxl.signals.sensors import SensorArray

Scores = Mapping[str, Any]
"""One tokenizer of judged.json."""
Estimate = Mapping[str, Any]
"""Mean, low, high; null where nothing can be said."""

CONTROLS = {"random": "random weights", "shuffled": "codes shuffled in time"}
MEASURES = {"r": "Pearson r", "si_sdr_db": "SI-SDR (dB)", "variance_explained": "variance explained"}
GAINS = {"gain_before": "before normalisation", "gain_after": "after normalisation"}


@styled
def plot_scores(tokenizers: Mapping[str, Scores], line: str, warning: str | None = None) -> Figure:
    """Draw what tokenizers give back of held-out signals, with intervals, and below what controls of the first do."""
    rows = [(name, scores, palette(n), palette(n)) for n, (name, scores) in enumerate(tokenizers.items())]
    controls = next(iter(tokenizers.values()))["controls"]
    rows += [
        (f"control: {label}", controls[name], INK, "white") for name, label in CONTROLS.items() if name in controls
    ]
    figure = titled_figure((WIDTH, 1.7 + 0.42 * len(rows)), line, warning)
    every = figure.subplots(1, len(MEASURES), sharey=True)
    heights = -np.arange(len(rows), dtype=float)
    for axes, (measure, label) in zip(every, MEASURES.items(), strict=True):
        for height, (_, scores, color, face) in zip(heights, rows, strict=True):
            _draw_estimate(axes, scores[measure], height, color, face)
        if measure != "si_sdr_db":
            axes.set_xlim(min(-0.05, axes.dataLim.xmin - 0.05), 1.0)
        axes.axvline(0, color=FAINT, linewidth=1)
        axes.set_xlabel(label)
        axes.grid(axis="x", color=FAINT, alpha=0.3)
        axes.spines["left"].set_visible(False)
        axes.tick_params(axis="y", length=0)
    every[0].set_yticks(heights, [row[0] for row in rows])
    every[0].set_ylim(heights[-1] - 0.6, 0.6)
    return figure


@styled
def plot_codes(scores: Scores, line: str, warning: str | None = None) -> Figure:
    """Draw how often the codes of each level occur, and how many are in effective use."""
    figure = titled_figure((WIDTH, 3.8), line, warning)
    draw_code_usage(figure, np.array([level["counts"] for level in scores["levels"]]))
    return figure


@styled
def plot_levels_and_disturbances(tokenizers: Mapping[str, Scores], line: str, warning: str | None = None) -> Figure:
    """Draw r by the number of levels decoded, and what noise and gain change of the codes."""
    figure = titled_figure((WIDTH, 4.0), line, warning)
    left, middle, right = figure.subplots(1, 3)
    for number, (name, scores) in enumerate(tokenizers.items()):
        told = [(level["level"], level["r"]) for level in scores["levels"]]
        _draw_points(left, told, number, name)
        noise = [one for one in scores["robustness"] if one["kind"] == "noise"]
        _draw_points(middle, [(one["amount"], one["kept"]) for one in noise], number, name)
        _draw_points(middle, [(one["amount"], one["r"]) for one in noise], number, name, hollow=True)
    left.set(xlabel="levels decoded, from the first", ylabel="Pearson r")
    left.xaxis.set_major_locator(MaxNLocator(integer=True))
    left.set_title("What each level adds")
    middle.set(xlabel="signal over noise (dB)", ylabel="share kept, or Pearson r")
    middle.invert_xaxis()
    middle.set_title("Noise: codes kept (full), r (hollow)")
    _draw_gains(right, tokenizers)
    for axes in (left, middle):
        axes.set_ylim(min(0.0, axes.dataLim.ymin), 1.03)
        axes.grid(axis="y", color=FAINT, alpha=0.3)
    if len(tokenizers) > 1:
        figure.legend(*left.get_legend_handles_labels(), ncols=4,
                      loc="outside lower center")  # fmt: skip
    return figure


@styled
def plot_sensors(sensors: Mapping[str, Any], line: str, warning: str | None = None) -> Figure:
    """Draw on the head how well each sensor is given back: r above, the share of its power that is lost below."""
    seen_C = np.array(sensors["rows_C"]) > 0
    xy_C2, r_C, error_C = (
        np.array(values, dtype=float)[seen_C]
        for values in (project(np.array(sensors["positions_C3"])), sensors["r_C"], sensors["error_C"])
    )
    groups, good_C = sensor_groups(_array(sensors, seen_C)), np.isfinite(r_C)
    figure = titled_figure((WIDTH, 4.3 * len(groups)), line, warning)
    rows: np.ndarray = figure.subplots(len(groups), 2, squeeze=False)
    for row, group in zip(rows, groups, strict=True):
        draw_group(row[0], group, r_C, good_C, xy_C2, label="Pearson r")
        draw_group(row[1], group, 100 * error_C, good_C, xy_C2, label="error over signal, in power (%)")
    return figure


def _array(sensors: Mapping[str, Any], seen_C: np.ndarray) -> SensorArray:
    """Sensors of judged.json, those alone that were looked at."""
    return SensorArray(
        names=tuple(name for name, seen in zip(sensors["names"], seen_C, strict=True) if seen),
        **{name: np.array(sensors[name])[seen_C] for name in ("positions_C3", "orientations_C3", "kinds_C")},
    )


def _draw_estimate(axes: Axes, estimate: Estimate, height: float, color: str, face: str) -> None:
    if estimate["mean"] is None:
        return
    if estimate["low"] is not None:
        axes.plot([estimate["low"], estimate["high"]], [height] * 2, color=color, linewidth=3, alpha=0.5,
                  solid_capstyle="butt")  # fmt: skip
    axes.plot(estimate["mean"], height, "o", color=color, markersize=7, markerfacecolor=face)


def _draw_points(
    axes: Axes, told: Sequence[tuple[float, Estimate]], number: int, name: str, *, hollow: bool = False
) -> None:
    """Draw estimates over numbers, with their intervals, where there is something to say."""
    told = [(place, one) for place, one in told if one["mean"] is not None]
    if not told:
        return
    places, means = [place for place, _ in told], np.array([one["mean"] for _, one in told])
    low, high = (
        np.array([one["mean"] if one[end] is None else one[end] for _, one in told]) for end in ("low", "high")
    )
    color = palette(number)
    axes.errorbar(
        places, means, yerr=np.stack([means - low, high - means]).clip(min=0), color=color, linewidth=1.4, capsize=2.5,
        elinewidth=1, linestyle=dashes(number), marker=marker(number), markersize=5.5,
        markerfacecolor="white" if hollow else color, label=None if hollow else name,
    )  # fmt: skip


def _draw_gains(axes: Axes, tokenizers: Mapping[str, Scores]) -> None:
    """Draw the share of codes that stay when the signal is made weaker or stronger, a bar a tokenizer."""
    first = next(iter(tokenizers.values()))
    gains = [(one["kind"], one["amount"]) for one in first["robustness"] if one["kind"] in GAINS]
    height = 0.8 / len(tokenizers)
    for number, (name, scores) in enumerate(tokenizers.items()):
        kept = {(one["kind"], one["amount"]): one["kept"]["mean"] for one in scores["robustness"]}
        shares = [np.nan if kept.get(gain) is None else kept[gain] for gain in gains]
        places = -np.arange(len(gains)) + 0.4 - height * (number + 0.5)
        bars = axes.barh(places, shares, height=0.9 * height, color=palette(number), label=name)
        if len(tokenizers) <= 2:
            axes.bar_label(bars, [f"{100 * share:.0f} %" for share in shares], padding=3)
    axes.set_yticks(-np.arange(len(gains)), [f"x {amount:g}\n{GAINS[kind]}" for kind, amount in gains])
    axes.set(xlim=(0, 1.15), xlabel="codes kept, all levels")
    axes.set_xticks([0, 0.5, 1.0])
    axes.xaxis.set_major_formatter(PercentFormatter(1.0))
    axes.set_title("Gain: codes kept")
