"""What the page of a tokenizer says first: how much it gives back, against what, and what speaks against it."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from html import escape
from typing import Any

from megxl.checkpoints.checkpoint import TRAINED_STEPS, weights_warning
from megxl.reporting.html import facts_table, list_html, warning_html
from megxl.reporting.style import ALARM
from megxl.reporting.tokenizer.opening import Look
from megxl.reporting.tokenizer.score_figures import CONTROLS, Estimate, Scores
from megxl.reporting.training_figures import last_value
from megxl.reporting.training_tables import simulated_warning, state_of, weights_of
from megxl.store.entry import StoredRecording
from megxl.tokenizer.biocodec import BioCodec
from megxl.training.runs import Run
from megxl.training.tokenizer.config import TokenizerConfig

FEWEST_USED = 0.25
"""Of the codes of the first level, for a code book that did not collapse."""


def verdict_of(run: Run[TokenizerConfig], scores: Scores | None) -> tuple[str, bool]:
    """Say in a sentence what a tokenizer gives back of recordings that it never saw, and whether that is well."""
    if scores is None:
        r = last_value(run.validation(), "r")
        if math.isnan(r):
            return "There is no validation yet: whether the tokenizer has learnt anything cannot be said.", True
        return f"Pearson r {r:.3f} in the last validation; it has not been judged beside controls.", True
    controls = {name: scores["controls"][name]["r"] for name in CONTROLS if name in scores["controls"]}
    beaten = all(_surely_above(scores["r"], control) for control in controls.values())
    used = scores["levels"][0]["usage"]
    said = (
        f"What the tokenizer gives back of held-out recordings correlates with them by r = "
        f"{number(scores['r']['mean'])}{interval(scores['r'])}, with {percent(used)} of its first level's codes in use"
    )
    if controls:
        told = ", ".join(f"{CONTROLS[name]} {number(one['mean'])}"
                         for name, one in controls.items())  # fmt: skip
        said += f" (controls: {told})"
    if not beaten:
        return f"{said}. It is not shown to do better than these.", False
    if used < FEWEST_USED:
        return f"{said}. Most codes of the first level are never used.", False
    return f"{said}.", True


def summary_html(run: Run[TokenizerConfig], look: Look, warnings: Sequence[str]) -> str:
    """The verdict and its circumstances, warnings first and red."""
    verdict, good = verdict_of(run, look.scores)
    return "".join([
        *map(warning_html, warnings),
        f'<p style="font-size:1.15em;color:{"inherit" if good else ALARM}">{escape(verdict)}</p>',
        facts_table(_overview(run, look.codec, look.scores)),
        list_html("Notes", look.notes),
        list_html("Not to be shown", look.lacking),
    ])  # fmt: skip


def warnings_of(codec: BioCodec | None, recordings: Sequence[StoredRecording]) -> list[str]:
    """Loud sentences: weights that hardly any training touched, recordings that nobody was measured in."""
    return [warning for warning in (_untrained(codec), simulated_warning(recordings, "held-out")) if warning]


def number(value: float | None, digits: int = 3) -> str:
    """A number, or a dash for what could not be measured."""
    return "-" if value is None or math.isnan(value) else f"{value:.{digits}f}"


def percent(share: float | None) -> str:
    """A share in per cent."""
    return "-" if share is None or math.isnan(share) else f"{100 * share:.0f} %"


def interval(estimate: Estimate, digits: int = 3) -> str:
    """An interval in brackets; nothing where there is none."""
    if estimate["low"] is None:
        return ""
    # a line breaks before it, never within
    return f" ({number(estimate['low'], digits)}\u00a0to\u00a0{number(estimate['high'], digits)})"


def _untrained(codec: BioCodec | None) -> str | None:
    """Say if weights are random or new; few steps may do for a codec, and what it gives back is measured here."""
    if codec is None:
        return None
    steps = codec.provenance.get("steps")
    if steps and steps < TRAINED_STEPS:
        return f"HARDLY TRAINED: {steps} steps; a codec usually gets better for many thousands."
    return weights_warning(codec.provenance)


def _surely_above(one: Estimate, other: Estimate) -> bool:
    """Whether the interval of one lies above that of the other; means decide where there is no interval."""
    low = one["mean"] if one["low"] is None else one["low"]
    high = other["mean"] if other["high"] is None else other["high"]
    return low is not None and (high is None or low > high)


def _overview(run: Run[TokenizerConfig], codec: BioCodec | None, scores: Scores | None) -> Iterator[tuple[str, Any]]:
    config = run.config
    yield "run", run.name
    yield "state", state_of(run)
    if message := run.status.get("message"):
        yield "message", message
    yield "corpora", ", ".join(block.type for block in config.datasets_config)
    yield "began with", config.model.init_from or "random weights"
    yield "signal", _signal(config.data)
    sensors = config.data.sensors_per_window
    yield (
        "trained on",
        (
            f"windows of {config.data.segment_length:g} s, {config.training.batch_size} in a batch of a device, "
            f"{'all' if sensors is None else sensors} sensors of each"
        ),
    )
    if codec is not None:
        sizes: Mapping[str, Any] = asdict(codec.config)
        rate_hz = config.data.target_sfreq / codec.config.samples_per_token
        yield "codes", f"{sizes['levels']} levels of {sizes['codes']}, {rate_hz:.3g} tokens a second"
        yield "weights", f"{sum(weight.numel() for weight in codec.parameters()):,}"
        yield "weights shown", weights_of(codec)
    if scores is not None:
        r = scores["r"]
        yield (
            "r of single rows",
            f"median {number(r['median'])}, 9 in 10 between {number(r['p5'])} and {number(r['p95'])}",
        )
        bits = scores["bits_per_second"]
        yield "bits a second and sensor", f"{bits['nominal']:.1f}; {bits['entropy']:.1f} coded by how often codes occur"


def _signal(data: Any) -> str:
    block = "the whole window" if data.block_s is None else f"blocks of {data.block_s:g} s"
    band = f"{data.l_freq:g} to {data.h_freq:g} Hz" if data.h_freq is not None else f"from {data.l_freq:g} Hz"
    return f"{band} at {data.target_sfreq:g} Hz, scaled in {block}, clipped at {data.clip:g} interquartile ranges"
