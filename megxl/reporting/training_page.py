"""The page of a pre-training run: how it went, against guessers; what the model fills in; who trained; all settings."""

from collections.abc import Callable, Iterator
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from megxl.errors import InputError
from megxl.model.megxl import MEGXL
from megxl.reporting.examination import Examination, examine
from megxl.reporting.html import facts_table, folded
from megxl.reporting.masked_windows import validation_windows
from megxl.reporting.page import new_page, save_page
from megxl.reporting.reconstruction import code_vectors
from megxl.reporting.reconstruction_figures import (
    code_ranks,
    plot_codes,
    plot_depth_and_variety,
    plot_sensor_accuracy,
    plot_signal,
)
from megxl.reporting.style import ALARM
from megxl.reporting.training_figures import GUESSERS, plot_learning, plot_pace, plot_parts
from megxl.reporting.training_tables import (
    level_columns,
    split_html,
    state_of,
    summary_html,
    training_warning,
    usage_html,
    weights_of,
)
from megxl.training.run_windows import open_model
from megxl.training.runs import REPORT, Run

if TYPE_CHECKING:
    import mne

WINDOWS = 8
"""How many validation windows of each corpus are looked at unless told otherwise."""
MOST_ARRAYS = 6

CAPTIONS = {
    "learning": "Each point says how surprised the model was by the true codes of stretches that were hidden from it "
    "(loss), and how often its first choice was right (accuracy); validation is on recordings that it never trained "
    "on. The unigram guesser knows only how often each code occurs, the last-token guesser also the last code seen "
    "before the hidden stretch: what the model gains on them (right) is what it understands of the recording.",
    "level": "The codec describes a token in steps: the first level gives its rough shape, later levels correct what "
    "is left over, and are harder to guess because they carry less that repeats.",
    "corpus": "The same loss for each corpus by itself: a corpus that stays at the guessers' marks has taught the "
    "model nothing that carries over to its unseen recordings.",
    "pace": "How the optimiser went, and how fast: a gradient norm that jumps warns of an unstable training, time "
    "spent waiting for data warns of a slow disk or too few workers.",
    "depth": "Left: is a code predicted better close to what the model can see? Right: how many different codes are in "
    "use at the hidden places; a model that only repeats the commonest codes has a much shorter bar than the truth.",
    "codes": "One validation window, one row a sensor, one column a token; like colours are codes that stand for like "
    "waveforms. Dark in the last panel is a code of level 1 predicted right.",
    "signal": "An excerpt of the same window, for sensors spread evenly over the array. Grey is the signal, black what "
    "the codec keeps of it, which is the best that a prediction can reach. In the shaded stretches the model saw no "
    "sensor at all; blue is the mean of what it thinks possible, orange its single best bet. r is the correlation of "
    "blue and black over the hidden stretches of the window, under it that of a guesser that puts the mean of what is "
    "visible of the sensor there: it is not zero, as the codec carries on what it saw before.",
    "sensors": "Where on the head hidden codes are predicted right, mean over the levels, seen from above, nose up.",
}


def write_training_report(
    run: Run,
    *,
    windows: int = WINDOWS,
    device: str | torch.device | None = None,
    advance: Callable[[int], None] | None = None,
) -> Path:
    """Write the page of a run into its directory; an older one is replaced.

    A run that goes on is shown as far as it is. What cannot be shown is told in its place.

    Parameters
    ----------
    run : Run
    windows : int
        Validation windows of each corpus that the model is shown.
    device : str or torch.device, optional
        Where the model works; by default a GPU if there is one.
    advance : callable, optional
        Called with 1 after each window.

    Returns
    -------
    Path
        ``report.html`` of the run.

    Raises
    ------
    InputError
        Less than one window; a file of the run that is damaged.
    """
    if windows < 1:
        raise InputError(f"windows = {windows}: at least one validation window a corpus has to be looked at.")
    model, lacking = _load(run, device or ("cuda" if torch.cuda.is_available() else "cpu"))
    report = new_page(f"MEG-XL training: {run.name}")
    report.add_html(summary_html(run, model, lacking), "Summary", tags=())
    _add_curves(report, run)
    if model is not None:
        _add_predictions(report, run, model, windows, advance)
    for name, title in (("context", "How much context helps"), ("attention", "Where the model looks")):
        if (picture := run.path / f"{name}.png").is_file():
            report.add_image(picture, title, tags=())
    report.add_html(split_html(run.split()), "Who trained, who validated", tags=())
    settings = {"Configuration": run.config.to_dict(), "Environment": run.environment()}
    if model is not None:
        settings["Model"] = model.provenance
    report.add_html(folded(settings), "Settings and environment", tags=())
    return save_page(report, run.path / REPORT)


