"""Sections of the configuration of a pre-training run: one dataclass each, with the meaning and unit of every key."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar, Literal, get_type_hints

from megxl.errors import InputError
from megxl.sizes import BioCodecConfig, MEGXLConfig
from megxl.training.fields import check_fields, plain, refuse_unknown, within

if TYPE_CHECKING:
    from typing import Self


@dataclass(frozen=True, kw_only=True)
class Section:
    """A part of the configuration; its fields are checked by type and range."""

    place: ClassVar[str] = ""
    """Its key."""

    def __post_init__(self) -> None:
        check_fields(self, self.place)

    @classmethod
    def of(cls, mapping: Any) -> "Self":
        """Read a section out of a mapping; keys that it does not have are refused."""
        if not isinstance(mapping, Mapping):
            raise InputError(f"{cls.place} = {mapping!r}; allowed: a mapping of its keys.")
        refuse_unknown(mapping, [field.name for field in fields(cls)], cls.place)
        within_it = {name: kind for name, kind in get_type_hints(cls).items() if _is_section(kind)}
        return cls(
            **{name: within_it[name].of(value) if name in within_it else value for name, value in mapping.items()}
        )


def _is_section(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Section)


@dataclass(frozen=True, kw_only=True)
class RecordingsConfig(Section):
    """Recordings and windows of whatever trains on them."""

    place: ClassVar[str] = "data"

    cache_dir: str = "./data/cache"
    """The store of prepared recordings and their codes; what lacks there is made from each `data_root`."""
    segment_length: float = within(150.0, above=0)
    """Length of a window in seconds."""
    debug_mode: bool = False
    """One training and one validation recording a corpus."""
    l_freq: float = within(0.1, above=0)
    """Edge of the high-pass in Hz."""
    h_freq: float = within(40.0, above=0)
    """Edge of the low-pass in Hz."""
    target_sfreq: float = within(50.0, above=0)
    """Samples a second after preparation."""
    recording_subsample_prop: float | None = within(None, above=0, most=1)
    """Share of each corpus's training recordings that is used; null: all."""
    jitter: bool = False
    """Shift the training windows in each epoch (of a model: `codes: online`)."""
    bads: Literal["mask", "keep"] = "mask"
    """Whether sensors that are marked bad are masked."""
    prepare_workers: int | None = within(None, least=0)
    """Processes that prepare recordings; null: one a processor."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.l_freq < self.h_freq:
            raise InputError(f"data.l_freq = {self.l_freq} and data.h_freq = {self.h_freq}; allowed: l_freq < h_freq.")
        if not self.target_sfreq > 2 * self.l_freq:
            raise InputError(f"data.target_sfreq = {self.target_sfreq}; allowed: above twice data.l_freq.")


@dataclass(frozen=True, kw_only=True)
class DataConfig(RecordingsConfig):
    """Recordings, windows and their codes."""

    shuffle_segments: bool = False
    """Permute pieces of each training window (an ablation; `codes: online`)."""
    shuffle_segment_duration: float = within(3.0, above=0)
    """Length of these pieces in seconds."""
    codes: Literal["cached", "online"] = "cached"
    """Whether codes of the windows are kept in the store or computed in each step."""


@dataclass(frozen=True, kw_only=True)
class ModelConfig(Section):
    """Model, its tokenizer and what is hidden from it."""

    place: ClassVar[str] = "model"

    tokenizer_ckpt: str = "./brainstorm/neuro_tokenizers/biocodec_ckpt.pt"
    """The tokenizer: a file, a folder, or a name on the hub."""
    latent_dim: int = within(512, least=1)
    """Features of a token."""
    num_layers: int = within(8, least=1)
    """Criss-cross layers."""
    num_heads: int = within(8, least=1)
    """Attention heads; half of them temporal, half spatial."""
    vocab_size: int | None = within(None, least=1)
    """Codes in each code book of the tokenizer; null: as many as it has. All other sizes of codes are its own, too."""
    mask_duration: float = within(3.0, above=0)
    """Length of a hidden run in seconds."""
    num_subsegments_to_mask: int | None = within(None, least=1)
    """Hidden runs in a window; null: `mask_share` of its blocks of 3 s."""
    mask_share: float = within(0.4, above=0, most=1)
    """Share of the blocks that are hidden, at least one, where their number is not given."""
    sampling_rate: float = within(50.0, above=0)
    """Samples a second; that of the data."""
    fourier_pos_dim: int = within(250, least=2)
    """Fourier features of a sensor's position, and as many of its orientation."""
    dropout: float = within(0.1, least=0)
    """Of attention weights and of the feed-forward output."""
    sensor_kinds: int | None = within(None, least=2, most=3)
    """Kinds of sensors: gradiometer and magnetometer (2), or these and electrode (3); null: 3 where recordings hold
    electrodes, and as in `init_from` where training begins with other weights."""
    use_gradient_checkpointing: bool = False
    """The published name of `recompute: full`."""
    recompute: Literal["off", "selective", "full"] = "off"
    """Which activations are computed again in the backward pass, for less memory."""
    compile: bool = False
    """Compile the layers."""
    attention: Literal["flash", "cudnn", "efficient", "math"] | None = None
    """Kernel of attention; null: torch chooses."""
    init_from: str | None = None
    """A model whose weights training begins with: a file, a folder, or a name on the hub; null: random weights."""
    swap_tokenizer: bool = False
    """Begin with those weights though they read the codes of another tokenizer: what reads and names codes (code
    projection, head) begins at random."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.use_gradient_checkpointing and self.recompute == "selective":
            raise InputError(
                "model.use_gradient_checkpointing = true means model.recompute = full, which is 'selective'; "
                "allowed: one of them."
            )
        if self.use_gradient_checkpointing:
            object.__setattr__(self, "recompute", "full")
        if self.swap_tokenizer and self.init_from is None:
            raise InputError(
                "model.swap_tokenizer = true is about the weights of model.init_from, which is null; name them, or "
                "leave it out."
            )

    def sizes(self, tokens: int, tokenizer: BioCodecConfig) -> MEGXLConfig:
        """Sizes of the model for windows of so many tokens of a tokenizer.

        Raises
        ------
        InputError
            Sizes that cannot be, a tokenizer with another number of codes.
        """
        if self.vocab_size not in (None, tokenizer.codes):
            raise InputError(
                f"model.vocab_size = {self.vocab_size}, but the tokenizer has {tokenizer.codes} codes a level; "
                "set it to null, or choose another tokenizer with model.tokenizer_ckpt."
            )
        return MEGXLConfig(
            width=self.latent_dim,
            layers=self.num_layers,
            heads=self.num_heads,
            levels=tokenizer.levels,
            codes=tokenizer.codes,
            code_width=tokenizer.code_width,
            fourier_width=self.fourier_pos_dim,
            sensor_kinds=self.sensor_kinds or 2,
            sfreq_hz=self.sampling_rate,
            samples_per_token=tokenizer.samples_per_token,
            mask_duration_s=self.mask_duration,
            masked_blocks=self._masked_blocks(tokens * tokenizer.samples_per_token / self.sampling_rate),
            dropout=self.dropout,
        )

    def _masked_blocks(self, window_s: float) -> int:
        from megxl.signals.normalization import BLOCK_S

        if self.num_subsegments_to_mask is not None:
            return self.num_subsegments_to_mask
        return max(1, round(self.mask_share * int(window_s / BLOCK_S)))


@dataclass(frozen=True, kw_only=True)
class TrainingConfig(Section):
    """Optimisation and loading."""

    place: ClassVar[str] = "training"

    batch_size: int = within(1, least=1)
    """Windows in a batch of one device."""
    batch_seconds: float | None = within(None, above=0)
    """Seconds of recording in a batch of one device, in place of `batch_size`: the same for all window lengths."""
    num_epochs: int | None = within(50, least=1)
    """Passes over the training windows; null where `max_steps` is given."""
    max_steps: int | None = within(None, least=1)
    """Optimiser steps; null where `num_epochs` is given."""
    learning_rate: float = within(1e-4, above=0)
    """Highest rate, reached after the warm-up."""
    min_learning_rate: float = within(1e-6, least=0)
    """Rate of the last step."""
    warmup_steps: int = within(250, least=0)
    """Optimiser steps over which the rate rises."""
    weight_decay: float = within(0.01, least=0)
    """Of AdamW."""
    gradient_clip_val: float = within(1.0, least=0)
    """Largest norm of the gradient; 0: none."""
    ema_decay: float | None = within(None, above=0, most=1)
    """Decay of the running average of the weights that validates and is kept; null: none."""
    num_workers: int = within(6, least=0)
    """Processes that read ahead, for each loader."""
    pin_memory: bool = True
    """For training on a GPU."""
    persistent_workers: bool = True
    """Keep the workers from epoch to epoch."""
    use_recording_sampler: bool = True
    """Recordings in random order, the windows of each one after the other; false: windows in random order."""
    sampler_seed: int = within(42, least=0)
    """Of the order and of `data.recording_subsample_prop`."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.num_epochs is None) == (self.max_steps is None):
            given = "neither is given" if self.num_epochs is None else f"{self.num_epochs} and {self.max_steps}"
            raise InputError(
                f"training.num_epochs and training.max_steps: {given}; allowed: exactly one, the other is null."
            )
        if self.min_learning_rate > self.learning_rate:
            raise InputError(
                f"training.min_learning_rate = {self.min_learning_rate:g}; allowed: at most training.learning_rate "
                f"({self.learning_rate:g})."
            )
        if self.batch_seconds is not None and self.batch_size != 1:
            raise InputError(
                f"training.batch_size = {self.batch_size} and training.batch_seconds = {self.batch_seconds:g}; "
                "allowed: one of them."
            )
        if self.ema_decay == 1:
            raise InputError("training.ema_decay = 1.0; allowed: above 0, below 1, or null.")

    @classmethod
    def of(cls, mapping: Any) -> "Self":
        """Read the section; whoever gives steps and says nothing of epochs wants steps alone."""
        if isinstance(mapping, Mapping) and mapping.get("max_steps") is not None and "num_epochs" not in mapping:
            mapping = {**mapping, "num_epochs": None}
        return super().of(mapping)


