"""A page about the words of recordings: for each, what follows its words, where on the head, and against what chance.

Letters: C sensors, K lags.
"""

from collections.abc import Sequence
from html import escape
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from megxl.reporting.maps import SensorGroup, draw_topomap, project, sensor_groups
from megxl.reporting.page import new_page, save_page
from megxl.reporting.report import check_report
from megxl.reporting.style import ACCENT, ALARM, FAINT, INK, MUTED, WIDTH, styled, titled_figure
from megxl.reporting.word_locked import TOLERANCE_S, WordLocked
from megxl.reporting.words.signals import unit_of

COLOURS = {"aligned": ACCENT, "shifted": ALARM, "no response": ALARM, "cannot say": MUTED}
_EXPLANATION = (
    "Each picture is the mean of the signal around all words of a recording. If words and signal belong together and "
    "share a clock, something follows the words after 0.05 to 0.6 s that stands above chance (grey: the same words "
    "moved to other places of the same recording), and the scan has its peak near zero. A shift of less than "
    f"{TOLERANCE_S:g} s cannot be told from a response that comes early or late: look at the time of the peak."
)


def write_word_page(
    path: str | Path, results: Sequence[WordLocked], refused: Sequence[str] = (), *, overwrite: bool = False
) -> Path:
    """Write a page with a verdict and a figure for each recording.

    Parameters
    ----------
    path : str or Path
        The page, in .html.
    results : sequence of WordLocked
    refused : sequence of str
        Recordings that could not be averaged, and why.
    overwrite : bool

    Raises
    ------
    InputError
        If the page cannot be put there.
    """
    path = Path(path)
    check_report(path, overwrite=overwrite)
    report = new_page("What follows words")
    report.add_html(_summary(results, refused), "Summary", tags=())
    for result in results:
        report.add_figure(plot_word_locked(result), result.key, caption=escape(result.sentence), tags=())
    return save_page(report, path)


@styled
def plot_word_locked(result: WordLocked) -> Figure:
    """Draw the average of all sensors, its power against chance, the scan of shifts, and the peak on the head."""
    groups = sensor_groups(result.sensors)
    figure = titled_figure((WIDTH, 6.5), f"{result.key}: {result.sentence}")
    upper, lower = figure.add_gridspec(2, 1)
    curves, maps = upper.subgridspec(1, 3), lower.subgridspec(1, len(groups))
    for column, draw in enumerate((_draw_butterfly, _draw_power, _draw_scan)):
        draw(figure.add_subplot(curves[0, column]), result)
    for column, group in enumerate(groups):
        _draw_map(figure.add_subplot(maps[0, column]), result, group)
    return figure


def _draw_butterfly(axes: Axes, result: WordLocked) -> None:
    average_CK = result.average_CK[result.good_C]
    # sensors of different kinds have different units: each kind is drawn in parts of its own largest value
    kinds_C = result.sensors.kinds_C[result.good_C]
    for kind in np.unique(kinds_C):
        part_CK = average_CK[kinds_C == kind]
        part_CK = part_CK / (np.abs(part_CK).max() or 1.0)
        axes.plot(result.times_s, part_CK.T, color=INK, linewidth=0.3, alpha=0.5)
    axes.set(xlabel="time after word onset (s)", ylabel="signal / its largest", xlim=result.times_s[[0, -1]])
    axes.axvline(0, color=MUTED, linewidth=1)
    axes.set_title(f"Mean of {result.n_words} words, all sensors")


def _draw_power(axes: Axes, result: WordLocked) -> None:
    axes.axhspan(0, result.chance_high, color=FAINT, alpha=0.3, label="99 % of chance")
    axes.axhline(result.chance, color=MUTED, linewidth=1)
    axes.plot(result.times_s, result.gfp_K, color=ACCENT)
    axes.axvline(0, color=MUTED, linewidth=1)
    axes.axvline(result.peak_s, color=INK, linewidth=1, linestyle=":", label=f"peak at {result.peak_s:.2f} s")
    axes.set(xlabel="time after word onset (s)", ylabel="global field power (IQR)", xlim=result.times_s[[0, -1]])
    axes.set_ylim(0, 1.4 * float(result.gfp_K.max()))  # room for the legend
    axes.legend(loc="upper right")
    axes.set_title("Against the same words elsewhere")


def _draw_scan(axes: Axes, result: WordLocked) -> None:
    axes.axvspan(-TOLERANCE_S, TOLERANCE_S, color=FAINT, alpha=0.2)
    axes.axhline(1.0, color=MUTED, linewidth=1)
    axes.plot(result.delays_s, result.scan, color=ACCENT)
    axes.axvline(result.delay_s, color=COLOURS[result.verdict], linewidth=1, linestyle="--")
    axes.set(xlabel="all onsets moved by (s)", ylabel="response / chance", xlim=result.delays_s[[0, -1]])
    axes.set_title("With all words moved")


def _draw_map(axes: Axes, result: WordLocked, group: SensorGroup) -> None:
    value_C = result.average_CK[:, np.argmin(np.abs(result.times_s - result.peak_s))]
    good = [place[result.good_C[place]] for place in group.places]
    good = [place for place in good if place.size]
    axes.set_title(f"{group.title} at {result.peak_s:.2f} s", loc="center")
    if not good:
        axes.axis("off")
        return
    # the two sensors of a planar pair have no common sign
    pairs = any(place.size > 1 for place in good)
    value_N = np.array([np.sqrt(np.square(value_C[place]).mean()) if pairs else value_C[place[0]] for place in good])
    xy_C2 = project(result.sensors.positions_C3)
    xy_N2 = np.array([xy_C2[place].mean(axis=0) for place in good])
    factor, unit = unit_of(group.title, int(result.sensors.kinds_C[good[0][0]]))
    draw_topomap(axes, factor * value_N, xy_N2, label=f"mean ({unit})", signed=not pairs)


def _summary(results: Sequence[WordLocked], refused: Sequence[str]) -> str:
    lines = "".join(
        f'<tr><th scope="row">{escape(result.key)}</th>'
        f'<td style="color:{COLOURS[result.verdict]};font-weight:bold">{result.verdict}</td>'
        f"<td>{result.n_words}</td><td>{result.peak_s:.2f} s</td><td>{escape(result.sentence)}</td></tr>"
        for result in results
    )
    names = "".join(f"<th>{name}</th>" for name in ("recording", "verdict", "words", "peak", ""))
    listed = "".join(f"<li>{escape(sentence)}</li>" for sentence in refused)
    return (
        f'<p>{_EXPLANATION}</p><table class="table table-sm"><tr>{names}</tr>{lines}</table>'
        + (f"<h4>Not averaged</h4><ul>{listed}</ul>" if refused else "")
    )  # fmt: skip
