"""What the page of a run says in words and tables: how it stands beside the guessers, codes in use, who trained.

Losses are in nats a code: the mean of -ln(probability that was given to the true code).
"""

import math
from collections.abc import Collection, Iterable, Iterator, Mapping
from html import escape
from typing import Any

from megxl.checkpoints.checkpoint import TRAINED_STEPS, weights_warning
from megxl.model.megxl import MEGXL
from megxl.reporting.html import facts_table, grid_table, list_html, warning_html
from megxl.reporting.style import ALARM
from megxl.reporting.training_figures import GUESSERS, last_value
from megxl.store.entry import StoredRecording
from megxl.tokenizer.biocodec import BioCodec
from megxl.training.runs import Run

Split = Mapping[str, Mapping[str, list[str]]]
"""Keys of the recordings of each part, by corpus."""


def summary_html(run: Run, model: MEGXL | None, lacking: str | None = None) -> str:
    """How the run stands, in a sentence and two tables, the warnings first and red."""
    warning = None if model is None else training_warning(model)
    verdict, good = verdict_of(run)
    colour = "inherit" if good else ALARM
    return "".join([
        "" if warning is None else warning_html(warning),
        f'<p style="font-size:1.15em;color:{colour}">{escape(verdict)}</p>',
        facts_table(_overview(run, model)),
        scores_html(run),
        list_html("Not to be shown", [lacking] if lacking else []),
    ])  # fmt: skip


def verdict_of(run: Run) -> tuple[str, bool]:
    """Say in a sentence how the model does beside the guessers, and whether that is well."""
    loss, baselines = last_value(run.validation(), "loss"), run.baselines()
    if math.isnan(loss):
        return "There is no validation yet: whether the model has learnt anything cannot be said.", True
    scores = [baselines[name]["loss"] for name in GUESSERS if name in baselines] if baselines else []
    if not scores:
        return f"Validation loss {loss:.3f} nats a code; what guessers score was not measured.", True
    gain = min(scores) - loss
    if gain <= 0:
        return (
            f"On recordings that it never saw, the model does not do better than a guesser: loss {loss:.3f} nats a "
            f"code, the better guesser {min(scores):.3f}.",
            False,
        )
    return (
        f"On recordings that it never saw, the model is {gain:.3f} nats a code better than the better guesser (loss "
        f"{loss:.3f} against {min(scores):.3f}): on average it gives the true code {math.exp(gain):.2f} times the "
        "probability.",
        True,
    )


def scores_html(run: Run) -> str:
    """Table of the last validation beside the guessers; nothing before there is one."""
    rows, baselines = run.validation(), run.baselines() or {}
    if not rows:
        return ""
    columns = ["loss", "accuracy", *level_columns(rows)]
    heads = ["", "loss (nats)", "undecided among", "accuracy",
             *(f"loss, level {n}" for n in range(1, len(columns) - 1))]  # fmt: skip
    scores: list[tuple[str, Mapping[str, Any]]] = [("model", {name: last_value(rows, name) for name in columns})]
    scores += [(GUESSERS[name][0], baselines[name]) for name in ("last_token", "unigram") if name in baselines]
    if "chance" in baselines:
        chance = baselines["chance"]
        scores.append(("chance", dict.fromkeys(columns, chance) | {"accuracy": math.exp(-chance)}))
    lines = [
        (
            name,
            _nats(told.get("loss")),
            _codes(told.get("loss")),
            _percent(told.get("accuracy")),
            *(_nats(told.get(column)) for column in columns[2:]),
        )
        for name, told in scores
    ]
    return f"<h4>Last validation, beside the guessers</h4>{grid_table(heads, lines, bold=0)}"


def usage_html(baselines: Mapping[str, Any] | None) -> str:
    """Table of how the tokenizer uses its codes on these recordings; a sentence where it was not counted."""
    usage = (baselines or {}).get("usage")
    if not usage:
        return "<p>The use of codes has not been counted yet.</p>"
    levels = len(next(iter(usage.values()))["all"]["perplexity"])
    heads = ["", "tokens", *(f"level {n}" for n in range(1, levels + 1))]
    lines = [
        (
            f"{part}, {corpus}",
            f"{told['tokens']:,}",
            *(f"{p:.0f} ({100 * u:.0f} %)" for p, u in zip(told["perplexity"], told["used"], strict=True)),
        )
        for part, corpora in usage.items()
        for corpus, told in corpora.items()
    ]
    sentence = (
        "How many codes of each level are in effective use (perplexity), and which share of them occurs at all: few "
        "codes doing all the work mean a codec that does not fit these recordings, or flat and broken signals."
    )
    return f"<p>{sentence}</p>{grid_table(heads, lines)}"


