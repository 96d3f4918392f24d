"""What a person looks at first: the signal before and after preparation, and how the codes are used.

Every figure carries a line that says whose weights made the features. Letters: C sensors, T samples, Q levels, V codes.
"""

from typing import TYPE_CHECKING

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from megxl.extraction import Embedding
from megxl.reporting.style import ACCENT, INK, MUTED, WIDTH, dashes, level_colour, styled, titled_figure
from megxl.signals.normalization import BLOCK_S, scale_blocks
from megxl.signals.preparation import PreparedRecording

if TYPE_CHECKING:
    import mne

EXCERPT_S = 10.0
N_TRACES = 8

# by MNE's channel type, which goes by what was measured: axial gradiometers give tesla, so they are "mag"
_UNITS = {"grad": (1e13, "fT/cm"), "mag": (1e12, "pT"), "eeg": (1e6, "µV")}


@styled
def plot_raw(raw: "mne.io.BaseRaw", embedding: Embedding, seconds: float = EXCERPT_S) -> Figure:
    """Draw the first seconds of a few sensors as they were recorded, each around its mean."""
    names = _shown(embedding)
    n_samples = min(raw.n_times, round(seconds * raw.info["sfreq"]))
    signal_CT = np.asarray(raw.get_data(picks=np.array(names), start=0, stop=n_samples))
    signal_CT = signal_CT - signal_CT.mean(axis=1, keepdims=True)
    figure = new_figure(embedding, (WIDTH, 4))
    axes = figure.subplots()
    times_s = np.arange(n_samples) / raw.info["sfreq"]
    spacing = _draw_traces(axes, times_s, signal_CT, names, _types(raw, names))
    axes.set_title(f"As recorded, {raw.info['sfreq']:g} Hz ({spacing} between lines)")
    return figure


