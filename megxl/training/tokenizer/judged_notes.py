"""What a person should know about judged tokenizers before comparing their numbers, one sentence each."""

from collections.abc import Iterator, Mapping
from typing import Any

from megxl.checkpoints.checkpoint import weights_warning
from megxl.tokenizer.biocodec import BioCodec
from megxl.training.intervals import FEW
from megxl.training.tokenizer.judged_windows import JudgedWindows
from megxl.training.trained_on import trained_on

FEW_TOKENS = 20
"""Tokens for each code below which usage and entropy are too low."""


def trained_signal(codec: BioCodec) -> Mapping[str, Any] | None:
    """What a codec was trained on (sfreq_hz, low_hz, high_hz, block_s, clip), if its checkpoint says so."""
    return codec.recipe.get("signal")


def tokenizer_notes(codec: BioCodec, windows: JudgedWindows, tokens: int) -> Iterator[str]:
    """Say what makes a tokenizer's numbers better, worse or less certain than they look."""
    if warning := weights_warning(codec.provenance):
        yield warning
    yield from _on_signal(codec, windows)
    told, judged = list(trained_on(codec.provenance)), list(dict.fromkeys(windows.keys))
    if not told:
        yield "Its checkpoint does not say which recordings it was trained on: these may be among them."
    elif shared := [key for key in judged if any(key in one["train"] for one in told)]:
        yield (
            f"It was trained on {len(shared)} of the {len(judged)} recordings (first: {shared[0]}): for those its "
            "numbers are not held out."
        )
    if tokens < FEW_TOKENS * codec.config.codes:
        yield (
            f"{tokens} tokens are few for {codec.config.codes} codes: usage, perplexity and entropy come out too low; "
            "take more windows or sensors."
        )


def window_notes(windows: JudgedWindows, intervals_over: str | None, flat: int, rows: int) -> Iterator[str]:
    """Say how windows and sensors were chosen, what was left out, and what the intervals are worth."""
    yield from windows.notes
    if flat:
        yield f"{flat} of {rows} rows are flat (they do not vary) and left out of all numbers."
    recordings = len(set(windows.keys))
    if intervals_over is None:
        yield "There is one window: no interval can be given."
    elif intervals_over == "windows":
        yield "The windows are of one recording: intervals are over windows and say nothing of other recordings."
    elif recordings < FEW:
        yield f"Intervals are over {recordings} recordings; over so few they are too narrow."


def _on_signal(codec: BioCodec, windows: JudgedWindows) -> Iterator[str]:
    trained = trained_signal(codec)
    if trained is None:
        yield "Its checkpoint does not say at which rate or on which signal it was trained."
        return
    prepared = windows.recordings[0].preparation
    here = {
        "sfreq_hz": windows.sfreq_hz,
        "low_hz": prepared.get("low_hz"),
        "high_hz": prepared.get("high_hz"),
        "block_s": windows.block_s,
        "clip": windows.clip,
    }
    other = {name: trained[name] for name in here if name in trained and trained[name] != here[name]}
    if other:
        differences = ", ".join(f"{name} {_told(value)} (here {_told(here[name])})" for name, value in other.items())
        yield f"It was trained on another signal: {differences}."


def _told(value: float | None) -> str:
    return "none" if value is None else f"{value:g}"