def _load(run: Run, device: str | torch.device) -> tuple[MEGXL | None, str | None]:
    """Newest weights of a run, or why there are none."""
    try:
        return open_model(run, device=device), None
    except InputError as error:
        return None, str(error)


def _add_curves(report: "mne.Report", run: Run) -> None:
    metrics, validation, baselines = run.metrics(), run.validation(), run.baselines()
    line = f"{run.name}: {state_of(run)}"
    if metrics or validation:
        figure = plot_learning(metrics, validation, baselines, line)
        report.add_figure(figure, "Learning", caption=CAPTIONS["learning"], tags=())
    levels = {name: f"level {name.rpartition('_')[2]}" for name in level_columns(validation)}
    corpora = {name: corpus for corpus in run.split() or {} if any((name := f"{corpus}_loss") in r for r in validation)}
    for parts, title, key in ((levels, "By level", "level"), (corpora, "By corpus", "corpus")):
        if parts:
            report.add_figure(plot_parts(validation, baselines, parts, line), title, caption=CAPTIONS[key], tags=())
    if (figure := plot_pace(metrics, line)) is not None:
        report.add_figure(figure, "Pace", caption=CAPTIONS["pace"], tags=())
    report.add_html(usage_html(baselines), "Use of the codes", tags=())


def _add_predictions(
    report: "mne.Report", run: Run, model: MEGXL, windows: int, advance: Callable[[int], None] | None
) -> None:
    try:
        examination = examine(model, validation_windows(run, model, windows), advance)
    except InputError as error:  # told in its place: the curves are worth a look without
        report.add_html(f'<p style="color:{ALARM}">{escape(str(error))}</p>', "What the model fills in", tags=())
        return
    assert model.tokenizer is not None and examination.example is not None
    example, warning = examination.example, training_warning(model)
    line = f"{weights_of(model)}, {examination.windows} validation windows"
    shown = f"{weights_of(model)}, {example.window.key} from {example.window.start_s:g} s"
    ranks_V = code_ranks(code_vectors(model.tokenizer)[0].cpu().numpy())
    token_s = model.config.samples_per_token / model.config.sfreq_hz
    for figure, title, key in (
        (plot_signal(example, shown, warning), "What the model fills in: the signal", "signal"),
        (plot_codes(example, ranks_V, shown, warning), "What the model fills in: the codes", "codes"),
        (
            plot_depth_and_variety(examination, token_s, run.baselines(), line, warning),
            "How far into the hidden",
            "depth",
        ),
    ):
        report.add_figure(figure, title, caption=CAPTIONS[key], tags=())
    report.add_html(facts_table(_agreement(examination)), "What the model fills in: agreement", tags=())
    for hits in sorted(examination.arrays.values(), key=lambda hits: -hits.windows)[:MOST_ARRAYS]:
        told = f"{weights_of(model)}, {hits.windows} validation windows of {', '.join(sorted(hits.corpora))}"
        title = f"Accuracy by sensor: {', '.join(sorted(hits.corpora))}"
        figure = plot_sensor_accuracy(hits, told, warning)
        report.add_figure(figure, title, caption=_beside(CAPTIONS["sensors"], run), tags=())


def _agreement(examination: Examination) -> Iterator[tuple[str, str]]:
    """Say how much of the codec's signal came back in the hidden stretches of the example."""
    example = examination.example
    assert example is not None
    for name, predicted_CS in (("expected codes", example.expected_CS), ("likeliest codes", example.likeliest_CS),
                               ("guesser", example.guessed_CS)):  # fmt: skip
        agreement = np.nanmedian(example.agreement_C(predicted_CS)[example.window.good_C])
        yield f"correlation, {name}", f"{agreement:.3f} (median over the good sensors of the window shown)"
    yield "codes predicted right", f"{100 * examination.accuracy:.2f} % in {examination.windows} windows"


def _beside(caption: str, run: Run) -> str:
    """Add to a caption what guessers score on all sensors."""
    baselines = run.baselines() or {}
    scores = [f"the {GUESSERS[name][0]} {100 * baselines[name]['accuracy']:.2f} %" for name in GUESSERS
              if name in baselines]  # fmt: skip
    return f"{caption} Over all sensors {', '.join(scores)} are right." if scores else caption
