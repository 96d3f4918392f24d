"""The data-efficiency curve: how well words are named against hours of training, a line a method."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter, PercentFormatter

from megxl.errors import InputError
from megxl.placing import placed
from megxl.reporting.style import INK, dashes, marker, palette, styled, titled_figure
from megxl.training.words.efficiency import Curve, make_curves
from megxl.training.words.finished import Row, read_rows, write_rows

FORMATS = (".png", ".pdf", ".svg")
"""That a figure can be drawn in."""


@dataclass(frozen=True, kw_only=True)
class Efficiency:
    """What was drawn."""

    rows: tuple[Row, ...]
    curves: tuple[Curve, ...]
    notes: tuple[str, ...]
    figure: Path
    table: Path


def write_efficiency(folders: Sequence[str | Path], out: str | Path) -> Efficiency:
    """Draw the finished runs of sweeps, and put them into a CSV file beside the figure.

    Parameters
    ----------
    folders : sequence of path
        Runs, or folders of runs.
    out : path
        The figure; its ending says which format (.png, .pdf, .svg).

    Raises
    ------
    InputError
        Another ending; what `megxl.training.words.finished.read_rows` refuses.
    """
    out = Path(out)
    if out.suffix not in FORMATS:
        raise InputError(
            f"{out}: a figure is drawn into a file that ends in one of these; allowed: {', '.join(FORMATS)}."
        )
    rows, notes = read_rows(folders)
    curves = make_curves(rows)
    figure = plot_efficiency(curves, rows[0].metric, rows[0].chance, rows[0].task)
    with placed(out, folder=False) as part:
        figure.savefig(part, format=out.suffix.removeprefix("."), dpi=200)
    table = out.with_suffix(".csv")
    write_rows(rows, table)
    return Efficiency(rows=tuple(rows), curves=tuple(curves), notes=tuple(notes), figure=out, table=table)


@styled
def plot_efficiency(curves: Sequence[Curve], metric: str, chance: float, line: str) -> Figure:
    """Draw results against the logarithm of hours, with intervals and chance.

    Parameters
    ----------
    curves : sequence of Curve
    metric : str
        Of all of them.
    chance : float
    line : str
        Above the figure: corpus and protocol.
    """
    figure = titled_figure((6.8, 4.4), f"{line}; {_bars(curves)}")
    axes = figure.subplots()
    for number, curve in enumerate(curves):
        hours = [point.hours for point in curve.points]
        means = [point.mean for point in curve.points]
        bounds = [[p.mean - p.low for p in curve.points], [p.high - p.mean for p in curve.points]]
        axes.errorbar(
            hours,
            means,
            yerr=bounds,
            color=palette(number),
            marker=marker(number),
            linestyle=dashes(number),
            linewidth=1.6,
            markersize=5,
            capsize=2.5,
            elinewidth=1,
            label=curve.method,
        )
    axes.axhline(chance, color=INK, linestyle="--", linewidth=1, label=f"chance ({chance:.0%})")
    axes.set(xscale="log", xlabel="hours of training recordings", ylabel=metric.replace("_", " "))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda hours, _: f"{hours:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.legend()
    return figure


def _bars(curves: Sequence[Curve]) -> str:
    """Say what the bars are."""
    seeds = {len(point.results) for curve in curves for point in curve.points}
    if seeds == {1}:
        return "bars: 95 % over groups of the test part, one seed"
    several = f"{min(seeds - {1})} to {max(seeds)}" if len(seeds - {1}) > 1 else f"{max(seeds)}"
    single = ", over groups where there is one" if 1 in seeds else ""
    return f"bars: 95 % of the mean over {several} seeds (Student's t){single}"
