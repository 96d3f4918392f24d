"""The page of a run that decodes words: how well, against what; which words, whom, when, where; the passage itself."""

from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import torch

from megxl.data.groups import Grouping
from megxl.decoding.saved_decoder import SavedDecoder
from megxl.errors import InputError
from megxl.reporting.html import folded
from megxl.reporting.page import new_page, save_page
from megxl.reporting.style import ALARM
from megxl.reporting.training_tables import state_of
from megxl.reporting.words.confusion import best_candidates, confusion, mistakes
from megxl.reporting.words.examination import Examination
from megxl.reporting.words.figures import (
    plot_confusion,
    plot_learning,
    plot_scores,
    plot_sensors,
    plot_truncation,
)
from megxl.reporting.words.headline import about_of, summary_html, warnings_of
from megxl.reporting.words.learning import kept_step, shown_metrics
from megxl.reporting.words.opening import examine_test, open_decoder, stored_recordings, usual_groups
from megxl.reporting.words.passage import passage_html
from megxl.reporting.words.scores import TEST, Scored, score
from megxl.reporting.words.tables import SORTING, metrics_table, parts_table, words_table
from megxl.training.runs import REPORT, RESULTS, Run
from megxl.training.words.config import WordsConfig

if TYPE_CHECKING:
    import mne

GROUPS = 8
"""How many test groups the decoder is shown unless told otherwise."""
MOST_ARRAYS = 6
T = TypeVar("T")

_SORT = "<p>A click on the name of a column sorts by it.</p>"

CAPTIONS = {
    "scores": "The reported metric on the test, with the interval in which it lies when other groups (and, where there "
    "is more than one, other subjects) are drawn. Chance is what rankings drawn by lot score; the diamond is what the "
    "most frequent words of training score, given as the answer every time.",
    "learning": "Left: how far predicted vectors are from those of the true words, in training and validation. Right: "
    "how often words of the validation are found; the dotted line is the epoch whose weights were kept and tested.",
    "confusion": "The most frequent words of the test: a row is what was heard, a column what was decoded, orange "
    "squares are words decoded right. A dark column is a word that is decoded whatever is heard.",
    "truncation": "Everything later than a time after each word's onset was set to zero before the decoder saw it, "
    "without training it for that. Windows of neighbouring words hold parts of the same time: a word may still be seen "
    "as the past of the next one. Where the curve stops to rise, more signal after the onset did not help.",
    "sensors": "How much each sensor moves the likeness of words to their vectors: gradient times feature, absolute, "
    "summed over features, mean over words, seen from above, nose up. What helps to tell a word need not be where it "
    "is processed.",
}


def write_words_report(
    run: Run[WordsConfig],
    *,
    beside: Sequence[Run[WordsConfig]] = (),
    groups: int | None = None,
    device: str | torch.device | None = None,
    advance: Callable[[int], None] | None = None,
) -> Path:
    """Write the page of a run into its directory; an older one is replaced.

    A run that goes on is shown as far as it is. What cannot be shown is told in its place.

    Parameters
    ----------
    run : Run
    beside : sequence of Run
        Others to set beside it by the same metric: controls, baselines.
    groups : int, optional
        Test groups that the decoder is shown, for the sensors that it uses and the signal that it needs; by default 8,
        without a GPU 1 where decoder or sensor array is large.
    device : str or torch.device, optional
        Where the decoder works; by default a GPU if there is one.
    advance : callable, optional
        Called with 1 after each group.

    Returns
    -------
    Path
        ``report.html`` of the run.

    Raises
    ------
    InputError
        Less than one group; a run beside it that has no predictions; a file of the run that is damaged.
    """
    if groups is not None and groups < 1:
        raise InputError(f"groups = {groups}: at least one test group has to be looked at.")
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    lacking: list[str] = []
    scored = _or_why(lambda: score(run), lacking)
    saved = _or_why(lambda: open_decoder(run, device), lacking)
    keys = set(scored.predictions.occurrences.recordings) if scored else set()
    recordings, told = stored_recordings(run, keys)
    lacking += [told] if told else []
    others = [score(other, scored.metric) for other in beside] if scored else []
    warnings = warnings_of(saved, recordings)
    report = new_page(f"MEG-XL words: {run.name}")
    report.add_html(summary_html(run, scored, others, warnings, lacking), "Summary", tags=())
    line = f"{run.name}: {state_of(run)}"
    if scored is not None:
        figure = plot_scores(scored, others, line, warnings[0] if warnings else None)
        report.add_figure(figure, "Words found", caption=CAPTIONS["scores"], tags=())
    _add_learning(report, run, scored, line)
    if scored is not None:
        _add_words(report, run, scored, line)
        why: list[str] = [] if saved else ["There is no decoder to look at."]
        seen = saved and _or_why(
            lambda: examine_test(run, saved, scored, groups=groups or usual_groups(saved, recordings, device, GROUPS),
                                 device=device, advance=advance), why
        )  # fmt: skip
        _add_examined(report, seen, why, line, warnings[0] if warnings else None)
        report.add_html(passage_html(scored, _window(run.config), recordings, told), "The passage", tags=())
    _add_settings(report, run, saved)
    return save_page(report, run.path / REPORT)


