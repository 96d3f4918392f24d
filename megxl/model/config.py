"""Sizes of a MEG-XL model, checked on construction, and the published presets."""

from dataclasses import dataclass

from megxl.errors import InputError


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
        whole = ("width", "layers", "heads", "levels", "codes", "code_width", "samples_per_token", "masked_blocks")
        for name in whole:
            value = getattr(self, name)
            if not isinstance(value, int) or value < (0 if name == "masked_blocks" else 1):
                raise InputError(f"MEGXLConfig: {name} must be a positive whole number, not {value!r}.")
        if self.heads % 2 or self.width % (2 * self.heads):
            raise InputError(
                f"MEGXLConfig: heads must be even and width a multiple of 2 x heads, so that half of the heads share "
                f"half of the width in even parts; not width {self.width} with {self.heads} heads."
            )
        if self.fourier_width < 2 or self.fourier_width % 2:
            raise InputError(f"MEGXLConfig: fourier_width must be even (sines and cosines), not {self.fourier_width}.")
        if self.sensor_kinds not in (2, 3):
            raise InputError(f"MEGXLConfig: sensor_kinds must be 2 or 3, not {self.sensor_kinds}.")
        if not 0 <= self.dropout < 1 or self.mask_duration_s <= 0 or self.sfreq_hz <= 0:
            raise InputError(
                "MEGXLConfig: dropout must lie in [0, 1), mask_duration_s and sfreq_hz above 0, "
                f"not {self.dropout}, {self.mask_duration_s} and {self.sfreq_hz}."
            )


PRESETS: dict[str, MEGXLConfig] = {
    "tiny": MEGXLConfig(width=64, layers=2, heads=4, fourier_width=50),
    "small": MEGXLConfig(width=256, layers=4, heads=4),
    "med": MEGXLConfig(),
    "large": MEGXLConfig(width=1024, layers=16, heads=16),
}
"""Models by name; `med` is the published one."""
