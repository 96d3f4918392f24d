"""Sizes of codec and model, checked on construction, and the presets; plain numbers that every room may read."""

import math
from dataclasses import dataclass
from typing import Any

from megxl.errors import InputError

ROTARY_BASE = 10_000.0
"""Base of the rotary frequencies, the same in all released weights."""
MOST_STAGES, MOST_PARTS, MOST = 32, 1000, 10**7
"""Of stages; of blocks, layers and levels; of anything else: so that no nonsense number asks for an endless network."""


@dataclass(frozen=True, kw_only=True)
class BioCodecConfig:
    """Sizes of a codec; the defaults are those of the published one (3,152,770 parameters)."""

    filters: int = 32
    """Width of the first convolution; it doubles at every stride."""
    strides: tuple[int, ...] = (2, 2, 3)
    """Down-sampling of the encoder's stages; their product is the samples in a token."""
    blocks: int = 2
    """Residual blocks a stage."""
    kernel: int = 3
    """Samples in a kernel, strided convolutions aside."""
    lstm_layers: int = 2
    """Layers of the recurrent middle."""
    width: int = 128
    """Width of the encoder's output."""
    levels: int = 6
    """Levels of the residual quantizer."""
    codes: int = 256
    """Codes in each level's code book."""
    code_width: int = 16
    """Width of a code vector."""

    def __post_init__(self) -> None:
        """Refuse impossible sizes by name."""
        if not isinstance(self.strides, list | tuple) or not 1 <= len(self.strides) <= MOST_STAGES:
            raise InputError(
                f"BioCodecConfig: strides must be a list of 1 to {MOST_STAGES} whole numbers, not {self.strides!r}."
            )
        object.__setattr__(self, "strides", tuple(self.strides))
        for stride in self.strides:
            _check_count("BioCodecConfig: strides", stride)
        for name in ("blocks", "lstm_layers", "levels"):
            _check_count(f"BioCodecConfig: {name}", getattr(self, name), most=MOST_PARTS)
        for name in ("filters", "kernel", "width", "codes", "code_width"):
            _check_count(f"BioCodecConfig: {name}", getattr(self, name))

    @property
    def samples_per_token(self) -> int:
        """Samples of signal in one token (12)."""
        return math.prod(self.strides)


@dataclass(frozen=True, kw_only=True)
class MEGXLConfig:
    """Sizes of a model; the defaults are those of the published one (22,112,768 trained parameters)."""

    width: int = 512
    """Features of a token; half attend over time, half over sensors."""
    layers: int = 8
    """Criss-cross layers."""
    heads: int = 8
    """Attention heads; half of them temporal, half spatial."""
    levels: int = 6
    """Levels of the tokenizer."""
    codes: int = 256
    """Codes in each level's code book."""
    code_width: int = 16
    """Width of a code vector."""
    fourier_width: int = 250
    """Fourier features of a sensor's position, and as many of its orientation."""
    sensor_kinds: int = 2
    """Rows of the sensor-kind table: gradiometer and magnetometer, or these and electrode (3)."""
    sfreq_hz: float = 50.0
    """Sampling rate of the signal."""
    samples_per_token: int = 12
    """Samples in a token."""
    mask_duration_s: float = 3.0
    """Length of a masked run."""
    masked_blocks: int = 20
    """Masked runs a window (of the 50 blocks of 3 s in 150 s)."""
    dropout: float = 0.1
    """In training: of attention weights and of the feed-forward output."""

    def __post_init__(self) -> None:
        """Refuse impossible sizes by name."""
        for name in ("layers", "levels"):
            _check_count(f"MEGXLConfig: {name}", getattr(self, name), most=MOST_PARTS)
        for name in ("width", "heads", "codes", "code_width", "fourier_width", "sensor_kinds", "samples_per_token"):
            _check_count(f"MEGXLConfig: {name}", getattr(self, name))
        _check_count("MEGXLConfig: masked_blocks", self.masked_blocks, least=0)
        if self.heads % 2 or self.width % (2 * self.heads):
            raise InputError(
                f"MEGXLConfig: heads must be even and width a multiple of 2 x heads, so that half of the heads share "
                f"half of the width in even parts; not width {self.width} with {self.heads} heads."
            )
        if self.fourier_width % 2:
            raise InputError(f"MEGXLConfig: fourier_width must be even (sines and cosines), not {self.fourier_width}.")
        if self.sensor_kinds not in (2, 3):
            raise InputError(f"MEGXLConfig: sensor_kinds must be 2 or 3, not {self.sensor_kinds}.")
        for name in ("sfreq_hz", "mask_duration_s"):
            value = getattr(self, name)
            if not _is_number(value) or value <= 0:
                raise InputError(f"MEGXLConfig: {name} must be a number above 0, not {value!r}.")
        if not _is_number(self.dropout) or not 0 <= self.dropout < 1:
            raise InputError(f"MEGXLConfig: dropout must be a number from 0 and below 1, not {self.dropout!r}.")


def _check_count(what: str, value: Any, *, least: int = 1, most: int = MOST) -> None:
    if type(value) is not int or not least <= value <= most:
        raise InputError(f"{what} must be a whole number from {least} to {most:,}, not {value!r}.")


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


PRESETS: dict[str, MEGXLConfig] = {
    "tiny": MEGXLConfig(width=64, layers=2, heads=4, fourier_width=50),
    "small": MEGXLConfig(width=256, layers=4, heads=4),
    "med": MEGXLConfig(),
    "large": MEGXLConfig(width=1024, layers=16, heads=16),
}
"""Models by name; `med` is the published one."""