@styled
def plot_prepared(
    raw: "mne.io.BaseRaw", prepared: PreparedRecording, embedding: Embedding, seconds: float = EXCERPT_S
) -> Figure:
    """Draw the same sensors filtered and resampled, and as the tokenizer sees them: scaled in blocks of 3 s."""
    names = _shown(embedding)
    rows = [prepared.sensors.names.index(name) for name in names]
    sfreq_hz = prepared.sfreq_hz
    n_samples = min(prepared.signal_CT.shape[1], round(seconds * sfreq_hz))
    block = round(BLOCK_S * sfreq_hz)
    whole_blocks = -(-n_samples // block) * block
    signal_CT = prepared.signal_CT[rows, :whole_blocks]
    scaled_CT = scale_blocks(torch.from_numpy(signal_CT[None]), block)[0].numpy()
    times_s = np.arange(n_samples) / sfreq_hz
    figure = new_figure(embedding, (WIDTH, 7))
    upper, lower = figure.subplots(2, sharex=True)
    spacing = _draw_traces(upper, times_s, signal_CT[:, :n_samples], names, _types(raw, names))
    upper.set_title(f"Prepared: filtered, {sfreq_hz:g} Hz ({spacing} between lines)")
    upper.set_xlabel("")
    _draw_lines(lower, times_s, scaled_CT[:, :n_samples] / 6.0, names)
    for border_s in np.arange(BLOCK_S, times_s[-1], BLOCK_S):
        lower.axvline(border_s, color=ACCENT, linewidth=0.8, linestyle=":")
    lower.set_title(
        f"As the tokenizer sees it: centred, scaled, clipped in blocks of {BLOCK_S:g} s "
        "(6 interquartile ranges between lines)",
    )
    return figure


@styled
def plot_code_usage(embedding: Embedding) -> Figure:
    """Draw how often each code was drawn, most frequent first, and how many codes are in effective use, by level."""
    figure = new_figure(embedding, (WIDTH, 3.8))
    draw_code_usage(figure, embedding.code_usage)
    return figure


def draw_code_usage(figure: Figure, counts_QV: np.ndarray) -> None:
    """Fill a figure with how often each code of each level occurs, and how many are in effective use."""
    n_levels, n_codes = counts_QV.shape
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    for level, count_V in enumerate(counts_QV):
        share_V = np.sort(count_V)[::-1] / count_V.sum()
        left.plot(
            np.arange(1, n_codes + 1),
            np.where(share_V > 0, share_V, np.nan),
            color=level_colour(level, n_levels),
            linestyle=dashes(level),
            label=f"{level + 1}",
        )
    left.axhline(1 / n_codes, color=MUTED, linestyle="--", linewidth=1)
    left.set(yscale="log", xlabel="codes, most frequent first", ylabel="share of tokens", xlim=(1, n_codes))
    left.legend(title="level", ncols=2)
    left.set_title(f"Use of the {n_codes} codes (dashed: all alike)")
    perplexity_Q = code_perplexity(counts_QV)
    bars = right.bar(np.arange(1, n_levels + 1), perplexity_Q, color=ACCENT)
    right.bar_label(bars, fmt="%.0f")
    right.axhline(n_codes, color=MUTED, linestyle="--", linewidth=1)
    right.set(xlabel="level", ylabel="codes", ylim=(0, n_codes * 1.08), xticks=np.arange(1, n_levels + 1))
    right.set_title("Perplexity: codes in effective use")


def code_perplexity(code_usage_QV: np.ndarray) -> np.ndarray:
    """Exponential of the entropy of each level's code use, shape (Q,): 1 if one code does all, V if all are alike."""
    share_QV = code_usage_QV / code_usage_QV.sum(axis=1, keepdims=True)
    logs_QV = np.log(share_QV, where=share_QV > 0, out=np.zeros_like(share_QV))
    return np.exp(-(share_QV * logs_QV).sum(axis=1))


def new_figure(embedding: Embedding, size: tuple[float, float]) -> Figure:
    """Make an empty figure whose first line says whose weights made the features, in red if they mean nothing."""
    return titled_figure(size, weights_line(embedding), embedding.warning)


def weights_line(embedding: Embedding) -> str:
    """Name the weights: file and the beginning of its SHA-256."""
    named = {}
    for role in ("model", "tokenizer"):
        source = embedding.provenance[role]
        digest = f" (SHA-256 {source['sha256'][:12]})" if source.get("sha256") else ""
        named[role] = f"{source.get('file', source['weights'])}{digest}"
    if named["model"] == named["tokenizer"]:
        return f"model and tokenizer: {named['model']}"
    return f"model: {named['model']}, tokenizer: {named['tokenizer']}"


def _shown(embedding: Embedding) -> list[str]:
    """A few good sensors, spread evenly over the array, grouped by kind."""
    sensors = embedding.sensors
    good = [n for n in np.argsort(sensors.kinds_C, kind="stable") if not embedding.bad[n]]
    chosen = np.unique(np.linspace(0, len(good) - 1, min(N_TRACES, len(good))).round().astype(int))
    return [sensors.names[good[n]] for n in chosen]


def _types(raw: "mne.io.BaseRaw", names: list[str]) -> np.ndarray:
    return np.array(raw.get_channel_types(picks=np.array(names)))


def _draw_traces(axes: Axes, times_s: np.ndarray, signal_CT: np.ndarray, names: list[str], types: np.ndarray) -> str:
    """Draw signals in SI units, one scale a unit; return what the distance between lines is."""
    spaced_CT, spacings = np.zeros_like(signal_CT), []
    for kind in np.unique(types):
        rows = types == kind
        factor, unit = _UNITS[kind]
        spacing = 2.0 * float(np.quantile(np.abs(signal_CT[rows]), 0.995)) or 1.0
        spaced_CT[rows] = signal_CT[rows] / spacing
        spacings.append(f"{spacing * factor:.3g} {unit}")
    _draw_lines(axes, times_s, spaced_CT, names)
    return " or ".join(spacings)


def _draw_lines(axes: Axes, times_s: np.ndarray, spaced_CT: np.ndarray, names: list[str]) -> None:
    """Draw one line a sensor, the first at the top, a unit apart."""
    heights = -np.arange(len(names), dtype=float)
    axes.plot(times_s, (spaced_CT + heights[:, None]).T, color=INK, linewidth=0.6)
    axes.set_yticks(heights, names)
    axes.set(xlabel="time (s)", xlim=(times_s[0], times_s[-1]), ylim=(heights[-1] - 0.8, 0.8))
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
