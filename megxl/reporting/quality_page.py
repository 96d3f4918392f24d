"""What is stored, as a page to look through before training: a table, and a small picture of each recording.

Letters: C sensors, T samples, F frequencies.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from textwrap import shorten
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from megxl.data.preparing.findings import KIND_NAMES, array_name, findings, other_notes, said, suspects
from megxl.data.preparing.summary import counted, hours, left_over_s, listed, take_stock
from megxl.errors import InputError
from megxl.placing import free_to_write, placed
from megxl.reporting.html import facts_table
from megxl.reporting.maps import project
from megxl.reporting.page import new_page, save_page
from megxl.reporting.style import ACCENT, ALARM, INK, MUTED, WIDTH, styled, titled_figure
from megxl.signals.coils import ELECTRODE, GRADIOMETER, MAGNETOMETER
from megxl.store.entry import StoredRecording

PICTURES = 300
"""How many recordings are drawn unless told otherwise: 0.14 MB each."""
EXCERPT_S = 10.0
SPECTRUM_S = 60.0
N_TRACES, N_SUSPECTS, N_NAMED = 6, 3, 8
BESIDE = 0.7
"""Of the head's radius: sensors nearer to one that has its name beside it have none."""
_COLOURS = {GRADIOMETER: ACCENT, MAGNETOMETER: INK, ELECTRODE: INK}


def write_quality_page(
    path: str | Path,
    recordings: Sequence[StoredRecording],
    *,
    rows: Iterable[tuple[str, str]] = (),
    pictures: int = PICTURES,
    outdated: Mapping[str, str] | None = None,
    overwrite: bool = False,
    advance: Callable[[int], None] | None = None,
) -> Path:
    """Write a page about stored recordings, and the same facts as JSON beside it.

    Parameters
    ----------
    path : str or Path
        The page, in .html; the JSON has the same name, in .json.
    recordings : sequence of StoredRecording
        What to show; nothing but the store is read.
    rows : iterable of (str, str)
        What else to say at the top, such as how the preparation went.
    pictures : int
        How many recordings to draw; those with most to look at come first. The page says how many are left out.
    outdated : mapping, optional
        Recordings that are no longer as they should be, and why; they are marked, and left out of the sums.
    overwrite : bool
        Whether an older page may be replaced.
    advance : callable, optional
        Called with 1 after each picture.

    Raises
    ------
    InputError
        No recordings, or a page that cannot be put there.
    """
    path = Path(path)
    check_quality_page(path, overwrite=overwrite)
    if not recordings:
        raise InputError("There is no stored recording to make a page of.")
    outdated = outdated or {}
    holdings = take_stock(recording for recording in recordings if recording.key not in outdated)
    report = new_page("Quality of stored recordings")
    drawn = _worth_a_look(recordings)[: max(0, pictures)]
    rows = [*rows, *holdings.rows()]
    if len(drawn) < len(recordings):
        rows.append(("pictures", f"{len(drawn)} of {len(recordings)} recordings, those with most to look at"))
    report.add_html(facts_table(rows), "Summary", tags=())
    report.add_html(_recordings_html(recordings, outdated), "All recordings", tags=())
    for recording in drawn:
        try:
            figure = plot_recording(recording)
        except InputError as error:  # damaged: said in its place, the others are still worth a look
            report.add_html(f'<p style="color:{ALARM}">{escape(str(error))}</p>', recording.key, tags=())
        else:
            caption = escape(_caption(recording, outdated.get(recording.key)))
            report.add_figure(figure, recording.key, caption=caption, section=recording.corpus, tags=())
        if advance is not None:
            advance(1)
    save_page(report, path)
    facts = {
        "holdings": holdings.to_json(),
        "recordings": [describe(recording) for recording in recordings],
        "outdated": dict(outdated),
    }
    with placed(path.with_suffix(".json"), folder=False) as part:
        part.write_text(json.dumps(facts, indent=1), encoding="utf-8")
    return path


