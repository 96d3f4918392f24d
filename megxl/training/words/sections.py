"""Sections of the configuration of a word decoder: the published keys and a few of ours, each with its meaning."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from megxl.errors import InputError
from megxl.training.fields import within
from megxl.training.sections import DataConfig as PretrainData
from megxl.training.sections import LoggingConfig, Section, TrainerConfig


@dataclass(frozen=True, kw_only=True)
class WordMLPConfig(Section):
    """The published head."""

    place: ClassVar[str] = "model.word_mlp"

    hidden_dim: int = within(2048, least=1)
    """Width of its hidden layer."""
    embed_dim: int | None = within(None, least=1)
    """Not used: the width of the targets is that of the encoder. Published configurations give it."""
    dropout: float = within(0.1, least=0, most=0.99)
    """Before the last layer, in training."""


@dataclass(frozen=True, kw_only=True)
class LinearProbeConfig(Section):
    """The published probe."""

    place: ClassVar[str] = "model.linear_probe"

    embed_dim: int | None = within(None, least=1)
    """Not used, as in `model.word_mlp`."""


@dataclass(frozen=True, kw_only=True)
class ModelSection(Section):
    """What looks at the signal, and what names words."""

    place: ClassVar[str] = "model"

    criss_cross_checkpoint: str | None = None
    """The pre-trained model: a released .ckpt, a folder of ours, a hub name."""
    tokenizer_checkpoint: str | None = None
    """Its codec; null: the one that its checkpoint holds."""
    train_from_scratch: bool = False
    """Take the sizes of the checkpoint and random weights."""
    backbone: Literal["megxl", "convolution", "codec"] = "megxl"
    """What gives a word's features: MEG-XL, a supervised network on the signal, or the codec alone."""
    head: Literal["mlp", "linear", "sensors", "sequence"] | None = None
    """mlp and linear are the published ones, of all sensors in their order; sensors attends over them by their places;
    sequence sees the words of a group together. Null: mlp to fine-tune, linear to probe, sequence for convolution."""
    sees: Literal["group", "word", "nothing"] = "group"
    """What the sequence head sees: all words of a group, each alone, or (a control) their places only."""
    subject_embedding: bool = False
    """Add a learned vector of the listener; the mean for others."""
    word_mlp: WordMLPConfig = field(default_factory=WordMLPConfig)
    linear_probe: LinearProbeConfig = field(default_factory=LinearProbeConfig)
    convolution_width: int = within(320, least=8)
    """Channels of the convolution."""
    use_gradient_checkpointing: bool = True
    """Keep no activations of the backbone's layers; they are computed again in the backward pass."""


