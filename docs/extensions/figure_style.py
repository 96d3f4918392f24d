"""The style of the package's pages for the figures of the site, too."""

from typing import Any

import matplotlib as mpl
from cycler import cycler

from megxl.reporting.style import ACCENT, AMBER, FAINT, INK, PALETTE, SEQUENTIAL, TEXT, TITLE

BLUE, ORANGE, GREEN, PURPLE, RED, GREY = ACCENT, AMBER, *PALETTE[3:6], FAINT
"""C0 to C5 of the examples; the colour-blind can tell them apart."""

RC: dict[str, Any] = {
    "axes.prop_cycle": cycler(color=[BLUE, ORANGE, GREEN, PURPLE, RED, GREY]),
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
    "axes.titlesize": TITLE,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "figure.constrained_layout.use": True,
    "figure.facecolor": "white",
    "font.size": TEXT,
    "image.cmap": SEQUENTIAL,
    "legend.frameon": False,
    "savefig.bbox": "tight",
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
}


def apply(_configuration: dict[str, Any], _example: str) -> None:
    """Set the style before each example of the gallery."""
    mpl.rcParams.update(RC)
