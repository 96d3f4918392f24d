"""Chapters of the page, each a few plain sentences and a picture: signal, codes, filling in, words, accuracy."""

from collections.abc import Mapping
from html import escape

import numpy as np

from megxl.errors import InputError
from megxl.reporting.examination import examine
from megxl.reporting.journey.excerpt import EXCERPT_S, Excerpt
from megxl.reporting.journey.journey import Journey
from megxl.reporting.journey.learning_figures import FILLED, plot_accuracies, plot_filled, plot_learning
from megxl.reporting.journey.passage import CANDIDATES, passage_html
from megxl.reporting.journey.pieces import picture, section
from megxl.reporting.journey.signal_figures import plot_codes, plot_response, plot_signal
from megxl.reporting.journey.verdicts import Judged, percent
from megxl.reporting.masked_windows import validation_windows
from megxl.reporting.reconstruction_figures import example_sensors
from megxl.reporting.training_tables import verdict_of
from megxl.reporting.word_locked import word_locked
from megxl.reporting.words.scores import told
from megxl.store.entry import StoredRecording
from megxl.training.run_windows import open_model
from megxl.training.runs import Run

SEEN_BY_EYE = 4.0
"""Signal-to-noise ratio from which single answers stand out of all else."""
WINDOWS = 4
"""Validation windows that the pre-trained model is shown."""


def signal_html(excerpt: Excerpt, recording: StoredRecording, journey: Journey) -> str:
    """Show some seconds with their words, and the mean answer to all of them."""
    clear = (
        "strong enough here to be seen by eye, which those of real brains are not"
        if journey.main_snr >= SEEN_BY_EYE
        else "hard to see once among all else"
    )
    prose = (
        f"<p>Some seconds of one recording: {len(recording.sensors)} sensors, {recording.sfreq_hz:g} samples a second. "
        f"Each word evokes an answer, {clear}.</p>"
    )
    traces = picture(plot_signal(excerpt), f"A few sensors of {excerpt.key}; each word stands at its onset.",
                      "Lines of sensor signals over time with the words that were heard above them")  # fmt: skip
    try:
        average = word_locked(recording)
    except InputError as error:  # told in its place: the rest is worth a look without
        return section("signal", "<i>1</i>The signal", f"{prose}{traces}<p>{escape(str(error))}</p>")
    response = picture(
        plot_response(average),
        "Left: strength of the mean over all sensors; the grey band is what the mean after any other moments of the "
        "recording reaches (99 of 100). Right: where on the head it is strong at its peak, seen from above, nose up.",
        "Strength of the mean answer over time, and its map on the head",
    )
    between = "<p>In the mean over all words, what has nothing to do with them averages out:</p>"
    return section("signal", "<i>1</i>The signal", f"{prose}{traces}{between}{response}")


def codes_html(excerpt: Excerpt) -> str:
    """Show the same seconds as codes, and what these keep of them."""
    prose = (
        "<p>The same seconds, as the model reads them. A tokenizer turns each short piece of one sensor into a "
        "code, a number out of a list, and refines it level by level. Decoded again, the codes should give back the "
        "signal; r is the correlation of the two, 1 if nothing is lost. Its median over the sensors is "
        f"{np.nanmedian(excerpt.r_C):.2f} here.</p>"
    )
    drawn = picture(plot_codes(excerpt), "Above: all sensors, one row each. Below: three of them, not chosen "
                       "by how well they come back.", "Codes of all sensors as colours, decoded signals")  # fmt: skip
    return section("codes", "<i>2</i>The codes", prose + drawn)


def filling_html(journey: Journey, device: str) -> str:
    """What the pre-trained model fills in, and how it learnt to."""
    run = Run.open(journey.pretrained)
    model = open_model(run, device=device)
    example = examine(model, validation_windows(run, model, WINDOWS)).example
    assert example is not None
    rows = example_sensors(example.window.good_C, example.window.array.kinds_C, FILLED).tolist()
    shown = np.flatnonzero(example.window.good_C)
    r, guessed_r = (
        float(np.nanmedian(example.agreement_C(of_CS)[shown])) for of_CS in (example.expected_CS, example.guessed_CS)
    )
    prose = (
        "<p>In pre-training nobody says what was heard. Stretches are hidden on all sensors at once, and the model has "
        "to say which codes were there, from what comes before and after. What is noise cannot be foretold, so what it "
        "fills in is smoother than the truth.</p>"
        f'<ul class="verdict"><li>{escape(verdict_of(run)[0])}</li></ul>'
    )
    filled = picture(
        plot_filled(example, rows, EXCERPT_S),
        f"{example.window.key}, which it never trained on. r: correlation over the hidden stretches of the window, "
        f"{r:.2f} in the median over all sensors; {guessed_r:.2f} for a guesser that puts the mean of what is visible "
        "there, since the codec carries on what it saw before.",
        "True and filled-in signals at hidden stretches",
    )
    learnt = picture(
        plot_learning(run.metrics(), run.validation(), run.baselines()),
        "How surprised the model is by the true codes; lower is better. The unigram guesser knows how often each code "
        "occurs, the last-token guesser also which was seen last; what is below them the model understands.",
        "Loss over training steps",
    )
    return section("filling", "<i>3</i>Filling in what is hidden", prose + filled + learnt)


def words_html(fine_tuned: Judged, passage: list[int]) -> str:
    """Set the words of a passage beside what was decoded."""
    scored = fine_tuned.scored
    prose = (
        f"<p>The onset of each word is given; the {fine_tuned.window_s:g} s of signal around it become a vector, and "
        "the candidates whose meaning lies nearest to that are the answer. Bold: the word that was heard; below it the "
        f"decoder's first {CANDIDATES} of {len(scored.places.candidates)} candidates, best first. A tick marks the "
        "right one, a dashed frame a word that is not among them. The passage begins with the seconds above; it was "
        "not chosen.</p>"
    )
    return section("words", "<i>4</i>The words", prose + passage_html(scored, passage))


def accuracy_html(decoders: Mapping[str, Judged], by_snr: Mapping[float, Judged]) -> str:
    """Show how many words each decoder finds, and at which clearness of the signal."""
    fine_tuned = next(iter(decoders.values()))
    scored = fine_tuned.scored
    columns = scored.predictions.occurrences
    candidates = len(scored.places.candidates)
    balanced = "Each word counts equally, however often it occurs. " if scored.metric.balanced else ""
    prose = (
        f"<p>A word counts as found if it is among the first {scored.metric.k} of {candidates} candidates; by chance "
        f"{percent(scored.chance)} are. {balanced}Measured on {len(scored.places):,} words in "
        f"{len(set(columns.groups)):,} groups; {escape(fine_tuned.split)}.</p>"
    )
    drawn = picture(
        plot_accuracies(decoders, by_snr),
        f"{told(scored.metric).capitalize()}. Bars: 95 % intervals, when other groups of words are drawn. Dashed: "
        "chance. Left, all at the main signal-to-noise ratio; right, the pre-trained decoder alone. One training each: "
        "other seeds would differ.",
        "Words found by each decoder and at each signal-to-noise ratio",
    )
    return section("accuracy", "<i>5</i>How often it is right", prose + drawn)