@dataclass(frozen=True, kw_only=True)
class DataSection(Section):
    """Recordings, word groups and who trains, validates and tests."""

    place: ClassVar[str] = "data"

    dataset_type: str | None = None
    """The corpus: armeni, meg_masc (gwilliams), libribrain, ..., or package.module:Class."""
    root: str | None = None
    """Its folder; null: its recordings are in the store already."""
    cache_dir: str = "./data/cache"
    """The store of prepared recordings and their codes; what lacks there is made from `root`."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Options of the corpus, as `megxl prepare --set` takes them."""
    max_channel_dim: int | None = within(None, least=1)
    """Sensors to which recordings are padded; null: as many as the corpus has."""
    subjects: tuple[str, ...] | None = None
    """Only these; null: all."""
    tasks: tuple[str, ...] | None = None
    """Only these; null: all."""
    runs: tuple[str, ...] | None = None
    """Only these; null: all."""
    all_sessions: tuple[str, ...] | None = None
    """Only these; null: all."""
    train_sessions: tuple[str, ...] | None = None
    """Sessions that train, where sessions are split."""
    val_sessions: tuple[str, ...] | None = None
    """Sessions that validate."""
    test_sessions: tuple[str, ...] | None = None
    """Sessions of the test."""

    protocol: Literal["official", "published", "strict"] | None = None
    """official: the corpus's own partitions; published: as in the paper, with its leaks; strict: no text and no signal
    shared, words to choose from of the training part. Null: published where `use_hashed_split` is given."""
    use_hashed_split: bool | None = None
    """The published protocol: a hash of a group's words decides (true), or the sessions named here (false)."""
    split_ratios: tuple[float, ...] = (0.8, 0.1, 0.1)
    """Shares of training, validation and test."""
    split_seed: int | None = within(None, least=0)
    """Of the split; null: 42, in the published protocol `seed`."""
    strict_by: Literal["block", "story", "subject", "session"] = "block"
    """What stays whole in the strict protocol."""
    gap_s: float = within(3.0, least=3)
    """Seconds of recording between two parts (strict)."""
    block_s: float = within(300.0, above=0)
    """Length of a block (strict)."""
    train_pct: float = within(1.0, above=0, most=1)
    """Share of the training groups that is used."""
    train_hours: float | None = within(None, above=0)
    """Hours of the training groups' signal that are used, in place of a share."""

    l_freq: float = within(0.1, above=0)
    """Edge of the high-pass in Hz."""
    h_freq: float = within(40.0, above=0)
    """Edge of the low-pass in Hz."""
    target_sfreq: float = within(50.0, above=0)
    """Samples a second after preparation."""
    prepare_workers: int | None = within(None, least=0)
    """Processes that prepare recordings; null: one a processor."""

    words_per_segment: int = within(50, least=1)
    """Words in a group."""
    subsegment_duration: float = within(3.0, above=0)
    """Seconds of signal that belong to a word."""
    window_onset_offset: float = -0.5
    """Where a word's window begins, seconds after its onset."""
    layout: Literal["tape", "contiguous"] = "tape"
    """Windows of words one behind the other, as published; or the true stretch of the recording."""
    segment_length: float = within(150.0, above=0)
    """Seconds of a contiguous group; on a tape not used (published configurations give it)."""
    keep: Mapping[str, Any] = field(default_factory=dict)
    """Labels that a word must have, as in {pronounced: true}."""
    bads: Literal["mask", "keep"] = "mask"
    """Whether sensors that are marked bad are masked."""
    channels: Literal["canonical", "file"] = "canonical"
    """Sensors in one order in all recordings, missing ones masked; or as each file has them."""
    codes: Literal["cached", "online"] = "cached"
    """Whether codes of the groups are kept in the store or computed in each step."""

    def __post_init__(self) -> None:
        super().__post_init__()
        PretrainData(l_freq=self.l_freq, h_freq=self.h_freq, target_sfreq=self.target_sfreq)  # refuses by the same keys
        if len(self.split_ratios) != 3:
            raise InputError(
                f"data.split_ratios = {list(self.split_ratios)}; allowed: three shares (training, validation, test)."
            )
        if self.protocol in ("official", "strict") and self.use_hashed_split is not None:
            raise InputError(
                f"data.protocol = {self.protocol} and data.use_hashed_split = {str(self.use_hashed_split).lower()}: "
                "the latter belongs to the published protocol; leave it out (data.use_hashed_split=null)."
            )
        if self.train_hours is not None and self.train_pct < 1:
            raise InputError(
                f"data.train_hours = {self.train_hours:g} and data.train_pct = {self.train_pct:g}; allowed: one of "
                "them (data.train_pct=1)."
            )

    @property
    def protocol_name(self) -> Literal["official", "published", "strict"]:
        """The protocol that holds."""
        return self.protocol or ("strict" if self.use_hashed_split is None else "published")


@dataclass(frozen=True, kw_only=True)
class TargetSection(Section):
    """What encodes words; the section has its published name, whatever the encoder is."""

    place: ClassVar[str] = "t5"

    model_name: str = "t5-large"
    """Any encoder of the Hugging Face hub or a folder of one; wordllama needs no download."""
    revision: str | None = None
    """Of the encoder on the hub; null: the newest."""
    layer: int = 12
    """Whose hidden states are taken; 0: the input embeddings. wordllama has none and does not ask."""
    pooling: Literal["mean", "first", "last"] = "mean"
    """Of a word's sub-words."""
    context: Literal["none", "group"] = "none"
    """Encode each word alone, as published, or in the text of its group."""
    cache_dir: str = "./embeddings_cache"
    """Where vectors are kept, by encoder and word."""


@dataclass(frozen=True, kw_only=True)
class TrainingSection(Section):
    """Optimisation and loading."""

    place: ClassVar[str] = "training"

    batch_size: int = within(1, least=1)
    """Word groups in a batch of one device."""
    num_epochs: int = within(50, least=1)
    """At most so many passes over the training groups."""
    max_steps: int | None = within(None, least=1)
    """At most so many optimiser steps; null: as many as there are."""
    criss_cross_lr: float = within(1e-5, above=0)
    """Learning rate of the pre-trained backbone."""
    word_mlp_lr: float = within(1e-3, above=0)
    """Learning rate of the head, when fine-tuned."""
    from_scratch_lr: float = within(1e-4, above=0)
    """Learning rate of all that is trained from random weights."""
    probe_lr: float = within(1e-3, above=0)
    """Learning rate of a probe."""
    weight_decay: float = within(1e-4, least=0)
    """Of AdamW, on all weights."""
    gradient_clip_val: float = within(1.0, least=0)
    """Largest norm of the gradient; 0: none."""
    patience: int = within(10, least=1)
    """Epochs without improvement of the selection metric after which training ends."""
    min_delta: float = within(0.001, least=0)
    """What counts as improvement."""
    num_workers: int = within(6, least=0)
    """Processes that read ahead, for each loader."""
    pin_memory: bool = True
    """For training on a GPU."""
    resume_checkpoint: str | None = None
    """A training checkpoint of this run to go on from, with resume=true; null: the newest."""


