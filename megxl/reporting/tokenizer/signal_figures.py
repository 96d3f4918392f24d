"""What a tokenizer keeps of held-out signals, drawn: excerpts of sensors from best to worst, and spectra by band.

Letters: S samples, F frequencies.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from megxl.reporting.style import ACCENT, AMBER, DASHES, FAINT, INK, SMALL, WIDTH, palette, styled, titled_figure
from megxl.reporting.tokenizer.curves import plain_decades
from megxl.reporting.tokenizer.rebuilt import Example

EXCERPT_S = 8.0
LOWEST_HZ = 0.5
"""From where spectra are drawn: stretches of 4 s cannot tell much of what lies below."""


@styled
def plot_examples(examples: Sequence[Example], line: str, warning: str | None = None) -> Figure:
    """Draw an excerpt of a few sensors, from the best rebuilt one to the worst."""
    figure = titled_figure((WIDTH, 1.1 + 1.25 * len(examples)), line, warning)
    every = figure.subplots(len(examples), 1, sharex=True, squeeze=False)[:, 0]
    for axes, example in zip(every, examples, strict=True):
        window, excerpt = example.window, excerpt_of(example)
        times_s = np.arange(excerpt.stop - excerpt.start) / window.sfreq_hz
        axes.plot(times_s, window.signal_NS[example.row, excerpt], color=FAINT, linewidth=2.6,
                  label="signal, as the tokenizer is given it")  # fmt: skip
        axes.plot(times_s, window.decoded_NS[example.row, excerpt], color=ACCENT, linewidth=1.1,
                  label="decoded from its codes")  # fmt: skip
        axes.set_ylabel(f"{example.rank}\nr = {example.r:.2f}", rotation=0, ha="right", va="center")
        begin_s = window.start_s + excerpt.start / window.sfreq_hz
        axes.set_title(f"{window.names[example.row]}, {window.key} from {begin_s:g} s", loc="right",
                       fontsize=SMALL, color=INK, pad=1)  # fmt: skip
        axes.set(yticks=[], xlim=(0, times_s[-1]))
        axes.spines["left"].set_visible(False)
        axes.spines["bottom"].set_visible(axes is every[-1])
        axes.tick_params(axis="x", length=3 if axes is every[-1] else 0)
    every[-1].set_xlabel("time in the excerpt (s); each sensor at a scale of its own (unit: interquartile range)")
    figure.legend(*every[0].get_legend_handles_labels(), ncols=2, loc="outside lower left")
    return figure


@styled
def plot_spectra(
    frequency_F: np.ndarray,
    density_3F: np.ndarray,
    bands: Mapping[str, tuple[float, float]],
    errors: Mapping[str, Mapping[str, float]],
    line: str,
    warning: str | None = None,
) -> Figure:
    """Draw spectra of signal, decoded signal and error, and how much of each band is lost.

    Parameters
    ----------
    frequency_F, density_3F : ndarray
        As `mean_spectra` gives them.
    bands : mapping
        Edges of each band in Hz.
    errors : mapping
        Power of the error over that of the signal in each band, in dB, by the name of the tokenizer; the first one is
        the run's own.
    line, warning : str
        What to say above the figure.
    """
    figure = titled_figure((WIDTH, 4.1), line, warning)
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    drawn_F = frequency_F >= LOWEST_HZ
    lines = (("signal", FAINT, 3.2, "-"), ("decoded", ACCENT, 1.4, "-"), ("error", AMBER, 1.4, DASHES[1]))
    for density_F, (label, color, width, dashes) in zip(density_3F, lines, strict=True):
        left.plot(frequency_F[drawn_F], density_F[drawn_F], color=color, linewidth=width, linestyle=dashes, label=label)
    left.set(xscale="log", yscale="log", xlabel="frequency (Hz)", ylabel="power density (IQR² / Hz)")
    if drawn_F.any():
        left.set_xlim(LOWEST_HZ, frequency_F[-1])
    plain_decades(left.xaxis)
    _mark_bands(left, bands)
    left.legend(loc="upper right")
    left.set_title("Spectrum", pad=16)
    names = [band for band in bands if any(band in told for told in errors.values())]
    height = 0.8 / max(1, len(errors))
    for number, (tokenizer, told) in enumerate(errors.items()):
        places = -np.arange(len(names)) + 0.4 - height * (number + 0.5)
        values = [told.get(band, np.nan) for band in names]
        bars = right.barh(places, values, height=0.9 * height, color=palette(number), label=tokenizer)
        if len(errors) <= 2:
            right.bar_label(bars, fmt="%.1f", padding=2)
    right.axvline(0, color=INK, linewidth=1)
    right.set_yticks(-np.arange(len(names)), names)
    right.set(xlabel="error over signal (dB)")
    right.margins(x=0.16)
    right.set_title("Lost by band: 0 dB all, -10 dB a tenth", pad=16)
    if len(errors) > 1:
        figure.legend(*right.get_legend_handles_labels(), ncols=4, loc="outside lower right")
    right.spines["left"].set_visible(False)
    right.tick_params(axis="y", length=0)
    return figure


def excerpt_of(example: Example) -> slice:
    """Samples in the middle of the window that are drawn: where nothing was chosen for what it looks like."""
    samples = example.window.signal_NS.shape[1]
    length = min(samples, round(EXCERPT_S * example.window.sfreq_hz))
    return slice((samples - length) // 2, (samples - length) // 2 + length)


def _mark_bands(axes: Axes, bands: Mapping[str, tuple[float, float]]) -> None:
    """Shade every other band and write its name above it."""
    low, high = axes.get_xlim()
    for number, (name, (begin, end)) in enumerate(bands.items()):
        begin, end = max(begin, low), min(end, high)
        if begin >= end:
            continue
        if number % 2:
            axes.axvspan(begin, end, color=FAINT, alpha=0.15, linewidth=0)
        axes.text(np.sqrt(begin * end), 1.015, name, transform=axes.get_xaxis_transform(), ha="center")
