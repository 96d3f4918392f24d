"""The end of the page: what was made up, what a real study needs, what each step took, what to do next."""

import os
import shlex
from collections.abc import Iterator, Mapping
from html import escape
from pathlib import Path

from megxl.reporting.html import facts_table
from megxl.reporting.journey.journey import Journey
from megxl.training.runs import MODEL

REAL = (
    "Where the sensors are and which way they look: a measuring system that exists.",
    "The text: a story that was written for this project.",
    "What words mean: vectors that were learnt from real text.",
    "All that comes after the signal: preparation, tokenizer, model, decoders, split, intervals. A real recording "
    "goes the very same way.",
)
MADE_UP = (
    "The brain: some current dipoles in a conducting sphere.",
    "Its answers to words: a linear function of what each word means, and the same each time a word is heard.",
    "Everything else in the signal: background activity, noise of the sensors, slow drifts. Nobody blinks or moves.",
    "The listener.",
)
NEEDED = (
    "Hours of signal, not minutes, and a model that was pre-trained on many more (docs/pretraining.md).",
    "A split that does not leak: no text and no second of the test in training (docs/decoding.md).",
    "Controls: noise, shuffled words, durations of words alone, the most frequent words (docs/decoding.md).",
    "More than one seed and more than one listener: intervals here say nothing of either.",
    "Onsets of words, and a closed list of candidates: both are given here, as in the published task. Nothing on this "
    "page finds words in running speech.",
)
OWN = """megxl embed YOUR_RECORDING.fif --model {model} --out features.npz --report features.html
megxl demo --out {folder} --recording YOUR_RECORDING.fif"""
CORPUS = """megxl prepare bids /data/yours --store store --set words_column=word --set words_where=trial_type:word
megxl check-words store --out words.html
megxl pretrain corpora=bids data.cache_dir=store run=runs/pretrained
megxl finetune corpus=bids data.cache_dir=store model.criss_cross_checkpoint=runs/pretrained/model run=runs/tuned"""


def simulated_html(journey: Journey) -> str:
    """Set side by side what was made up and what was not, and list what was simulated."""
    columns = "".join(
        f"<div><h3>{escape(title)}</h3>{_list(sentences)}</div>"
        for title, sentences in (("Made up", MADE_UP), ("Not made up", REAL))
    )
    return f'<div class="two">{columns}</div>{facts_table(journey.corpus_facts.items())}'


def needed_html() -> str:
    """List what a study of real brains needs besides."""
    return _list(NEEDED)


def steps_html(seconds: Mapping[str, float], peak_bytes: int | None) -> str:
    """Tell what each step took, as bars of their shares."""
    total_s = sum(seconds.values())
    rows = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td><span class="bar" style="width:{12 * took_s / total_s:.2f}em">'
        f"</span>{_duration(took_s)}</td></tr>"
        for name, took_s in seconds.items()
    )
    memory = "" if peak_bytes is None else f" The largest process held {peak_bytes / 1e9:.1f} GB of memory."
    whole = (
        f"One after the other this is {_duration(total_s)}; where there is room, steps run side by side. One that was "
        "interrupted is counted from where it went on."
    )
    return f"<table>{rows}</table><p>{whole}{memory}</p>" if rows else ""


def next_html(journey: Journey) -> str:
    """Name the next commands: one's own recording, one's own corpus; and the page of a recording that was embedded."""
    own = "" if journey.own is None else (
        f'<p><a href="{escape(os.path.relpath(journey.own, journey.folder), quote=True)}">The page of your own '
        "recording</a> lies beside this one.</p>"
    )  # fmt: skip
    return "".join((
        own,
        "<p>Features of a recording of your own, in any format that MNE reads (this small model saw only simulated "
        "signals; for work take released weights):</p>",
        f"<pre>{escape(OWN.format(model=_typed(journey.pretrained / MODEL), folder=_typed(journey.folder)))}</pre>",
        "<p>Words from a corpus of your own, in BIDS (docs/data.md has other layouts and other columns for words):</p>",
        f"<pre>{escape(CORPUS)}</pre>",
        "<p>Each run of this demonstration has a page of its own with all details: "
        f"<code>megxl report {escape(_typed(journey.fine_tuned))}</code>.</p>",
    ))  # fmt: skip


def _typed(path: Path) -> str:
    """A path as somebody would type it where the demonstration was run."""
    whole, here = path.absolute(), Path.cwd()
    return shlex.quote(str(whole.relative_to(here) if whole.is_relative_to(here) else whole))


def _list(sentences: tuple[str, ...]) -> str:
    return f"<ul>{''.join(_items(sentences))}</ul>"


def _items(sentences: tuple[str, ...]) -> Iterator[str]:
    for sentence in sentences:
        yield f"<li>{escape(sentence)}</li>"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
