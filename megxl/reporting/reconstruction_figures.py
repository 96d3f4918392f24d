"""What a model fills in at hidden places, drawn: codes, the signal that they stand for, where on the head it is right.

Letters: C sensors, T tokens, S samples, Q levels, V codes, D width of the codec's vectors.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from megxl.reporting.examination import Examination, SensorHits
from megxl.reporting.figures import code_perplexity
from megxl.reporting.maps import draw_group, project, sensor_groups
from megxl.reporting.reconstruction import Reconstruction
from megxl.reporting.style import ACCENT, AMBER, FAINT, INK, PALE, SEQUENTIAL, WIDTH, styled, titled_figure
from megxl.reporting.training_figures import draw_guessers

EXCERPT_S = 18.0
N_EXAMPLES = 5
FEWEST_SHARE = 0.01
"""Distances that fewer of the hidden tokens have are not drawn."""


@styled
def plot_signal(example: Reconstruction, line: str, warning: str | None = None) -> Figure:
    """Draw an excerpt of a few sensors: the signal, its codes decoded, and the hidden stretches as predicted."""
    window, hidden_S = example.window, example.hidden_S
    start, stop = _excerpt(hidden_S, round(EXCERPT_S * window.sfreq_hz))
    times_s = window.start_s + np.arange(start, stop) / window.sfreq_hz
    inside_S = hidden_S[start:stop]
    rows = example_sensors(window.good_C, window.array.kinds_C)
    agreement_C, guessed_C = (example.agreement_C(of_CS) for of_CS in (example.expected_CS, example.guessed_CS))
    figure = titled_figure((WIDTH, 1.2 + 1.35 * len(rows)), line, warning)
    lines = (
        (
            window.signal_CS.numpy(),
            {"color": FAINT, "linewidth": 2.2, "label": "signal, scaled in blocks of 3 s"},
            False,
        ),
        (example.true_CS, {"color": INK, "linewidth": 0.8, "label": "its true codes, decoded"}, False),
        (example.likeliest_CS, {"color": AMBER, "linewidth": 1.0, "label": "predicted: likeliest codes"}, True),
        (example.expected_CS, {"color": ACCENT, "linewidth": 1.7, "label": "predicted: expected codes"}, True),
    )
    every = figure.subplots(len(rows), 1, sharex=True, squeeze=False)[:, 0]
    for axes, row in zip(every, rows, strict=True):
        _shade(axes, times_s, inside_S, 1 / window.sfreq_hz)
        for signal_CS, style, hidden_only in lines:
            excerpt_S = signal_CS[row, start:stop]
            axes.plot(times_s, np.where(inside_S, excerpt_S, np.nan) if hidden_only else excerpt_S, **style)
        axes.set_ylabel(window.array.names[row], rotation=0, ha="right", va="center")
        axes.text(1.005, 0.65, f"r = {agreement_C[row]:.2f}", transform=axes.transAxes, color=ACCENT)
        axes.text(1.005, 0.3, f"guesser {guessed_C[row]:.2f}", transform=axes.transAxes, color=INK)
        axes.set(yticks=[], xlim=(times_s[0], times_s[-1]))
        axes.spines["left"].set_visible(False)
        axes.spines["bottom"].set_visible(axes is every[-1])
        axes.tick_params(axis="x", length=3 if axes is every[-1] else 0)
    every[-1].set_xlabel(f"time in {window.key} (s); shaded: hidden from the model")
    figure.legend(*every[0].get_legend_handles_labels(), ncols=4, loc="outside lower center")
    return figure


@styled
def plot_codes(example: Reconstruction, rank_V: np.ndarray, line: str, warning: str | None = None) -> Figure:
    """Draw the first level's codes of all good sensors: the true ones, those predicted, and which of them are right.

    Parameters
    ----------
    example : Reconstruction
    rank_V : array, shape (V,)
        Colour of each code (`code_ranks`).
    line, warning : str
        What to say above the figure.
    """
    window, good = example.window, np.flatnonzero(example.window.good_C)
    good = good[np.argsort(window.array.kinds_C[good], kind="stable")]
    true_CT, predicted_CT = window.codes_CTQ[good, :, 0].numpy(), example.codes_CTQ[good, :, 0]
    visible_CT = np.broadcast_to(~window.hidden_T.numpy(), true_CT.shape)
    token_s = window.samples_per_token / window.sfreq_hz
    extent = (window.start_s, window.start_s + true_CT.shape[1] * token_s, len(good), 0)
    panels = (
        ("True codes of level 1", rank_V[true_CT], SEQUENTIAL),
        ("Likeliest codes at the hidden places", np.ma.array(rank_V[predicted_CT], mask=visible_CT), SEQUENTIAL),
        ("Which of them are right", np.ma.array(true_CT == predicted_CT, mask=visible_CT),
         ListedColormap([PALE, ACCENT])),
    )  # fmt: skip
    figure = titled_figure((WIDTH, 6.6), line, warning)
    every = figure.subplots(3, 1, sharex=True)
    for axes, (title, image_CT, colours) in zip(every, panels, strict=True):
        limits = {"vmin": 0, "vmax": 1 if isinstance(colours, ListedColormap) else len(rank_V) - 1}
        axes.imshow(image_CT, aspect="auto", interpolation="nearest", extent=extent, cmap=colours, **limits)
        for begin, end in _stretches(window.hidden_T.numpy()):
            axes.vlines(window.start_s + np.array([begin, end]) * token_s, 0, len(good), color="white", linewidth=1.2)
        axes.set_title(title)
        axes.set_ylabel("sensors")
        axes.yaxis.set_major_locator(MaxNLocator(3, integer=True))
    every[-1].set_xlabel(f"time in {window.key} (s)")
    return figure


@styled
def plot_sensor_accuracy(hits: SensorHits, line: str, warning: str | None = None) -> Figure:
    """Draw on the head how often each sensor's codes are predicted right."""
    groups = sensor_groups(hits.array)
    figure = titled_figure((max(WIDTH, 4.4 * len(groups)), 4.3), line, warning)
    xy_C2, good_C = project(hits.array.positions_C3), hits.tokens_C > 0
    for axes, group in zip(figure.subplots(1, len(groups), squeeze=False)[0], groups, strict=True):
        draw_group(axes, group, 100 * hits.accuracy_C, good_C, xy_C2, label="codes predicted right (%)")
    return figure


