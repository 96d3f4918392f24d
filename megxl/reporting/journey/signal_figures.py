"""Pictures of the signal, of the mean answer to words, and of codes and what they keep.

Letters: C sensors, S samples, T tokens, N places on the head.
"""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from megxl.reporting.journey.canvas import empty_figure, without_side
from megxl.reporting.journey.excerpt import Excerpt
from megxl.reporting.maps import draw_topomap, project, sensor_groups
from megxl.reporting.style import ACCENT, AMBER, DASHES, FAINT, INK, SEQUENTIAL, styled
from megxl.reporting.word_locked import WordLocked
from megxl.reporting.words.signals import unit_of

TRACES, DECODED = 8, 3
"""Sensors that are shown of the signal, and of what codes keep."""
LETTER_S = 0.12
"""Seconds that a letter of a word takes above the signal; a word that would cover its neighbour goes a line higher."""
HIGHEST_WORD = 1.7
"""Where the upper line of words stands, in distances between sensors above the first one."""


@styled
def plot_signal(excerpt: Excerpt) -> Figure:
    """Draw a few sensors as they were prepared, with the words at their onsets."""
    rows = excerpt.spread(TRACES)
    signal_CS = excerpt.signal_CS[rows] - np.median(excerpt.signal_CS[rows], axis=1, keepdims=True)
    kinds_C = excerpt.array.kinds_C[excerpt.good[rows]]
    spacing_C, spacings = np.ones(len(rows)), []
    for group in sensor_groups(excerpt.array):
        of_kind = kinds_C == excerpt.array.kinds_C[group.places[0][0]]
        if of_kind.any():
            spacing = 1.6 * float(np.quantile(np.abs(signal_CS[of_kind]), 0.99)) or 1.0
            spacing_C[of_kind] = spacing
            factor, unit = unit_of(group.title, int(kinds_C[of_kind][0]))
            spacings.append(f"{float(f'{spacing * factor:.2g}'):,g} {unit}")
    figure = empty_figure(4.4)
    axes = figure.subplots()
    heights_C = -np.arange(len(rows), dtype=float)
    axes.plot(excerpt.times_s, (signal_CS / spacing_C[:, None] + heights_C[:, None]).T, color=INK, linewidth=0.7)
    axes.set_yticks(heights_C, [excerpt.array.names[row] for row in excerpt.good[rows]])
    axes.set(xlim=(excerpt.times_s[0], excerpt.times_s[-1]), ylim=(heights_C[-1] - 0.9, HIGHEST_WORD + 0.5))
    axes.set_xlabel(f"time in the recording (s); from one sensor to the next: {', '.join(spacings)}")
    without_side(axes)
    _draw_words(axes, excerpt)
    return figure


@styled
def plot_response(average: WordLocked) -> Figure:
    """Draw how strong the mean after a word's onset is, and where on the head at its peak."""
    figure = empty_figure(3.3)
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    left.axhspan(0, average.chance_high, color=FAINT, alpha=0.35, linewidth=0)
    left.plot(average.times_s, average.gfp_K, color=ACCENT, linewidth=1.8)
    left.axvline(0, color=INK, linewidth=0.8)
    left.axvline(average.peak_s, color=AMBER, linestyle=DASHES[1])
    left.annotate(f"peak: {1000 * average.peak_s:.0f} ms", (average.peak_s, 0.96), (5, 0), va="top",
                  xycoords=("data", "axes fraction"), textcoords="offset points")  # fmt: skip
    left.set(xlabel="time after the onset of a word (s)", ylabel="strength (interquartile ranges)", ylim=(0, None))
    left.set_xlim(average.times_s[0], average.times_s[-1])
    left.set_title(f"Mean over {average.n_words:,} words, {average.good_C.sum()} sensors")
    group = sensor_groups(average.sensors)[0]
    places = [kept for place in group.places if (kept := place[average.good_C[place]]).size]
    factor, unit = unit_of(group.title, int(average.sensors.kinds_C[group.places[0][0]]))
    peak_C = average.average_CK[:, np.argmin(np.abs(average.times_s - average.peak_s))] * factor
    signed = all(place.size == 1 for place in places)
    # the two sensors of a pair have no common sign
    value_N = np.array([peak_C[place[0]] if signed else np.sqrt(np.mean(peak_C[place] ** 2)) for place in places])
    xy_C2 = project(average.sensors.positions_C3)
    draw_topomap(right, value_N, np.array([xy_C2[place].mean(0) for place in places]), label=unit, signed=signed)
    right.set_title(f"{group.title}, {1000 * average.peak_s:.0f} ms", loc="center")
    return figure


