"""What the pictures of the page share: their width, and axes without a side."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from megxl.reporting.style import DPI, WIDTH


def empty_figure(height_in: float) -> Figure:
    """Make a figure as wide as all others."""
    return Figure(figsize=(WIDTH, height_in), dpi=DPI, facecolor="white", layout="constrained")


def without_side(axes: Axes) -> None:
    """Take the left side of axes away."""
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