def check_quality_page(path: Path, *, overwrite: bool) -> None:
    """Raise an `InputError` if a page and its JSON must not or cannot be written to `path`."""
    if path.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"{path.name}: a report is a web page; give it a name that ends in .html.")
    free_to_write(path, overwrite=overwrite)
    free_to_write(path.with_suffix(".json"), overwrite=overwrite)


def describe(recording: StoredRecording) -> dict[str, Any]:
    """Return what the page says of a recording, JSON-able."""
    return {
        "key": recording.key,
        "seconds": recording.duration_s,
        "sensors": array_name(recording.sensors),
        "words": len(recording.words),
        "left_over_s": round(left_over_s(recording), 3),
        "findings": findings(recording),
        "notes": [*recording.notes, *recording.word_notes],
        "quality": recording.quality,
        "preparation": recording.preparation,
        "licence": recording.licence,
        "signal_sha256": recording.signal_sha256,
    }


@styled
def plot_recording(recording: StoredRecording) -> Figure:
    """Draw ten seconds from the middle of a recording, the spectrum of a minute, and where its bad sensors are."""
    n_read = min(recording.n_samples, round(SPECTRUM_S * recording.sfreq_hz))
    start = (recording.n_samples - n_read) // 2
    signal_CT = np.asarray(recording.read(start, start + n_read), dtype=np.float64)
    figure = titled_figure((WIDTH, 3.4), "")
    traces, spectrum, places = figure.subplots(1, 3, width_ratios=(5, 2.4, 2))
    _draw_traces(traces, recording, signal_CT, start / recording.sfreq_hz)
    _draw_spectrum(spectrum, recording, signal_CT)
    _draw_places(places, recording)
    return figure


def _draw_traces(axes: Axes, recording: StoredRecording, signal_CT: np.ndarray, start_s: float) -> None:
    """Draw up to three sensors to look at, each scaled by itself, then a few good ones and their power.

    The good ones are scaled by what is usual for their kind, so that one that is far off does not flatten the others.
    """
    n_shown = min(signal_CT.shape[1], round(EXCERPT_S * recording.sfreq_hz))
    shown_CT = signal_CT[:, :n_shown]
    names, odd = recording.sensors.names, suspects(recording)
    extent_C = np.quantile(np.abs(shown_CT), 0.99, axis=1)
    good_C = ~np.isin(names, list(odd))
    good, usual_C = np.flatnonzero(good_C), extent_C.copy()
    for kind in np.unique(recording.sensors.kinds_C[good]):
        same_C = good_C & (recording.sensors.kinds_C == kind)
        usual_C[same_C] = np.median(extent_C[same_C])
    scaled_CT = shown_CT / np.where(usual_C > 0, 2.0 * usual_C, 1.0)[:, None]
    chosen = good[np.unique(np.linspace(0, len(good) - 1, min(N_TRACES, len(good))).round().astype(int))]
    looked_at = [(names.index(name), f"{name}: {why}", ALARM) for name, why in list(odd.items())[:N_SUSPECTS]]
    lines = looked_at + [(row, names[row], INK) for row in chosen]
    times_s = start_s + np.arange(n_shown) / recording.sfreq_hz
    for height, (row, _, colour) in enumerate(lines):
        axes.plot(times_s, np.clip(scaled_CT[row], -1, 1) - height, color=colour, linewidth=0.6)
    power_T = np.sqrt(np.mean(scaled_CT[good] ** 2, axis=0)) if len(good) else np.zeros(n_shown)
    axes.plot(times_s, power_T / (power_T.max() or 1.0) - len(lines) - 0.7, color=ACCENT, linewidth=0.8)
    labels = [shorten(label, 44, placeholder=" ...") for _, label, _ in lines]
    heights = [*-np.arange(len(lines), dtype=float), -len(lines) - 0.4]
    axes.set_yticks(heights, [*labels, "all good (RMS)"])
    for label, (_, _, colour) in zip(axes.get_yticklabels(), lines, strict=False):
        label.set_color(colour)
    axes.set_xlabel("time (s)")
    axes.set_xlim(times_s[0], times_s[-1])
    axes.spines["left"].set_visible(False)


