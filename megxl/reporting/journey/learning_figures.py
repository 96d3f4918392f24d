"""Pictures of what a model fills in, of how it learnt, and of how many words the decoders find."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from megxl.reporting.journey.canvas import empty_figure, without_side
from megxl.reporting.journey.verdicts import Judged
from megxl.reporting.reconstruction import Reconstruction
from megxl.reporting.style import ACCENT, AMBER, DASHES, FAINT, INK, MARKERS, styled
from megxl.reporting.training_figures import Rows, chance_of, draw_curve, draw_guessers

FILLED = 3
"""Sensors that are shown."""
ON_LINES = {"facecolor": "white", "edgecolor": "none", "pad": 0.5}
"""Behind numbers that may stand on a line."""


@styled
def plot_filled(example: Reconstruction, rows: Sequence[int], seconds: float) -> Figure:
    """Draw what the model puts in the place of hidden stretches beside what was there, around the middle one."""
    window, hidden_S = example.window, example.hidden_S
    length = min(len(hidden_S), round(seconds * window.sfreq_hz))
    middle = int(np.flatnonzero(hidden_S)[hidden_S.sum() // 2])
    start = int(np.clip(middle - length // 2, 0, len(hidden_S) - length))
    shown = slice(start, start + length)
    times_s = window.start_s + np.arange(start, start + length) / window.sfreq_hz
    agreement_C = example.agreement_C(example.expected_CS)
    figure = empty_figure(0.9 + 1.05 * len(rows))
    for axes, row in zip(figure.subplots(len(rows), 1, sharex=True, squeeze=False)[:, 0], rows, strict=True):
        inside = hidden_S[shown]
        axes.fill_between(times_s, 0, 1, where=inside, transform=axes.get_xaxis_transform(), color=FAINT, alpha=0.3,
                          linewidth=0, label="hidden from the model, on all sensors")  # fmt: skip
        axes.plot(times_s, example.true_CS[row, shown], color=INK, linewidth=0.9, label="what was there")
        filled_S = np.where(inside, example.expected_CS[row, shown], np.nan)
        axes.plot(times_s, filled_S, color=AMBER, linewidth=2.2, label="what the model fills in")
        axes.set_ylabel(window.array.names[row], rotation=0, ha="right", va="center")
        axes.text(1.01, 0.5, f"r = {agreement_C[row]:.2f}", transform=axes.transAxes, va="center")
        axes.set(yticks=[], xlim=(times_s[0], times_s[-1]))
        without_side(axes)
        axes.spines["bottom"].set_visible(row == rows[-1])
        axes.tick_params(axis="x", length=3 if row == rows[-1] else 0)
    axes.set_xlabel("time in the recording (s); signals in interquartile ranges")
    figure.legend(*axes.get_legend_handles_labels(), ncols=3, loc="outside upper left")
    return figure


@styled
def plot_learning(metrics: Rows, validation: Rows, baselines: Mapping[str, Any] | None) -> Figure:
    """Draw the loss of pre-training over steps, beside what guessers score."""
    figure = empty_figure(2.9)
    axes = figure.subplots()
    draw_curve(axes, metrics, "loss", color=FAINT, label="training")
    draw_curve(axes, validation, "loss", color=ACCENT, label="recordings it never saw", marked=True)
    draw_guessers(axes, baselines, "loss")
    chance = chance_of(baselines, "loss")
    if chance is not None:
        axes.axhline(chance, color=INK, linestyle=":", linewidth=1, label="knows nothing")
        losses = [row["loss"] for row in validation if "loss" in row]
        if losses:  # the first steps, worse than knowing nothing, would flatten all that follows
            axes.set_ylim(top=chance + 0.15 * max(0.02, chance - min(losses)))
    axes.set(xlabel="optimiser step", ylabel="loss (nats a code)")
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    figure.legend(*axes.get_legend_handles_labels(), ncols=1, loc="outside right center")
    return figure


@styled
def plot_accuracies(decoders: Mapping[str, Judged], by_snr: Mapping[float, Judged]) -> Figure:
    """Draw how many words each decoder finds, with intervals, and how that goes with the signal-to-noise ratio."""
    figure = empty_figure(3.2)
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    heights = -np.arange(len(decoders), dtype=float)
    for height, judged, (color, marker) in zip(
        heights, decoders.values(), zip((ACCENT, AMBER, INK), MARKERS, strict=False), strict=True
    ):
        scored = judged.scored
        left.errorbar(scored.value, height, xerr=_bars(judged), color=color, marker=marker, markersize=8, capsize=4,
                      elinewidth=2)  # fmt: skip
        left.annotate(f"{100 * scored.value:.0f} %", (scored.value, height), (0, 9), textcoords="offset points",
                      ha="center", bbox=ON_LINES)  # fmt: skip
    scored = next(iter(decoders.values())).scored
    left.axvline(scored.chance, color=INK, linestyle=DASHES[1], linewidth=1.2)
    left.annotate("chance", (scored.chance, 0.62), (4, 0), textcoords="offset points", va="center")
    left.set_yticks(heights, list(decoders))
    left.set(xlim=(0, 1.03), ylim=(heights[-1] - 0.5, 0.75), xlabel="words found", title="The three decoders")
    without_side(left)
    ordered = sorted(by_snr.items())
    for place, (_, judged) in enumerate(ordered):
        right.errorbar(place, judged.scored.value, yerr=_bars(judged), color=ACCENT, marker="o", markersize=8,
                       capsize=4, elinewidth=2)  # fmt: skip
        right.annotate(f"{100 * judged.scored.value:.0f} %", (place, judged.scored.value), (10, 9),
                       textcoords="offset points", va="center", bbox=ON_LINES)  # fmt: skip
    right.axhline(scored.chance, color=INK, linestyle=DASHES[1], linewidth=1.2)
    right.set_xticks(range(len(ordered)), [f"{snr:g}" for snr, _ in ordered])
    right.set(ylim=(0, 1.03), xlim=(-0.4, len(ordered) - 0.4), xlabel="signal-to-noise ratio (power)",
              ylabel="words found", title="How clear the answer is")  # fmt: skip
    right.yaxis.set_major_formatter(PercentFormatter(1.0, symbol=" %"))
    left.xaxis.set_major_formatter(PercentFormatter(1.0, symbol=" %"))
    return figure


def _bars(judged: Judged) -> np.ndarray | None:
    """Lengths of the interval to both sides; a bootstrap may leave out the value itself."""
    interval, value = judged.scored.interval, judged.scored.value
    return None if interval is None else np.array([[value - interval.low], [interval.high - value]]).clip(min=0)
