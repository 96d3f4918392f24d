"""What a person can choose about an extraction, checked before anything heavy starts."""

import math
from dataclasses import dataclass
from typing import Any, Literal, get_args

from megxl.errors import InputError
from megxl.signals.normalization import BLOCK_S

TRAINED_WINDOW_S = 150.0

Channels = Literal["auto", "meg", "mag", "grad", "eeg", "meg+eeg"]
Bads = Literal["mask", "interpolate", "keep"]
Reference = Literal["average", "recorded"]
Pooling = Literal["none", "sensor", "time"]
Dtype = Literal["float32", "bfloat16"]


@dataclass(frozen=True, kw_only=True)
class ExtractionSettings:
    """How a recording becomes features."""

    window_s: float = TRAINED_WINDOW_S
    """Seconds that the model sees at once: whole tokens (0.24 s), and whole blocks of 3 s too if a multiple of 6 s."""
    channels: Channels = "auto"
    """Which sensors: all MEG or else EEG ("auto"), "meg", "mag", "grad", "eeg" or "meg+eeg"."""
    exclude: tuple[str, ...] = ()
    """Names of channels to leave out."""
    bads: Bads = "mask"
    """Channels marked bad: no part in attention ("mask"), "interpolate" them, or "keep" them."""
    reference: Reference = "average"
    """Electrodes: less the mean of the good ones ("average"), or as they were "recorded"."""
    pooling: Pooling = "none"
    """Every token ("none"), one vector a sensor and window ("sensor"), or one a time step ("time")."""
    layer: int = -1
    """Features after this many layers: 0 is the embedding, -1 the last layer."""
    dtype: Dtype = "float32"
    """Arithmetic of the model; features are stored as float32 either way."""

    def __post_init__(self) -> None:
        _check_choice("channels", self.channels, Channels)
        _check_choice("bads", self.bads, Bads)
        _check_choice("reference", self.reference, Reference)
        _check_choice("pooling", self.pooling, Pooling)
        _check_choice("dtype", self.dtype, Dtype)

    def window_samples(self, sfreq_hz: float, samples_per_token: int) -> int:
        """Samples in a window, or an `InputError` unless they make whole tokens.

        The length of training is good for any tokenizer: its last token lacks samples now where it did then.
        """
        if not math.isfinite(self.window_s):
            raise InputError(
                f"A window of {self.window_s:g} s has no length: give a number of seconds; "
                f"the model was trained with {TRAINED_WINDOW_S:g} s."
            )
        samples = self.window_s * sfreq_hz
        if self.window_s == TRAINED_WINDOW_S and round(samples) >= samples_per_token:
            return round(samples)
        tokens = round(samples / samples_per_token)
        if tokens < 1 or abs(tokens * samples_per_token - samples) > 1e-6 * samples:
            step_s = whole_step_s(sfreq_hz, samples_per_token)
            near_s = max(1, round(self.window_s / step_s)) * step_s
            raise InputError(
                f"A window of {self.window_s:g} s is not a positive multiple of one token "
                f"({samples_per_token / sfreq_hz:g} s). The nearest of whole tokens and whole blocks of {BLOCK_S:g} s: "
                f"{near_s:g} s; the model was trained with {TRAINED_WINDOW_S:g} s."
            )
        return tokens * samples_per_token

    def layer_index(self, layers: int) -> int:
        """The layer counted from the embedding (0) to the last (`layers`), or an `InputError` if there is none such."""
        if not -1 <= self.layer <= layers:
            raise InputError(
                f"There is no layer {self.layer}: this model has {layers} layers, "
                f"so choose 0 (the embedding) to {layers}, or -1 for the last."
            )
        return layers if self.layer == -1 else self.layer


def whole_step_s(sfreq_hz: float, samples_per_token: int) -> float:
    """Shortest time of whole tokens that is whole blocks of scaling as well: 6 s at 50 Hz and 12 samples a token."""
    return math.lcm(round(BLOCK_S * sfreq_hz), samples_per_token) / sfreq_hz


def _check_choice(name: str, value: str, choices: Any) -> None:
    if value not in get_args(choices):
        raise InputError(f"{name}={value!r} is not known: choose one of {', '.join(get_args(choices))}.")