def _or_why(make: Callable[[], T], lacking: list[str]) -> T | None:
    """What `make` gives; where it cannot, the reason goes to what the page says is lacking."""
    try:
        return make()
    except InputError as error:
        lacking.append(str(error))
        return None


def _window(config: WordsConfig) -> Grouping:
    return Grouping(window_s=config.data.subsegment_duration, offset_s=config.data.window_onset_offset)


def _add_learning(report: "mne.Report", run: Run[WordsConfig], scored: Scored | None, line: str) -> None:
    metrics, validation = run.metrics(), run.validation()
    if not metrics and not validation:
        report.add_html("<p>Nothing was trained, or nothing was logged yet.</p>", "Learning", tags=())
        return
    shown = shown_metrics(run.config, validation, None if scored is None else len(scored.predictions.vocabulary))
    figure = plot_learning(metrics, validation, shown, kept_step(validation), line)
    report.add_figure(figure, "Learning", caption=CAPTIONS["learning"], tags=())


def _add_words(report: "mne.Report", run: Run[WordsConfig], scored: Scored, line: str) -> None:
    """Tables of words, metrics, subjects and sessions, and what is taken for what."""
    best_M, told = best_candidates(scored), (run.results() or {}).get(TEST)
    tables = ["<h4>Words</h4>", words_table(scored, mistakes(scored, best_M))]
    if told is None:
        tables.append(f"<p>Metrics, subjects and sessions: there is no {RESULTS} yet; `megxl evaluate` makes it.</p>")
    else:
        tables += ["<h4>Metrics</h4>", metrics_table(told), "<h4>Subjects</h4>",
                   parts_table(told, "by_subject", "subject")]  # fmt: skip
        sessions = parts_table(told, "by_session", "session") if told["by_session"] else "<p>The corpus has none.</p>"
        tables += ["<h4>Sessions</h4>", sessions]
    report.add_html(f"{_SORT}{''.join(tables)}{SORTING}", "Word by word, subject by subject", tags=())
    figure = plot_confusion(confusion(scored, best_M), line)
    report.add_figure(figure, "What is taken for what", caption=CAPTIONS["confusion"], tags=())


def _add_examined(
    report: "mne.Report", seen: Examination | None, why: Sequence[str], line: str, warning: str | None
) -> None:
    """When and where the decoder listens; why not, where that is not known."""
    when, where = "How much signal after the onset it takes", "Which sensors are used"
    if seen is None:
        for title in (when, where):
            report.add_html(f'<p style="color:{ALARM}">{escape(" ".join(why))}</p>', title, tags=())
        return
    shown = f"{line}; {seen.words} words in {seen.groups} test groups"
    if seen.scores:
        figure = plot_truncation(seen.times_s, seen.scores, shown, warning)
        report.add_figure(figure, when, caption=CAPTIONS["truncation"], tags=())
    else:
        report.add_html("<p>In the contiguous layout the windows of words overlap: what comes after one word cannot be "
                        "taken away from it alone.</p>", when, tags=())  # fmt: skip
    for use in sorted(seen.uses.values(), key=lambda use: -use.items_C.max())[:MOST_ARRAYS]:
        figure = plot_sensors(use, shown, warning)
        report.add_figure(figure, where, caption=CAPTIONS["sensors"], tags=())
    if not seen.uses:
        report.add_html("<p>The backbone puts the sensors together before the head sees them.</p>", where, tags=())


def _add_settings(report: "mne.Report", run: Run[WordsConfig], saved: SavedDecoder | None) -> None:
    told = {"Run": about_of(run), "Configuration": run.config.to_dict(), "Environment": run.environment()}
    if saved is not None:
        told["Decoder"] = saved.spec.to_json() | {"preparation": saved.preparation}
    report.add_html(folded(told), "Settings and environment", tags=())
