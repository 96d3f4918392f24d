"""The page of a run that trains a tokenizer: what it gives back, against what; its codes; where it fails; settings."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from megxl.reporting.html import folded
from megxl.reporting.page import new_page, save_page
from megxl.reporting.tokenizer.curves import plot_code_learning, plot_learning
from megxl.reporting.tokenizer.headline import summary_html, warnings_of
from megxl.reporting.tokenizer.opening import Look, look_at
from megxl.reporting.tokenizer.rebuilt import Rebuilt, band_edges, mean_spectra, ranked, rebuild
from megxl.reporting.tokenizer.score_figures import (
    plot_codes,
    plot_levels_and_disturbances,
    plot_scores,
    plot_sensors,
)
from megxl.reporting.tokenizer.signal_figures import plot_examples, plot_spectra
from megxl.reporting.tokenizer.tables import comparison_table, levels_table, windows_html
from megxl.reporting.training_figures import plot_pace
from megxl.reporting.training_tables import split_html, state_of, weights_of
from megxl.tokenizer.biocodec import BioCodec
from megxl.training.runs import REPORT, Run
from megxl.training.tokenizer.config import TokenizerConfig
from megxl.training.tokenizer.judged_windows import WINDOWS

if TYPE_CHECKING:
    import mne

MOST_ARRAYS = 6

CAPTIONS = {
    "scores": "What comes back of held-out signals, mean over rows (a sensor of a window) with its interval of 95 %; "
    "1 (or many dB) is the same signal. Good is a dot far to the right of the hollow ones: a codec of the same sizes "
    "that was never trained, and the same codes out of order, which keep the spectrum and lose the signal.",
    "learning": "Left and middle: what was minimised, on recordings that trained and on those that did not; a held-out "
    "curve that turns up while training goes down has learnt its recordings by heart. Right: what counts in the end; "
    "flat for long means that training is done, or stuck.",
    "use": "Good are curves that rise and stay high at every level. A first level at a few codes has collapsed: the "
    "tokenizer then says little; codes that are replaced at every step to the end find no place.",
    "pace": "How the optimiser went, and how fast: a gradient norm that jumps warns of an unstable training.",
    "examples": "Not chosen by eye: sensors at fixed places of the ranking by r over all windows looked at, and the "
    "middle of their windows. Good is a blue line that covers the grey one even in the last row; grey that is "
    "left over is lost.",
    "spectra": "Left: where the error (dashed) reaches the signal, nothing of it is kept. Right: the same by band; at "
    "0 dB a band is lost as if silence had been decoded, and a bar that ends further left is better.",
    "codes": "Left: flat curves near the dashed line use all codes alike; a steep one leaves most work to few. Right: "
    "how many codes do the work; the highest bar that is possible is the dashed line.",
    "disturbed": "Left: each level should add something; where the curve is flat, later levels cost bits for nothing. "
    "Middle: the noisier (to the right), the fewer codes stay, and a good tokenizer still gives back the clean signal. "
    "Right: a gain should change no code, as signals are scaled before they are coded.",
    "sensors": "Where on the head signals come back, seen from above, nose up; good is one even map. A dark place "
    "on the left, bright on the right, has signals unlike those of training, or noise that no code can keep.",
}


def write_tokenizer_report(
    run: Run[TokenizerConfig],
    *,
    windows: int = WINDOWS,
    device: str | torch.device = "cpu",
    beside: Sequence[str | Path] = (),
    advance: Callable[[int, int], None] | None = None,
) -> Path:
    """Write the page of a run into its directory; an older one is replaced.

    A run that goes on is shown as far as it is. What cannot be shown is told in its place.

    Parameters
    ----------
    run : Run
    windows : int
        Held-out windows that are looked at, and judged where ``megxl evaluate`` has not judged these weights.
    device : str or torch.device
        Where the codec works.
    beside : sequence of str or Path
        Other tokenizers (files, folders, hub names, runs) to judge on the same windows.
    advance : callable, optional
        Called with steps done and in all while judging.

    Returns
    -------
    Path
        ``report.html`` of the run.

    Raises
    ------
    InputError
        What `look_at` refuses; a file of the run that is damaged.
    """
    return write_page(run, look_at(run, windows=windows, device=device, beside=beside, advance=advance))


def write_page(run: Run[TokenizerConfig], look: Look) -> Path:
    """Write the page of a run from what was found of it."""
    report = new_page(f"MEG-XL tokenizer: {run.name}")
    warnings = warnings_of(look.codec, look.windows.recordings if look.windows else ())
    report.add_html(summary_html(run, look, warnings), "Summary", tags=())
    line = f"{run.name}: {state_of(run)}"
    told = (line if look.codec is None else weights_of(look.codec), warnings[0] if warnings else None)
    if look.tokenizers:
        _add_scores(report, look.tokenizers, *told)
    _add_curves(report, run, line)
    if look.codec is not None and look.windows is not None:
        _add_signals(report, rebuild(look.codec, look.windows), look.tokenizers, *told)
    if look.judged is not None:
        _add_codes(report, look.tokenizers, *told)
        report.add_html(windows_html(look.judged), "On what it was judged", tags=())
    report.add_html(split_html(run.split()), "Who trained, who validated", tags=())
    _add_settings(report, run, look.codec)
    return save_page(report, run.path / REPORT)


def _add_scores(report: "mne.Report", tokenizers: Mapping[str, Any], line: str, warning: str | None) -> None:
    title = "Beside controls" if len(tokenizers) == 1 else "Beside controls and other tokenizers"
    report.add_figure(plot_scores(tokenizers, line, warning), title, caption=CAPTIONS["scores"], tags=())
    report.add_html(comparison_table(tokenizers), "Comparison", tags=())


def _add_curves(report: "mne.Report", run: Run[TokenizerConfig], line: str) -> None:
    metrics, validation = run.metrics(), run.validation()
    if not metrics and not validation:
        report.add_html("<p>Nothing was logged yet.</p>", "Learning", tags=())
        return
    report.add_figure(plot_learning(metrics, validation, line), "Learning", caption=CAPTIONS["learning"], tags=())
    for figure, title, key in (
        (plot_code_learning(metrics, validation, line), "Codes while training", "use"),
        (plot_pace(metrics, line), "Pace", "pace"),
    ):
        if figure is not None:
            report.add_figure(figure, title, caption=CAPTIONS[key], tags=())


def _add_signals(
    report: "mne.Report",
    rebuilt: Sequence[Rebuilt],
    tokenizers: Mapping[str, Any],
    line: str,
    warning: str | None,
) -> None:
    """Show what comes back of the windows that were looked at, as signals and as spectra."""
    examples, edges = ranked(rebuilt), band_edges(rebuilt[0].sfreq_hz)
    shown = f"{line}; {len(rebuilt)} held-out windows, {sum(len(window.names) for window in rebuilt)} sensors in all"
    if not examples:
        report.add_html("<p>Every signal that was looked at is flat.</p>", "What comes back", tags=())
        return
    bands = {name: {band: one["mean"] for band, one in scores["bands"].items()} for name, scores in tokenizers.items()}
    for figure, title, key in (
        (plot_examples(examples, shown, warning), "What comes back: signals", "examples"),
        (plot_spectra(*mean_spectra(rebuilt), edges, bands, shown, warning), "What comes back: frequencies", "spectra"),
    ):
        report.add_figure(figure, title, caption=CAPTIONS[key], tags=())


def _add_codes(report: "mne.Report", tokenizers: Mapping[str, Any], line: str, warning: str | None) -> None:
    """Show how codes are used, what levels and disturbances do, and where on the head it works."""
    scores = next(iter(tokenizers.values()))
    shown = f"{line}; {scores['tokens']:,} tokens"
    report.add_figure(plot_codes(scores, shown, warning), "Use of the codes", caption=CAPTIONS["codes"], tags=())
    report.add_html(levels_table(scores), "Level by level", tags=())
    figure = plot_levels_and_disturbances(tokenizers, line, warning)
    report.add_figure(figure, "Levels, noise and gain", caption=CAPTIONS["disturbed"], tags=())
    for sensors in sorted(scores["sensors"], key=lambda sensors: -sum(sensors["rows_C"]))[:MOST_ARRAYS]:
        told = f"{line}; {len(sensors['recordings'])} recordings, {sum(sensors['rows_C'])} rows"
        figure = plot_sensors(sensors, told, warning)
        report.add_figure(figure, "Where on the head", caption=CAPTIONS["sensors"], tags=())


def _add_settings(report: "mne.Report", run: Run[TokenizerConfig], codec: BioCodec | None) -> None:
    told = {"Configuration": run.config.to_dict(), "Environment": run.environment()}
    if codec is not None:
        told["Tokenizer"] = {"provenance": codec.provenance, "recipe": codec.recipe}
    report.add_html(folded(told), "Settings and environment", tags=())
