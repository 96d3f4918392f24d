"""The page of the demonstration: one listener's way from signal to words, read from top to bottom, all in one file."""

from collections.abc import Mapping
from html import escape
from pathlib import Path

from megxl.placing import placed
from megxl.reporting.journey.chapters import accuracy_html, codes_html, filling_html, signal_html, words_html
from megxl.reporting.journey.ending import needed_html, next_html, simulated_html, steps_html
from megxl.reporting.journey.excerpt import take_excerpt
from megxl.reporting.journey.journey import Journey
from megxl.reporting.journey.passage import passage_of
from megxl.reporting.journey.pieces import document, section
from megxl.reporting.journey.verdicts import (
    Judged,
    Verdict,
    along_snr,
    beside_scratch,
    judge,
    on_noise,
    percent,
    words_found,
)
from megxl.store.store import Store
from megxl.training.runs import REPORT
from megxl.training.tokenizer.judged_sources import open_source

USUAL_SNR = 0.02
"""The simulator's default, which is to be about as faint as answers to single words are."""

TITLE = "From a brain signal to words"
STEPS = (
    ("signal", "1. Signal", "what the sensors measure while somebody listens to a story"),
    ("codes", "2. Codes", "each short piece of a sensor's signal becomes a few numbers"),
    ("filling", "3. Filling in", "a model learns to guess hidden stretches, without words"),
    ("words", "4. Words", "then it learns to tell which word was heard"),
)


def write_journey(journey: Journey, *, device: str = "cpu") -> Path:
    """Write the page of a demonstration; an older one is replaced.

    Parameters
    ----------
    journey : Journey
        Its runs, all of them finished.
    device : str
        Where codec and model work.

    Returns
    -------
    Path
        ``report.html`` in the folder of the demonstration: one file that needs no network.

    Raises
    ------
    InputError
        A run that is not finished or damaged, a recording that is not in the store or has no word in the test.
    """
    fine_tuned = judge(journey.fine_tuned)
    metric = fine_tuned.scored.metric
    scratch, noise = judge(journey.scratch, metric), judge(journey.noise, metric)
    by_snr = {snr: judge(path, metric) for snr, path in journey.by_snr.items()}
    recording = Store(journey.store).recording(journey.shown)
    passage = passage_of(fine_tuned.scored, journey.shown)
    codec = open_source(journey.codec).codec.to(device)
    onset_s = fine_tuned.scored.predictions.occurrences.onsets_s[passage[0]]
    excerpt = take_excerpt(recording, codec, onset_s)
    decoders = {"pre-trained": fine_tuned, "from scratch": scratch, "given noise": noise}
    verdicts = [words_found(fine_tuned), beside_scratch(fine_tuned, scratch), on_noise(noise), *along_snr(by_snr)]
    parts = (
        _opening(journey, decoders, verdicts),
        signal_html(excerpt, recording, journey),
        codes_html(excerpt),
        filling_html(journey, device),
        words_html(fine_tuned, passage),
        accuracy_html(decoders, by_snr),
        section("simulated", "What is made up here, and what is not", simulated_html(journey)),
        section("needed", "What a study of real brains needs", needed_html()),
        section("steps", "What each step took", steps_html(journey.seconds, journey.peak_bytes)),
        section("next", "What to do next", next_html(journey)),
    )
    path = journey.folder / REPORT
    with placed(path, folder=False) as part:
        part.write_text(document(f"MEG-XL: {TITLE.lower()}", "".join(parts)), encoding="utf-8")
    return path


def _opening(journey: Journey, decoders: Mapping[str, Judged], verdicts: list[Verdict]) -> str:
    """What this is, that it is made up, the way in four steps, what came out."""
    way = "".join(f'<li><a href="#{place}"><b>{name}</b>{what}</a></li>' for place, name, what in STEPS)
    values = {f"of words found, {name}": one.scored.value for name, one in decoders.items()}
    values["by chance"] = next(iter(decoders.values())).scored.chance
    numbers = "".join(f"<div><b>{percent(value)}</b>{escape(name)}</div>" for name, value in values.items())
    listed = "".join(
        f"<li{' class=wrong' if verdict.wrong else ''}>{escape(verdict.sentence)}</li>" for verdict in verdicts
    )
    strength = journey.main_snr / USUAL_SNR
    return (
        f"<h1>{TITLE}</h1>"
        '<p class="lead">One listener, one story, one small model: what this software does, step by step.</p>'
        f'<p class="simulated">Everything here is simulated, with answers to words at a signal-to-noise ratio of '
        f"{journey.main_snr:g}. Those of real brains are far fainter: about {USUAL_SNR:g} in this measure is what the "
        f"simulator takes for them, {strength:,.0f} times less power. No number on this page is about real brains.</p>"
        f'<ol class="way">{way}</ol><div class="numbers">{numbers}</div><ul class="verdict">{listed}</ul>'
    )