@dataclass(frozen=True, kw_only=True)
class LossSection(Section):
    """How estimates are drawn to the vectors of their words."""

    place: ClassVar[str] = "loss"

    kind: Literal["siglip", "clip"] = "siglip"
    """Each pair by itself, as published, or a choice among the batch's words."""
    norm_kind: Literal["x", "y", "xy"] | None = "xy"
    """Which side is brought to length 1: estimates (x), targets (y), both."""
    temperature: bool = True
    """Scale similarities."""
    bias: bool = True
    """Shift similarities (siglip)."""
    learnable: bool = False
    """Train scale and shift; published runs keep them fixed."""
    reduction: Literal["sum", "mean"] = "sum"
    """Of the pairs (siglip)."""
    duplicates: Literal["word", "vector"] = "word"
    """What is no negative: the same word, or a vector with a cosine of 0.999 and more, as published."""
    symmetric: bool = True
    """Choose estimates for words too (clip)."""


@dataclass(frozen=True, kw_only=True)
class EvaluationSection(Section):
    """What is measured, what chooses the best epoch, what is reported."""

    place: ClassVar[str] = "evaluation"

    retrieval_set_sizes: tuple[int, ...] = within((50, 250), least=1)
    """Sizes of the set of most frequent words from which one is chosen."""
    k: int = within(10, least=1)
    """A word counts as found among so many best."""
    selection_metric: str | None = None
    """Of validation, chooses the best epoch; null: balanced top-k of the last size, as published."""
    reported_metric: str | None = None
    """Of the test, the headline; null: balanced top-k of the first size."""
    allow_seen: bool = False
    """Evaluate on recordings that were seen in pre-training."""
    resamples: int = within(2000, least=100)
    """Of the bootstrap."""
    permutations: int = within(1000, least=0)
    """Of the permutation test; 0: none."""


@dataclass(frozen=True, kw_only=True)
class WordsLogging(LoggingConfig):
    """Where the curves go besides the run's CSV files."""

    wandb_project: str = "brainstorm-eval"
    """Project there."""
    experiment_name: str = "words"
    """Name of the run's folder below `save_dir`."""
    save_dir: str = "./logs"
    """Folder of runs."""


@dataclass(frozen=True, kw_only=True)
class WordsTrainer(Section):
    """Devices and precision."""

    place: ClassVar[str] = "trainer"

    devices: int | Literal["auto"] | tuple[int, ...] = within(1, least=0)
    """How many devices of a node, auto (all), or their numbers."""
    num_nodes: int = within(1, least=1)
    """Machines."""
    strategy: Literal["auto", "ddp"] = "auto"
    """How several devices share the work."""
    precision: Literal["auto", "bf16-mixed", "32-true"] = "auto"
    """Numbers of the forward and backward pass; auto: bf16-mixed on CUDA, else 32-true (as published)."""
    accumulate_grad_batches: int = within(1, least=1)
    """Batches in an optimiser step of one device; each has its own negatives."""

    def on(self, device: str) -> TrainerConfig:
        """Return the trainer's section of pre-training for a device (auto, cpu, cuda, cuda:1, mps)."""
        kind, _, number = device.partition(":")
        accelerator = self._accelerator() if kind == "auto" else kind
        precision = self.precision
        if precision == "auto":
            precision = "bf16-mixed" if accelerator == "cuda" else "32-true"
        return TrainerConfig(
            accelerator=accelerator,  # pyright: ignore[reportArgumentType]
            devices=(int(number),) if number else self.devices,
            num_nodes=self.num_nodes,
            strategy=self.strategy,
            precision=precision,
            accumulate_grad_batches=self.accumulate_grad_batches,
        )

    @staticmethod
    def _accelerator() -> str:
        import torch

        return "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"


SECTIONS: Mapping[str, type[Section]] = {
    "model": ModelSection,
    "data": DataSection,
    "t5": TargetSection,
    "training": TrainingSection,
    "loss": LossSection,
    "evaluation": EvaluationSection,
    "logging": WordsLogging,
    "trainer": WordsTrainer,
}
"""Sections by their keys."""
