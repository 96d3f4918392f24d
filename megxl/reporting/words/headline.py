"""What the page of a decoder says first: how well, against what, by which protocol, and what leaks."""

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

from megxl.checkpoints.checkpoint import weights_warning
from megxl.decoding.codec_features import CodecBackbone
from megxl.decoding.decoder import MEGXLBackbone
from megxl.decoding.saved_decoder import SavedDecoder
from megxl.reporting.html import facts_table, list_html, warning_html
from megxl.reporting.style import ALARM
from megxl.reporting.training_tables import simulated_warning, state_of
from megxl.reporting.words.scores import TEST, Scored, difference_text, interval_text, score, told
from megxl.store.entry import StoredRecording
from megxl.training.runs import PREDICTIONS, Run
from megxl.training.words.chosen_metrics import metric_named
from megxl.training.words.config import WordsConfig

CONTROLS = {
    "noise": "the decoder was given noise in place of the signal",
    "time_shuffle": "the decoder was given windows from other places of the recordings",
    "shuffled_words": "words were exchanged, so that they have nothing to do with the signal",
    "duration_only": "the decoder was given nothing but the durations of words",
    "frequency_only": "nothing was trained: the answer is always the most frequent words",
    "random_backbone": "the backbone has random weights, which no pre-training touched",
}
NO_PREDICTIONS = "There are no predictions of the test: how well words are decoded cannot be said."
PROTOCOLS = {
    "official": "the corpus's own partitions",
    "published": "the split and the vocabulary of the published runs",
    "strict": "no text and no signal is shared between training and test, words to choose from are of training",
}


def verdict_of(scored: Scored) -> tuple[str, bool]:
    """Say in a sentence how a decoder does beside chance and the frequent words, and whether that is well."""
    said = f"{told(scored.metric).capitalize()}: {100 * scored.value:.1f} %"
    if scored.interval is None:
        return f"{said}, chance {100 * scored.chance:.1f} %; one group of words alone has no interval.", True
    level = f"{100 * scored.interval.level:.0f} % interval {interval_text(scored)}"
    beaten, floor = scored.interval.low > scored.chance, f"chance {100 * scored.chance:.1f} %"
    if scored.frequency is not None:
        beaten = beaten and scored.interval.low > scored.frequency
        floor += f", frequent words {100 * scored.frequency:.1f} %"
    verdict = "above both" if scored.frequency is not None else "above it"
    return f"{said} ({level}; {floor}): {verdict if beaten else 'this is not shown to be better'}.", beaten


def verdict_of_run(run: Run[WordsConfig]) -> tuple[str, bool]:
    """Verdict on the saved predictions of a run; a control need not be good."""
    if not (run.path / PREDICTIONS / TEST).is_dir():
        return NO_PREDICTIONS, True
    verdict, good = verdict_of(score(run))
    return verdict, good or run.config.control != "none"


def summary_html(
    run: Run[WordsConfig],
    scored: Scored | None,
    others: Sequence[Scored],
    warnings: Sequence[str],
    lacking: Sequence[str],
) -> str:
    """The verdict and its circumstances, warnings first and red."""
    verdict, good = verdict_of(scored) if scored else (NO_PREDICTIONS, True)
    colour = "inherit" if good or run.config.control != "none" else ALARM
    about = about_of(run)
    leaks = [str(leak) for leak in about.get("leaks") or ()]
    return "".join([
        *map(warning_html, warnings),
        f'<p style="font-size:1.15em;color:{colour}">{escape(verdict)}</p>',
        facts_table(_overview(run, scored, others)),
        list_html("What leaks in this protocol", leaks),
        list_html("Notes", _notes(scored, about)),
        list_html("Not to be shown", lacking),
    ])  # fmt: skip


def about_of(run: Run[WordsConfig]) -> Mapping[str, Any]:
    """What results.json says of the run; nothing before there is one."""
    return (run.results() or {}).get("about", {})


def warnings_of(saved: SavedDecoder | None, recordings: Mapping[str, StoredRecording]) -> list[str]:
    """Loud sentences: recordings that nobody was measured in, weights that no training touched."""
    simulated = simulated_warning(recordings.values(), "test")
    warnings = [] if simulated is None else [simulated]
    backbone = None if saved is None else saved.decoder.backbone
    provenance = (
        backbone.model.provenance if isinstance(backbone, MEGXLBackbone)
        else backbone.tokenizer.provenance if isinstance(backbone, CodecBackbone) else {}
    )  # fmt: skip
    if weights_warning(provenance):
        warnings.append("NO PRE-TRAINED BACKBONE: before this run its weights were random or hardly trained; the "
                        "result says nothing about pre-training.")  # fmt: skip
    return warnings


def _overview(run: Run[WordsConfig], scored: Scored | None, others: Sequence[Scored]) -> Iterator[tuple[str, Any]]:
    config, name = run.config, run.config.data.protocol_name
    words = None if scored is None else len(scored.predictions.vocabulary)
    yield "run", run.name
    yield "state", state_of(run)
    if message := run.status.get("message"):
        yield "message", message
    yield "corpus", config.data.dataset_type
    yield "decoder", f"{config.command}, backbone {config.model.backbone}, head {config.head}"
    yield "protocol", f"{name}: {PROTOCOLS[name]}"
    if about_of(run).get("leaks") == []:
        yield "leaks", "none found"
    if config.control != "none":
        yield "control", f"{config.control}: {CONTROLS[config.control]}"
    yield "reported metric", metric_named(config.evaluation, "reported", words).name
    yield "selection metric", f"{metric_named(config.evaluation, 'selection', words).name}, of validation"
    if scored is None:
        return
    columns = scored.predictions.occurrences
    yield "test words", f"{len(columns):,}, of which {len(scored.places):,} are candidates"
    yield "test groups", f"{len(set(columns.groups)):,} of {len(set(columns.recordings)):,} recordings"
    yield "test subjects", f"{len(set(columns.subjects)):,}"
    yield "chance", f"{100 * scored.chance:.1f} %"
    if scored.frequency is not None:
        yield "frequent words, always", f"{100 * scored.frequency:.1f} %"
    for other in others:
        above = difference_text(scored, other, config.evaluation.resamples)
        yield f"beside it: {other.name}", f"{100 * other.value:.1f} % ({interval_text(other)}); {above}"


def _notes(scored: Scored | None, about: Mapping[str, Any]) -> list[str]:
    notes = [str(note) for note in about.get("notes") or ()]
    if scored is not None:
        notes += scored.places.notes
        notes += scored.interval.notes if scored.interval else ("There is one group only: no interval can be given.",)
    return list(dict.fromkeys(notes))
