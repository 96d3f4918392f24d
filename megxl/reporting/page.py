"""A page: one file that needs no network, fits narrow windows and paper, and appears when it is complete."""

from pathlib import Path
from typing import TYPE_CHECKING

from megxl.placing import placed
from megxl.reporting.style import DPI, WIDTH

if TYPE_CHECKING:
    import mne

_CSS = """
#filter-by-tags-dropdown-menu { display: none; }
.accordion-body { overflow-x: auto; }
.figure { display: block; width: 100%; }
.figure-img { width: 100%; }
.figure-caption { max-width: 60em; margin: .3em auto 0; }
details > summary { cursor: pointer; font-size: 1.25rem; margin: .3em 0; }
@media (max-width: 900px) {
  #toc { display: none; }
  #content { width: 100%; margin-left: 0; padding: 0 .5rem; }
  .figure { overflow-x: auto; }
  .figure-img { width: 850px; max-width: none; }
  .table th, .table td { white-space: normal !important; overflow-wrap: break-word; }
}
@media print {
  #toc, footer { display: none; }
  #top-bar { position: static; }
  #content { width: 100%; margin: 0; }
  .figure { break-inside: avoid; }
}
"""


def new_page(title: str) -> "mne.Report":
    """Open an empty page; `title` is text."""
    import mne

    # figures keep their own resolution; MNE would draw them at half of it
    page = mne.Report(
        title=title, image_format="webp", img_max_width=round(2 * WIDTH * DPI), img_max_res=DPI, verbose="ERROR"
    )
    page.add_custom_css(_CSS)
    return page


def save_page(page: "mne.Report", path: Path) -> Path:
    """Put a page where it belongs, in one step; an older one is replaced."""
    with placed(path, folder=False) as part:
        page.save(part, open_browser=False, verbose="ERROR")
    return path