def _draw_spectrum(axes: Axes, recording: StoredRecording, signal_CT: np.ndarray) -> None:
    """Draw the median amplitude spectrum over the sensors of each kind, and the range of four fifths of them."""
    from scipy.signal import welch

    length = min(signal_CT.shape[1], round(8 * recording.sfreq_hz))
    frequencies_hz, power_CF = welch(signal_CT, recording.sfreq_hz, nperseg=length)
    for kind, colour in _COLOURS.items():
        rows = (recording.sensors.kinds_C == kind) & ~np.isin(recording.sensors.names, recording.bads)
        amplitude_CF = np.sqrt(power_CF[rows][:, 1:])
        if not amplitude_CF.any():
            continue
        low_F, middle_F, high_F = np.quantile(amplitude_CF, (0.1, 0.5, 0.9), axis=0)
        axes.loglog(frequencies_hz[1:], middle_F, color=colour, linewidth=1, label=KIND_NAMES[kind])
        axes.fill_between(frequencies_hz[1:], low_F, high_F, color=colour, alpha=0.2, linewidth=0)
    axes.set_xlabel("frequency (Hz)")
    axes.set_ylabel("SI units / √Hz")
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1))


def _draw_places(axes: Axes, recording: StoredRecording) -> None:
    """Draw the sensors from above, nose up; crosses are those to look at, some of them with their names."""
    names = recording.sensors.names
    odd = [name for name in suspects(recording) if name in names]
    odd_C = np.isin(names, odd)
    xy_C2 = project(recording.sensors.positions_C3)
    axes.plot(*xy_C2[~odd_C].T, linestyle="", marker="o", markersize=1.5, color=MUTED)
    axes.plot(*xy_C2[odd_C].T, linestyle="", marker="x", markersize=5, markeredgewidth=1.5, color=ALARM)
    named: list[np.ndarray] = []
    for name in odd[:N_NAMED]:
        place = xy_C2[names.index(name)]
        if any(np.hypot(*(place - other)) < BESIDE for other in named):
            continue  # the names would lie on each other
        named.append(place)
        axes.annotate(name, place, xytext=(3, 3), textcoords="offset points", color=ALARM)
    told = f"{odd_C.sum()} to look at" if odd else "nothing found"
    axes.set_title(f"{counted(len(odd_C), 'sensor')}\n{told}", loc="center")
    axes.set_aspect("equal")
    axes.axis("off")


def _worth_a_look(recordings: Sequence[StoredRecording]) -> list[StoredRecording]:
    """Put recordings with more odd sensors first; among equals the order stays."""
    return sorted(recordings, key=lambda recording: -sum(map(len, findings(recording).values())))


def _caption(recording: StoredRecording, why_outdated: str | None) -> str:
    """Say what was found and noted."""
    told = [f"Outdated: {why_outdated}."] if why_outdated else []
    for kind, names in findings(recording).items():
        told.append(f"{counted(len(names), 'sensor')} {said(kind)}: {listed(names, N_NAMED)}.")
    return " ".join([*told, *other_notes(recording)]) or "Nothing found."


def _recordings_html(recordings: Sequence[StoredRecording], outdated: Mapping[str, str]) -> str:
    heads = ("recording", "length", "sensors", "words", "left over", "to look at")
    lines = []
    for recording in recordings:
        told = [f"{len(names)} {said(kind)}" for kind, names in findings(recording).items()]
        if why := outdated.get(recording.key):
            told.insert(0, f"OUTDATED: {why}")
        cells = (recording.key, hours(recording.duration_s), str(len(recording.sensors)), f"{len(recording.words):,}",
                 f"{left_over_s(recording):.0f} s", "; ".join(told))  # fmt: skip
        lines.append("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>")
    head = "".join(f"<th>{name}</th>" for name in heads)
    return f'<table class="table table-sm table-hover" style="width:auto"><tr>{head}</tr>{"".join(lines)}</table>'