@styled
def plot_depth_and_variety(
    examination: Examination,
    token_s: float,
    baselines: Mapping[str, Any] | None,
    line: str,
    warning: str | None = None,
) -> Figure:
    """Draw accuracy against the time to the nearest visible token, and codes in use, true and predicted."""
    figure = titled_figure((WIDTH, 4.1), line, warning)
    left, right = figure.subplots(1, 2)
    # distances that hardly occur would be noise
    there = np.flatnonzero(examination.near_tokens_N > FEWEST_SHARE * examination.near_tokens_N.sum())
    share_NQ = examination.near_hits_NQ[there] / examination.near_tokens_N[there, None]
    left.plot(there * token_s, share_NQ.mean(axis=1), color=ACCENT, linewidth=2, marker="o", markersize=4,
              label="all levels")  # fmt: skip
    left.plot(there * token_s, share_NQ[:, 0], color=INK, linewidth=0.9, marker=".", label="level 1")
    draw_guessers(left, baselines, "accuracy")
    left.set(xlabel="time to the nearest visible token (s)", ylabel="codes predicted right")
    left.yaxis.set_major_formatter(PercentFormatter(1.0))
    left.set_ylim(bottom=0)
    left.set_title("How far into a hidden stretch")
    levels = np.arange(len(examination.true_QV)) + 1
    for offset, counts_QV, colour, label in ((-0.2, examination.true_QV, FAINT, "true codes"),
                                             (0.2, examination.predicted_QV, ACCENT, "likeliest codes")):  # fmt: skip
        bars = right.bar(levels + offset, code_perplexity(counts_QV), width=0.38, color=colour, label=label)
        right.bar_label(bars, fmt="%.0f")
    right.set(xlabel="level", xticks=levels, ylabel="codes in effective use")
    right.axhline(examination.true_QV.shape[1], color=INK, linestyle=":", linewidth=1, label="all codes alike")
    right.set_title("Variety of codes at the hidden places")
    legend = {"ncols": 3}
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower left", **legend)
    figure.legend(*right.get_legend_handles_labels(), loc="outside lower right", **legend)
    return figure


def code_ranks(vectors_VD: np.ndarray) -> np.ndarray:
    """Order codes along the direction in which their vectors differ most, so that like codes get like numbers."""
    centred_VD = vectors_VD - vectors_VD.mean(axis=0)
    along_V = centred_VD @ np.linalg.svd(centred_VD, full_matrices=False)[2][0]
    return np.argsort(np.argsort(along_V, kind="stable"), kind="stable")


def example_sensors(good_C: np.ndarray, kinds_C: np.ndarray, most: int = N_EXAMPLES) -> np.ndarray:
    """Rows of a few good sensors, spread evenly over the array whatever was predicted for them, grouped by kind."""
    good = [row for row in np.argsort(kinds_C, kind="stable") if good_C[row]]
    return np.array(good)[np.unique(np.linspace(0, len(good) - 1, min(most, len(good))).round().astype(int))]


def _excerpt(hidden_S: np.ndarray, length: int) -> tuple[int, int]:
    """Samples around the middle one of the hidden stretches."""
    stretches = _stretches(hidden_S)
    begin, end = stretches[len(stretches) // 2]
    length = min(length, len(hidden_S))
    start = int(np.clip((begin + end - length) // 2, 0, len(hidden_S) - length))
    return start, start + length


def _stretches(hidden_T: np.ndarray) -> np.ndarray:
    """First place of each hidden stretch and the place after its last, shape (N, 2)."""
    return np.flatnonzero(np.diff(np.concatenate([[0], hidden_T.astype(int), [0]]))).reshape(-1, 2)


def _shade(axes: Axes, times_s: np.ndarray, inside_S: np.ndarray, sample_s: float) -> None:
    for begin, end in _stretches(inside_S):
        left_s, right_s = float(times_s[begin]), float(times_s[end - 1]) + sample_s
        axes.axvspan(left_s, right_s, color=FAINT, alpha=0.22, linewidth=0)
