"""What judging tokenizers found, and how it is written as JSON.

`Judged.to_dict()`; an ESTIMATE is {"mean", "low", "high"} (95 %; null where nothing can be said), C sensors, Q levels:

    {"windows": {"number", "of", "window_s", "sfreq_hz", "block_s", "clip", "sensors", "rows", "flat_rows",
                 "bad_sensors", "recordings": {key: windows}, "intervals_over": "recordings" | "windows" | null, "seed",
                 "notes": [...]},
     "tokenizers": {name: {
        "sizes": {...}, "provenance": {...}, "signal": {...} or null, "parameters", "samples_per_token", "tokens",
        "r": ESTIMATE + {"median", "p5", "p95"},
        "si_sdr_db": the same, "variance_explained": the same,
        "r_beside_first": ESTIMATE or null,            its r minus that of the first tokenizer, on the same rows
        "bands": {"delta": ESTIMATE, ...},             error over signal in dB: 0 is as bad as silence
        "levels": [{"level": 1, "usage", "perplexity", "entropy_bits", "r": ESTIMATE, "counts": [V]}, ...],
                                                       "r": decoded from this level and those before it
        "bits_per_second": {"nominal", "entropy"},     of one sensor
        "robustness": [{"kind": "noise" | "gain_before" | "gain_after", "amount": dB or factor,
                        "kept": ESTIMATE, "kept_first": ESTIMATE, "r": ESTIMATE}, ...],
        "kept_by_chance": share of equal codes in tokens that have nothing to do with each other,
        "controls": {"shuffled": {"r", "si_sdr_db", "variance_explained"}, "random": the same},   ESTIMATEs
        "sensors": [{"names", "positions_C3", "orientations_C3", "kinds_C", "recordings", "r_C", "error_C", "rows_C"}],
                                                       by sensor array; null where a sensor was not looked at
        "notes": [...]}}}
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, is_dataclass
from typing import Any

import numpy as np

from megxl.signals.sensors import SensorArray


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A mean over rows (one sensor of one window each), with an interval of 95 %."""

    mean: float | None
    """None: no row could be measured."""
    low: float | None = None
    """None: there is but one window."""
    high: float | None = None


@dataclass(frozen=True, kw_only=True)
class Spread(Estimate):
    """A mean, and how rows differ."""

    median: float | None
    p5: float | None
    p95: float | None


@dataclass(frozen=True, kw_only=True, eq=False)
class LevelScores:
    """One level of the quantizer; entropy and perplexity are of the codes counted, without regard to order."""

    level: int
    """From 1."""
    usage: float
    """Share of the codes that were chosen at least once."""
    perplexity: float
    """Codes that would be used so evenly: 2 to the power of the entropy."""
    entropy_bits: float
    r: Estimate
    """Of what is decoded from this level and those before it."""
    counts: np.ndarray
    """How often each code was chosen."""


@dataclass(frozen=True, kw_only=True)
class Disturbed:
    """What becomes of the codes when the signal is disturbed."""

    kind: str
    """noise (white, added to the normalised signal), gain_before or gain_after (its normalisation)."""
    amount: float
    """Signal over noise in dB, or the factor."""
    kept: Estimate
    """Share of codes, of all levels, that stay as they were."""
    kept_first: Estimate
    """The same of the first level."""
    r: Estimate
    """Of the decoded signal with the undisturbed one."""


@dataclass(frozen=True, kw_only=True)
class Control:
    """How well it does without what should make it good."""

    r: Estimate
    si_sdr_db: Estimate
    variance_explained: Estimate


@dataclass(frozen=True, kw_only=True, eq=False)
class SensorErrors:
    """Sensors of one array, each by itself; NaN where a sensor was never looked at, or was flat."""

    sensors: SensorArray
    recordings: tuple[str, ...]
    """Keys of the recordings with this array."""
    r_C: np.ndarray
    error_C: np.ndarray
    """Power of the error over that of the signal."""
    rows_C: np.ndarray
    """Windows in which it was looked at."""


@dataclass(frozen=True, kw_only=True, eq=False)
class TokenizerScores:
    """How good one tokenizer is; the fields are those of the JSON above."""

    sizes: Mapping[str, Any]
    provenance: Mapping[str, Any]
    signal: Mapping[str, Any] | None
    """What it was trained on, where that is known: rate, edges of the filter, block, clip."""
    parameters: int
    samples_per_token: int
    tokens: int
    """Tokens that were counted for the statistics of codes."""
    r: Spread
    si_sdr_db: Spread
    variance_explained: Spread
    r_beside_first: Estimate | None
    bands: Mapping[str, Estimate]
    levels: tuple[LevelScores, ...]
    bits_per_second: Mapping[str, float]
    robustness: tuple[Disturbed, ...]
    kept_by_chance: float
    """What few codes in use would keep by themselves: the chance that two tokens share a code, mean over levels."""
    controls: Mapping[str, Control]
    sensors: tuple[SensorErrors, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class WindowFacts:
    """On what all tokenizers were judged."""

    number: int
    of: int
    """Windows that there are."""
    window_s: float
    sfreq_hz: float
    block_s: float | None
    """Seconds that are normalised together; None: the window."""
    clip: float
    sensors: int | None
    """At most so many of each window; None: all good ones."""
    rows: int
    """Sensors of all windows that were looked at."""
    flat_rows: int
    """Those left out because their normalised signal does not vary."""
    bad_sensors: int
    """Sensors marked bad, summed over the windows; never looked at."""
    recordings: Mapping[str, int]
    """Windows of each recording."""
    intervals_over: str | None
    """What is drawn anew for the intervals: recordings, or windows where there is one recording; None: one window."""
    seed: int
    notes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Judged:
    """Tokenizers, judged on the same rows of the same windows."""

    windows: WindowFacts
    tokenizers: Mapping[str, TokenizerScores]
    """By name, in the order in which they were given."""

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON can hold, as the head of this file lists it."""
        return _plain(self)


def _plain(value: Any) -> Any:
    if isinstance(value, SensorErrors):
        array = {name: _plain(part) for name, part in vars(value.sensors).items()}
        return array | {name: _plain(part) for name, part in vars(value).items() if name != "sensors"}
    if is_dataclass(value) and not isinstance(value, type):
        return {name: _plain(part) for name, part in vars(value).items()}
    if isinstance(value, Mapping):
        return {str(name): _plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    return None if isinstance(value, float) and not math.isfinite(value) else value
