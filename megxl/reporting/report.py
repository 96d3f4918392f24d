"""One HTML page about one embedding: notes, figures, settings; everything inside the file."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from megxl.errors import InputError
from megxl.extraction import Embedding
from megxl.placing import free_to_write
from megxl.reporting.figures import plot_code_usage, plot_prepared, plot_raw, weights_line
from megxl.reporting.html import facts_table, folded, list_html, warning_html
from megxl.reporting.maps import plot_energy
from megxl.reporting.page import new_page, save_page
from megxl.signals.preparation import PreparedRecording

if TYPE_CHECKING:
    import mne


def check_report(path: Path, *, overwrite: bool) -> None:
    """Raise an `InputError` if a report must not or cannot be written to `path`."""
    if path.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"{path.name}: a report is a web page; give it a name that ends in .html.")
    free_to_write(path, overwrite=overwrite)


def write_report(
    path: str | Path,
    embedding: Embedding,
    raw: "mne.io.BaseRaw",
    prepared: PreparedRecording,
    *,
    overwrite: bool = False,
) -> Path:
    """Write a page with what a person would look at.

    Parameters
    ----------
    path : str or Path
        The page, in .html; it appears there when it is complete.
    embedding : Embedding
        The features.
    raw : mne.io.BaseRaw
        The recording as it was opened.
    prepared : PreparedRecording
        What the features were made from.
    overwrite : bool
        Whether an older page of that name may be replaced.

    Raises
    ------
    InputError
        If the page cannot be put there.
    """
    path = Path(path)
    check_report(path, overwrite=overwrite)
    name = ", ".join(prepared.provenance["files"]) or "a recording in memory"
    report = new_page(f"MEG-XL features of {name}")
    report.add_html(summary_html(embedding), "Summary", tags=())
    for figure, title, caption in (
        (plot_raw(raw, embedding), "The signal as recorded", None),
        (plot_prepared(raw, prepared, embedding), "The prepared signal", None),
        (plot_energy(embedding), "Where the features are strong", _ENERGY_CAPTION),
        (plot_code_usage(embedding), "How the codes are used", _CODES_CAPTION),
    ):
        report.add_figure(figure, title, caption=caption, tags=())
    report.add_html(details_html(embedding), "Settings and provenance", tags=())
    return save_page(report, path)


_ENERGY_CAPTION = "Squared norm of each sensor's features, mean over tokens, seen from above, nose up."
_CODES_CAPTION = (
    "A healthy codec spreads its codes: few codes doing all the work mean flat, broken or unusually scaled signals."
)


def summary_html(embedding: Embedding) -> str:
    """What came out, in a small table, and what to know about it, the warning first and red."""
    warning = "" if embedding.warning is None else warning_html(embedding.warning)
    notes = [note for note in embedding.notes if note != embedding.warning]
    return f"{warning}{facts_table(_overview(embedding))}{list_html('Notes', notes)}"


def details_html(embedding: Embedding) -> str:
    """All settings and where everything came from."""
    parts = {"Settings": embedding.settings} | {
        role.capitalize(): entries for role, entries in embedding.provenance.items()
    }
    return folded(parts)


def _overview(embedding: Embedding) -> Iterable[tuple[str, Any]]:
    recording, settings = embedding.provenance["recording"], embedding.settings
    n_bad, last = int(embedding.bad.sum()), embedding.windows[-1]
    yield "recording", f"{recording['format']}, {recording['duration_s']:.1f} s at {recording['sfreq_hz']:g} Hz"
    yield "sensors", f"{len(embedding.sensors)}" + (f", {n_bad} of them bad and left out" if n_bad else "")
    yield (
        "tokens",
        f"{len(embedding.times_s)} a sensor, one every {settings['samples_per_token'] / settings['sfreq_hz']:g} s",
    )
    last_s = (last.stop - last.start) / settings["sfreq_hz"]
    yield (
        "windows",
        f"{len(embedding.windows)} of {settings['window_s']:g} s"
        + ("" if last.complete else f", the last one {last_s:g} s"),
    )
    yield (
        "features",
        f"{' x '.join(map(str, embedding.features.shape))}, layer {settings['layer']}, pooling: {settings['pooling']}",
    )
    yield "weights", weights_line(embedding)