@dataclass(frozen=True, kw_only=True)
class LoggingConfig(Section):
    """Where the curves go besides the run's CSV files."""

    place: ClassVar[str] = "logging"

    wandb: bool = False
    """Log to Weights & Biases too."""
    wandb_project: str = "megxl"
    """Project there."""
    wandb_entity: str | None = None
    """Team or person there; null: the one that is logged in."""
    experiment_name: str = "pretrain"
    """Name of the run's folder below `checkpoint.save_dir`."""
    log_every_n_steps: int = within(10, least=1)
    """Optimiser steps between two rows of the curves."""
    tensorboard: bool = True
    """Write files for TensorBoard."""


@dataclass(frozen=True, kw_only=True)
class CheckpointConfig(Section):
    """What is kept of a run that has not ended."""

    place: ClassVar[str] = "checkpoint"

    save_dir: str = "./checkpoints"
    """Folder of runs."""
    every_n_train_steps: int = within(5000, least=1)
    """Optimiser steps between two checkpoints."""
    save_top_k: int = within(-1, least=-1)
    """How many numbered checkpoints are kept, the newest; -1: all. The last one is kept besides."""
    save_last: bool = True
    """Keep last.ckpt, from which a run goes on."""
    resume: bool = False
    """Go on from the checkpoint at `resume_path`."""
    resume_path: str | None = None
    """A training checkpoint."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.resume and self.resume_path is None:
            raise InputError(
                "checkpoint.resume = true, but checkpoint.resume_path is null; name a checkpoint there, or give "
                "resume=true to go on with the run in its folder."
            )
        if self.resume_path is not None and not self.resume:
            raise InputError(
                f"checkpoint.resume_path = {self.resume_path!r} is not used while checkpoint.resume is false; set "
                "checkpoint.resume=true, or leave the path out."
            )


@dataclass(frozen=True, kw_only=True)
class TrainerConfig(Section):
    """Devices, precision and the rhythm of validation."""

    place: ClassVar[str] = "trainer"

    accelerator: Literal["auto", "cpu", "gpu", "cuda", "mps"] = "auto"
    """What trains; auto: a GPU if there is one."""
    devices: int | Literal["auto"] | tuple[int, ...] = within(1, least=0)
    """How many devices of a node, auto (all), or their numbers."""
    num_nodes: int = within(1, least=1)
    """Machines."""
    strategy: Literal["auto", "ddp", "fsdp"] = "auto"
    """How several devices share the work; auto: ddp."""
    precision: Literal["bf16-mixed", "16-mixed", "32-true"] = "bf16-mixed"
    """Numbers of the forward and backward pass; weights are float32."""
    accumulate_grad_batches: int = within(1, least=1)
    """Batches in an optimiser step of one device."""
    val_check_interval: int = within(500, least=1)
    """Training batches between two validations; in a shorter epoch, its end."""
    limit_val_batches: int | None = within(None, least=1)
    """Batches of a validation; null: all."""
    deterministic: bool = False
    """Only kernels that give the same bits each time."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.devices in (0, ()):
            raise InputError(f"trainer.devices = {plain(self.devices)}; allowed: 1 and more, auto, or their numbers.")


SECTIONS: Mapping[str, type[Section]] = {
    "data": DataConfig,
    "model": ModelConfig,
    "training": TrainingConfig,
    "logging": LoggingConfig,
    "checkpoint": CheckpointConfig,
    "trainer": TrainerConfig,
}
"""Sections by their keys."""
