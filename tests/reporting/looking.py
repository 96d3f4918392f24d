"""What nobody should have to look for in a page: axes without units, letters cut or too small, calls to a network."""

import re
from collections.abc import Iterator

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

SMALLEST_PT = 8.0
PAGE_PX = 850
"""Of a figure in a window of some 1,050 pixels."""
UNITS = re.compile(r"\((s|m|Hz|dB|%|fT|pT|µV|fT/cm|nats a code|IQR|IQR² / Hz|bits|times)[;)]|/ √Hz|/ s$| / |\(unit")
UNITLESS = re.compile(
    r"^(level|layer|optimiser step|levels decoded, from the first|Pearson r|variance explained|loss|learning rate"
    r"|gradient norm|codes?|codes, most frequent first|codes in effective use|sensors|share .*|nats a code .*"
    r"|r, or share .*|squared norm of features|\|gradient x feature\||attention weight|decoded: the best candidate"
    r"|hours of .*|time in .*\(s\).*)$"
)
"""Axes that count or compare, by name."""


def faults(figure: Figure) -> list[str]:
    """What is wrong with a figure."""
    FigureCanvasAgg(figure).draw()
    return [*_without_units(figure), *_cut(figure), *_small(figure)]


def network_references(page: str) -> list[str]:
    """What a page would load from elsewhere; links in the text, which are followed by a click, are none."""
    own = re.sub(r"data:[\w/+.-]+;base64,[A-Za-z0-9+/=\s]+", "data:", page)
    loading = re.findall(r"""(?:<(?:script|img|iframe|link|source|video|audio|object|embed)\b[^>]*?\b"""
                         r"""(?:src|href|data)\s*=\s*["']?|url\(\s*["']?|@import\s+(?:url\()?["']?)([^"'\s)>]+)""",
                         own, re.IGNORECASE)  # fmt: skip
    return [address for address in loading if re.match(r"(?:https?:)?//", address)]


def _without_units(figure: Figure) -> Iterator[str]:
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            if not (axes.axison and axis.get_visible() and _numbers(axes, axis.axis_name)):
                continue
            label = axis.get_label_text().replace("\n", " ")
            if "%" in "".join(tick.get_text() for tick in axis.get_ticklabels()) and label:
                continue
            if not (UNITS.search(label) or UNITLESS.match(label)):
                yield f"{axis.axis_name} axis of {axes.get_title(loc='left')!r}: {label!r} has no unit"


def _numbers(axes: Axes, name: str) -> bool:
    """Whether an axis has numbers beside it; those that it shares with the axes below it stand there."""
    axis = getattr(axes, f"{name}axis")
    spec = axes.get_subplotspec()
    if name == "x" and spec is not None and not spec.is_last_row() and not axis.get_tick_params()["labelbottom"]:
        return False
    told = [label.get_text().replace("\N{MINUS SIGN}", "-") for label in axis.get_ticklabels() if label.get_visible()]
    return any(re.match(r"^-?[\d.,]+%?$|^\$", text) for text in told)


def _letters(figure: Figure) -> list[Text]:
    """All text that is drawn: an axis also keeps labels of ticks outside of its view, which are not."""
    hidden = {text for axes in figure.axes for text in _not_drawn(axes)}
    every = (text for text in figure.findobj(Text) if isinstance(text, Text))
    return [text for text in every if text.get_visible() and text.get_text().strip() and text not in hidden]


def _not_drawn(axes: Axes) -> Iterator[Text]:
    box = axes.get_window_extent()
    for number, (axis, low, high) in enumerate(((axes.xaxis, box.x0, box.x1), (axes.yaxis, box.y0, box.y1))):
        if not (axes.axison and axis.get_visible()):
            yield from (text for text in axis.findobj(Text) if isinstance(text, Text))
            continue
        for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks()):
            for label in (tick.label1, tick.label2):
                if not low - 1 <= label.get_transform().transform(label.get_position())[number] <= high + 1:
                    yield label


def _cut(figure: Figure) -> Iterator[str]:
    width, height = figure.canvas.get_width_height()
    for text in _letters(figure):
        box = text.get_window_extent()
        if box.x0 < -1 or box.y0 < -1 or box.x1 > width + 1 or box.y1 > height + 1:
            yield f"{text.get_text()!r} is cut"


def _small(figure: Figure) -> Iterator[str]:
    pixels_per_inch = PAGE_PX / figure.get_figwidth()
    for text in _letters(figure):
        shown_pt = float(text.get_fontsize()) * pixels_per_inch / 96
        if shown_pt < SMALLEST_PT - 0.05:
            yield f"{text.get_text()!r} has {shown_pt:.1f} points in the page"
