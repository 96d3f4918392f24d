"""Judged tokenizers on a terminal or in a pipe: one column a tokenizer, one line a measure."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from megxl.cli.tables import print_columns

if TYPE_CHECKING:
    from megxl.training.tokenizer.judged import Estimate, Judged, TokenizerScores

_DISTURBANCES = {"noise": "noise {:g} dB", "gain_before": "gain {:g} x", "gain_after": "gain {:g} x, normalised"}


def print_judged(judged: "Judged") -> None:
    """Print all tokenizers side by side, and the notes."""
    told = list(judged.tokenizers.values())
    lines = [["", *judged.tokenizers]]
    for what, tell in _measures(judged):
        lines.append([what, *(tell(scores) for scores in told)])
    print_columns(lines)
    for note in judged.windows.notes:
        print(f"note: {note}")
    for name, scores in judged.tokenizers.items():
        for note in scores.notes:
            print(f"note: {name}: {note}")


def _measures(judged: "Judged") -> Iterator[tuple[str, Callable[["TokenizerScores"], str]]]:
    """Name each line and say how to read it off a tokenizer."""
    told = list(judged.tokenizers.values())
    yield "r (95 %)", lambda one: _told(one.r)
    if len(told) > 1:
        yield f"r beside {next(iter(judged.tokenizers))}", lambda one: _told(one.r_beside_first, "+.3f")
    yield "r, 5 % of rows below", lambda one: "-" if one.r.p5 is None else f"{one.r.p5:.3f}"
    yield "SI-SDR (dB)", lambda one: _told(one.si_sdr_db, ".1f")
    yield "variance explained", lambda one: _told(one.variance_explained, ".1%")
    for band in told[0].bands:
        yield f"error, {band} (dB)", lambda one, band=band: _told(one.bands[band], ".1f")
    yield "codes of a token", lambda one: f"{len(one.levels)} of {len(one.levels[0].counts)}"
    yield "samples of a token", lambda one: f"{one.samples_per_token}"
    yield "bits per second", lambda one: "{entropy:.0f} ({nominal:.0f} nominal)".format(**one.bits_per_second)
    for level in range(max(len(one.levels) for one in told)):
        yield f"level {level + 1}: r, used, perplexity", lambda one, level=level: _level(one, level)
    for place, one in enumerate(told[0].robustness):
        what = _DISTURBANCES[one.kind].format(one.amount)
        yield f"{what}: codes kept, r", lambda one, place=place: _kept(one, place)
    yield "codes kept by chance", lambda one: f"{one.kept_by_chance:.1%}"
    yield "shuffled codes: r", lambda one: _told(one.controls["shuffled"].r)
    yield "random weights: r", lambda one: _told(one.controls["random"].r)


def _level(scores: "TokenizerScores", place: int) -> str:
    if place >= len(scores.levels):
        return "-"
    level = scores.levels[place]
    return f"{_mean(level.r)}, {level.usage:.1%}, {level.perplexity:.1f}"


def _kept(scores: "TokenizerScores", place: int) -> str:
    found = scores.robustness[place]
    return f"{_mean(found.kept, '.1%')} (level 1: {_mean(found.kept_first, '.1%')}), {_mean(found.r)}"


def _mean(estimate: "Estimate", form: str = ".3f") -> str:
    return "-" if estimate.mean is None else f"{estimate.mean:{form}}"


def _told(estimate: "Estimate | None", form: str = ".3f") -> str:
    if estimate is None:
        return "-"
    bounds = "" if estimate.low is None else f" [{estimate.low:{form}}, {estimate.high:{form}}]"
    return f"{_mean(estimate, form)}{bounds}"