@styled
def plot_codes(excerpt: Excerpt) -> Figure:
    """Draw the codes of level 1 of all sensors, and for a few what all levels keep of the signal, with r."""
    rows, r_C = excerpt.spread(DECODED), excerpt.r_C
    figure = empty_figure(5.2)
    every = figure.subplots(1 + len(rows), 1, sharex=True, height_ratios=(2.4, *[1] * len(rows)))
    token_s = excerpt.samples_per_token / excerpt.sfreq_hz
    end_s = excerpt.start_s + token_s * excerpt.ranks_CT.shape[1]
    image = every[0].imshow(
        excerpt.ranks_CT, aspect="auto", interpolation="nearest", cmap=SEQUENTIAL, vmin=0, vmax=excerpt.codes - 1,
        extent=(excerpt.start_s, end_s, len(excerpt.ranks_CT), 0),
    )  # fmt: skip
    every[0].set(
        ylabel="sensors", title=f"Codes of level 1: a colour is one of {excerpt.codes} codes, {token_s:g} s each"
    )
    every[0].yaxis.set_major_locator(MaxNLocator(4, integer=True))
    # inset, so that it takes no width from the signals below
    figure.colorbar(image, cax=every[0].inset_axes((1.012, 0.0, 0.015, 1.0)), label="code, sorted by likeness")
    for axes, row in zip(every[1:], rows, strict=True):
        axes.plot(excerpt.times_s, excerpt.scaled_CS[row], color=FAINT, linewidth=2.6, label="signal, scaled")
        axes.plot(excerpt.times_s, excerpt.decoded_CS[row], color=ACCENT, linewidth=1.2, label="decoded from its codes")
        axes.set_ylabel(excerpt.array.names[excerpt.good[row]], rotation=0, ha="right", va="center")
        axes.text(1.01, 0.5, f"r = {r_C[row]:.2f}", transform=axes.transAxes, va="center")
        axes.set_yticks([])
        without_side(axes)
        axes.tick_params(axis="x", length=0)
        axes.spines["bottom"].set_visible(False)
    every[1].legend(ncols=2, loc="lower left", bbox_to_anchor=(0, 0.98), borderaxespad=0, borderpad=0.1)
    every[-1].spines["bottom"].set_visible(True)
    every[-1].tick_params(axis="x", length=3)
    every[-1].set(xlabel="time in the recording (s); signals in interquartile ranges",
                  xlim=(excerpt.times_s[0], excerpt.times_s[-1]))  # fmt: skip
    return figure


def _draw_words(axes: Axes, excerpt: Excerpt) -> None:
    """Write words above the signal, and a line down from each at its onset."""
    free_s = [-np.inf, -np.inf]
    for word in excerpt.words:
        onset_s, text = word["onset_s"], str(word["text"])
        line = 0 if free_s[0] <= onset_s or free_s[0] <= free_s[1] else 1
        free_s[line] = onset_s + LETTER_S * (len(text) + 1)
        height = HIGHEST_WORD - 0.55 * (1 - line)
        axes.vlines(onset_s, axes.get_ylim()[0], height + 0.35, color=ACCENT, linewidth=0.8, alpha=0.6)
        axes.annotate(text, (onset_s, height), (2, 0), textcoords="offset points", color=ACCENT, va="bottom",
                      weight="bold")  # fmt: skip