def split_html(split: Split | None) -> str:
    """List the recordings that trained and those that validated, by corpus."""
    if split is None:
        return "<p>The run has not yet chosen its recordings.</p>"
    counts = [(corpus, f"{len(parts['train']):,}", f"{len(parts['validation']):,}") for corpus, parts in split.items()]
    table = grid_table(("corpus", "recordings that train", "recordings that validate"), counts)
    lists = "".join(
        f"<details><summary>{escape(corpus)}: {part}, {len(parts[part])}</summary>"
        f"<p style='font-size:.85em'>{escape(', '.join(parts[part]) or 'none')}</p></details>"
        for corpus, parts in split.items()
        for part in ("validation", "train")
    )
    shared = [key for parts in split.values() for key in set(parts["train"]) & set(parts["validation"])]
    told = (
        warning_html(f"{len(shared)} recordings both train and validate (first: {min(shared)}).")
        if shared
        else "<p>No recording that validates is trained on.</p>"
    )
    return f"{told}{table}{lists}"


def training_warning(model: MEGXL) -> str | None:
    """One loud sentence if the pictures of this model would be taken for more than they are, else None."""
    origin = model.provenance.get("source") or model.provenance
    codec = origin.get("tokenizer") or (model.tokenizer.provenance if model.tokenizer is not None else {})
    if weights_warning(codec):
        return (
            "UNTRAINED TOKENIZER: its codes stand for nothing that was learnt; compare losses with the guessers', and "
            "do not look at signals."
        )
    steps = model.provenance.get("steps")
    if steps is not None and steps < TRAINED_STEPS:
        return f"HARDLY TRAINED: {steps} steps; what the model fills in means little before {TRAINED_STEPS}."
    return weights_warning(model.provenance)


def level_columns(rows: Iterable[Mapping[str, float]], quantity: str = "loss") -> list[str]:
    """Columns of a quantity by level, in their order."""
    names = {name for row in rows for name in row if name.startswith(f"{quantity}_level_")}
    return sorted(names, key=lambda name: int(name.rpartition("_")[2]))


def simulated_warning(recordings: Collection[StoredRecording], which: str) -> str | None:
    """One loud sentence if some of these recordings were made by the simulator, else None."""
    simulated = [one for one in recordings if any("Simulated by megxl" in note for note in one.notes)]
    if not simulated:
        return None
    return (
        f"SIMULATED: {len(simulated)} of {len(recordings)} {which} recordings were made by megxl simulate; nobody was "
        "measured."
    )


def state_of(run: Run) -> str:
    """Say how far a run is."""
    status = run.status
    return f"{status['state']} at step {status['step']:,}, epoch {status['epoch']}"


def weights_of(model: MEGXL | BioCodec) -> str:
    """Name weights by their file, steps and digest."""
    told = model.provenance
    steps = "" if told.get("steps") is None else f" after {told['steps']:,} steps"
    digest = f" (SHA-256 {told['sha256'][:12]})" if told.get("sha256") else ""
    return f"{told.get('file', told['weights'])}{steps}{digest}"


def _overview(run: Run, model: MEGXL | None) -> Iterator[tuple[str, Any]]:
    config = run.config
    yield "run", run.name
    yield "state", state_of(run)
    if message := run.status.get("message"):
        yield "message", message
    yield "corpora", ", ".join(block.type for block in config.datasets_config)
    yield "window", f"{config.data.segment_length:g} s, {config.batch_size} in a batch of a device"
    if model is not None:
        sizes = model.config
        yield "model", f"{sizes.layers} layers of width {sizes.width}, {sizes.levels} levels of {sizes.codes} codes"
        yield "weights shown", weights_of(model)


def _nats(loss: float | None) -> str:
    return "-" if loss is None or math.isnan(loss) else f"{loss:.3f}"


def _codes(loss: float | None) -> str:
    return "-" if loss is None or math.isnan(loss) else f"{math.exp(loss):.1f} codes"


def _percent(share: float | None) -> str:
    return "-" if share is None or math.isnan(share) else f"{100 * share:.2f} %"
