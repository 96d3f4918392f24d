"""The one look of all figures: colours, sizes, markers and dashes, maps of colours.

Colours that are used together differ for the colour-blind, and in grey; lines differ by marker or dashes, too.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from matplotlib import colormaps, rc_context
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

P = ParamSpec("P")
Drawn = TypeVar("Drawn", bound=Figure | None)
Dashes = tuple[float, tuple[float, ...]]

INK, ACCENT, FAINT, AMBER = "#1c2733", "#2a6f97", "#9fb1bf", "#c8813a"
MUTED = "#5b6b78"
"""For small text: `FAINT` is too light to be read."""
ALARM = "#b3261e"
"""For what nobody may overlook; words or crosses say the same."""
PALE = "#e3e9ee"

PALETTE = (ACCENT, AMBER, INK, "#62cfa0", "#511f84", "#92301b")
MARKERS = "osD^vP*X"
SOLID: Dashes = (0, ())
DASHES: tuple[Dashes, ...] = (SOLID, (0, (5, 2)), (0, (1.5, 1.5)), (0, (6, 2, 1.5, 2)))

SEQUENTIAL, SHARES, DIVERGING = "viridis", "Blues", "RdBu_r"
"""Maps of colours: even steps of lightness; white for none; blue and red around zero."""

WIDTH = 10.0
"""Inches of a figure on a page: with one width for all of them, one size of letters."""
TITLE, TEXT, SMALL = 11, 10, 9
"""Points in a figure of that width; a page of 850 pixels shows the smallest as 8 points."""
DPI = 150

_STYLE: dict[Any, Any] = {
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.labelsize": TEXT,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": TITLE,
    "font.size": SMALL,
    "legend.fontsize": SMALL,
    "legend.frameon": False,
    "legend.title_fontsize": SMALL,
    "text.color": INK,
}


def styled(draw: Callable[P, Drawn]) -> Callable[P, Drawn]:
    """Let a function that makes a figure make it in this style, without touching the settings of others."""

    @wraps(draw)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> Drawn:
        with rc_context(_STYLE):
            figure = draw(*args, **kwargs)
        # most ticks are made when the figure is rendered, where the style no longer holds
        for axes in figure.axes if figure is not None else ():
            axes.tick_params(which="both", labelsize=SMALL)
        return figure

    return drawn


def titled_figure(size: tuple[float, float], line: str, warning: str | None = None) -> Figure:
    """Make an empty figure under a small line, or under a warning in its stead; `size` in inches."""
    figure = Figure(figsize=size, dpi=DPI, facecolor="white", layout=ConstrainedLayoutEngine(h_pad=0.1, w_pad=0.08))
    if warning:
        figure.suptitle(warning, fontsize=SMALL, weight="bold", color="white", backgroundcolor=ALARM, wrap=True)
    else:
        figure.suptitle(line, fontsize=SMALL, color=MUTED, wrap=True)
    return figure


def palette(number: int) -> str:
    """Colour of the nth line of many; those that share one differ by `marker` or `dashes`."""
    return PALETTE[number % len(PALETTE)]


def marker(number: int) -> str:
    """Marker of the nth line of many."""
    return MARKERS[number % len(MARKERS)]


def dashes(number: int) -> Dashes:
    """Dashes of the nth line of many."""
    return DASHES[number % len(DASHES)]


def level_colour(level: int, levels: int) -> str:
    """Colour of a level: dark for the first one, lighter towards the last; they differ in grey, too."""
    return to_hex(colormaps[SEQUENTIAL](0.85 * level / max(1, levels - 1)))
