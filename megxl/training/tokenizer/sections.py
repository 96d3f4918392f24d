"""Sections of the configuration of a run that trains a tokenizer, with the meaning and unit of every key."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from megxl.errors import InputError
from megxl.sizes import BioCodecConfig
from megxl.training.fields import within
from megxl.training.sections import (
    CheckpointConfig,
    LoggingConfig,
    RecordingsConfig,
    Section,
    TrainerConfig,
    TrainingConfig,
)


@dataclass(frozen=True, kw_only=True)
class CodecData(RecordingsConfig):
    """Recordings, windows, and how a sensor's signal comes to the codec."""

    jitter: bool = True
    """Shift the training windows in each epoch."""
    sensors_per_window: int | None = within(16, least=1)
    """Good sensors of each window that a step sees, drawn anew in each epoch; null: all."""
    block_s: float | None = within(3.0, above=0)
    """Seconds that are centred and scaled together; null: the whole window."""
    clip: float = within(5.0, above=0)
    """Largest value of the scaled signal, in interquartile ranges."""


@dataclass(frozen=True, kw_only=True)
class CodecModel(Section):
    """Sizes of the codec; null: as in `init_from`, else the published ones."""

    place: ClassVar[str] = "model"

    init_from: str | None = None
    """A codec whose weights training begins with: a file, a folder, or a name on the hub; null: random weights."""
    filters: int | None = within(None, least=1)
    """Width of the first convolution; it doubles at every stride."""
    strides: tuple[int, ...] | None = None
    """Down-sampling of the encoder's stages; their product is the samples in a token."""
    blocks: int | None = within(None, least=1)
    """Residual blocks a stage."""
    kernel: int | None = within(None, least=1)
    """Samples in a kernel, strided convolutions aside."""
    lstm_layers: int | None = within(None, least=1)
    """Layers of the recurrent middle."""
    width: int | None = within(None, least=1)
    """Width of the encoder's output."""
    levels: int | None = within(None, least=1)
    """Levels of the residual quantizer."""
    codes: int | None = within(None, least=2)
    """Codes in each level's code book."""
    code_width: int | None = within(None, least=1)
    """Width of a code vector."""

    def sizes(self, start: BioCodecConfig | None = None) -> BioCodecConfig:
        """Sizes of the codec.

        Parameters
        ----------
        start : BioCodecConfig, optional
            Those of the codec at `init_from`.

        Raises
        ------
        InputError
            A size that contradicts that codec; sizes that cannot be.
        """
        given = {
            size.name: value
            for size in dataclasses.fields(BioCodecConfig)
            if (value := getattr(self, size.name)) is not None
        }
        for name, value in given.items():
            if start is not None and value != (theirs := getattr(start, name)):
                raise InputError(
                    f"model.{name} = {value}, but the codec at model.init_from = {self.init_from} has {theirs}; leave "
                    "the size out, or begin with random weights (model.init_from=null)."
                )
        return start or BioCodecConfig(**given)


@dataclass(frozen=True, kw_only=True)
class CodeBooks(Section):
    """How the code books follow the encoder."""

    place: ClassVar[str] = "codebooks"

    decay: float = within(0.99, least=0, most=1)
    """Of the running counts and sums of each code, a step."""
    smoothing: float = within(1e-5, above=0)
    """Weight, in vectors, of a code's present direction."""
    kmeans_iterations: int = within(50, least=1)
    """With which the books are made of the first batch."""
    kmeans_vectors: int = within(8192, least=1)
    """At most so many vectors of the first batch."""
    dead_below: float = within(2.0, least=0)
    """A code whose running count is lower becomes a vector of the batch; 0: never."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.decay == 1:
            raise InputError("codebooks.decay = 1.0 would leave the books as they begin; allowed: below 1.")


@dataclass(frozen=True, kw_only=True)
class CodecLoss(Section):
    """What is minimised, and with which weights."""

    place: ClassVar[str] = "loss"

    time: float = within(0.2, least=0)
    """Of the smooth distance of the samples."""
    time_beta: float = within(0.7, above=0)
    """Distance up to which it is quadratic."""
    spectral: float = within(1.0, least=0)
    """Of the distance of the spectra, summed over their scales."""
    n_ffts: tuple[int, ...] = (32, 64, 128, 256)
    """Samples in a window of each spectrum."""
    phase: float = within(0.2, least=0)
    """Of the phase within the spectra."""
    commitment: float = within(0.25, least=0)
    """Of the distance of vectors to their codes, mean over levels."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if bad := [n_fft for n_fft in self.n_ffts if n_fft < 8 or n_fft % 8]:
            raise InputError(f"loss.n_ffts: {bad[0]}; allowed: multiples of 8, as their hop is an eighth of them.")
        if not self.n_ffts and self.spectral:
            raise InputError("loss.n_ffts is empty; name at least one, or set loss.spectral=0.")
        if not (self.time or self.spectral):
            raise InputError("loss.time and loss.spectral are both 0; allowed: at least one above 0.")


@dataclass(frozen=True, kw_only=True)
class CodecTraining(TrainingConfig):
    """Optimisation and loading."""

    weight_decay: float = within(0.0, least=0)
    """Of AdamW; 0: Adam, as published."""
    betas: tuple[float, ...] = (0.5, 0.9)
    """Decays of the running means of Adam."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.betas) != 2 or not all(0 <= beta < 1 for beta in self.betas):
            raise InputError(f"training.betas = {list(self.betas)}; allowed: two numbers from 0 and below 1.")


@dataclass(frozen=True, kw_only=True)
class CodecLogging(LoggingConfig):
    """Where the curves go besides the run's CSV files."""

    experiment_name: str = "tokenizer"
    """Name of the run's folder below `checkpoint.save_dir`."""


@dataclass(frozen=True, kw_only=True)
class CodecTrainer(TrainerConfig):
    """Devices, precision and the rhythm of validation."""

    precision: Literal["bf16-mixed", "16-mixed", "32-true"] = "32-true"
    """Numbers of the forward and backward pass (bf16-mixed: of the convolutions alone); weights are float32."""


SECTIONS: Mapping[str, type[Section]] = {
    "data": CodecData,
    "model": CodecModel,
    "codebooks": CodeBooks,
    "loss": CodecLoss,
    "training": CodecTraining,
    "logging": CodecLogging,
    "checkpoint": CheckpointConfig,
    "trainer": CodecTrainer,
}
"""Sections by their keys."""
