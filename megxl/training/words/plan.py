"""What a run of word decoding takes, by arithmetic: parameters, memory, operations, disk, hours.

What is assumed has a name in capitals. Letters: C sensors, T tokens, D width, Q levels, W words.
"""

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import nn

from megxl.decoding.building import DecoderSpec, build_decoder
from megxl.errors import InputError
from megxl.model.benchmark import PEAK_BF16
from megxl.model.execution import Recompute
from megxl.model.flops import Workload, forward_flops, tokenize_flops
from megxl.model.megxl import MEGXL
from megxl.model.memory import RESIDUAL, backward_bytes, kept_bytes
from megxl.sizes import PRESETS, BioCodecConfig, MEGXLConfig
from megxl.training.words.config import WordsConfig

ASSUMED_MFU = 0.15
"""Share of a GPU's dense bfloat16 peak that the useful operations reach, layers not compiled."""
ASSUMED_READING = 1e9
"""Bytes a second at which features come from the disk."""
CHECKPOINTS = 2
"""Of a training that lie on the disk at once: the newest, and the one that is about to take its place."""
WORDS_PER_HOUR = 9_000
"""Of an audiobook, where there is no store to count them in."""


@dataclass(frozen=True, kw_only=True)
class Load:
    """What a run trains, and the size of what it looks at."""

    spec: DecoderSpec
    trains: bool
    """Whether the backbone is fine-tuned; otherwise probed."""
    model: MEGXLConfig = PRESETS["med"]
    words: int = 50
    """In a group."""
    batch: int = 1
    """Groups at once."""
    recompute: bool = True
    """Activations of the backbone's layers are made again in the backward pass."""
    mixed: bool = True
    """bfloat16 by autocast; otherwise float32."""

    @classmethod
    def of(
        cls, config: WordsConfig, *, sensors: int, target_width: int = 1024, model: MEGXLConfig = PRESETS["med"]
    ) -> "Load":
        """Read it from a configuration.

        Parameters
        ----------
        config : WordsConfig
        sensors, target_width : int
            Of the corpus, where nothing is padded, and of the target vectors.
        model : MEGXLConfig
            Sizes of the checkpoint.

        Raises
        ------
        InputError
            A backbone of which no arithmetic is known.
        """
        if config.model.backbone != "megxl":
            raise InputError(
                f"model.backbone = {config.model.backbone}: its memory and time are not reckoned; allowed: megxl."
            )
        spec = DecoderSpec(
            head=config.head,
            sensors=config.data.max_channel_dim or sensors,
            width=model.width,
            target_width=target_width,
            hidden=config.model.word_mlp.hidden_dim,
            sees=config.model.sees,
            window_s=config.data.subsegment_duration,
        )
        return cls(
            spec=spec,
            trains=config.command == "finetune",
            model=model,
            words=config.data.words_per_segment,
            batch=config.training.batch_size,
            recompute=config.model.use_gradient_checkpointing,
            mixed=config.trainer.precision != "32-true",
        )

    @property
    def work(self) -> Workload:
        """What is processed at once."""
        assert self.spec.sensors is not None
        samples = self.words * round(self.spec.window_s * self.model.sfreq_hz)
        return Workload(batch=self.batch, sensors=self.spec.sensors, samples=samples)

    @property
    def mode(self) -> Recompute:
        """As the model's layers are run."""
        return "full" if self.recompute else "off"

    @property
    def one(self) -> Workload:
        """A single group."""
        return Workload(batch=1, sensors=self.work.sensors, samples=self.work.samples)

    @property
    def features(self) -> int:
        """Numbers in the features of all tokens of a batch."""
        return self.work.batch * _tokens(self.work, self.model) * self.model.width


@dataclass(frozen=True, kw_only=True)
class Amount:
    """Groups of each part, and how often the training part is passed over at most."""

    train: int
    validation: int
    test: int
    epochs: int

    @classmethod
    def expected(cls, hours: float, config: WordsConfig) -> "Amount":
        """Reckon from hours of recording, where there is nothing to count."""
        groups = hours * WORDS_PER_HOUR / config.data.words_per_segment
        train, validation, test = (round(groups * ratio) for ratio in config.data.split_ratios)
        share = config.data.train_pct
        if config.data.train_hours is not None:
            share = min(1.0, config.data.train_hours / (hours * config.data.split_ratios[0]))
        return cls(train=int(share * train), validation=validation, test=test, epochs=config.training.num_epochs)

    @property
    def groups(self) -> int:
        """Of all parts."""
        return self.train + self.validation + self.test


@lru_cache
def trained_parameters(load: Load) -> dict[str, int]:
    """How many numbers are trained in the backbone and in the head, counted on modules without memory."""
    decoder = _without_memory(load)
    whole = _count(decoder, trained=True)
    backbone = _count(decoder.backbone, trained=True) if load.trains else 0  # pyright: ignore[reportArgumentType]
    return {"backbone": backbone, "head": whole - _count(decoder.backbone, trained=True)}  # pyright: ignore[reportArgumentType]


def memory_bytes(load: Load) -> dict[str, int]:
    """Peak memory of tensors in training, by part; the sum counts. On a GPU come some 0.5 GB of libraries.

    A probe's features and its training come one after the other, but its head is there during both.
    """
    trained = sum(trained_parameters(load).values())
    state = {
        "weights": 4 * _count(_without_memory(load), trained=False),
        "gradients": 4 * trained,
        "AdamW's moments": 8 * trained,
        "rounded weights": 2 * trained if load.mixed else 0,
    }
    if not load.trains:
        # in place: the residual stream, the half of it that waits for the other, and what makes or reads it
        return state | {"forward pass": 3 * RESIDUAL * load.features}
    kept = sum(kept_bytes(load.model, load.work, load.mode, mixed=load.mixed).values())
    return state | {
        "kept activations": kept + RESIDUAL * load.features,
        "backward pass": backward_bytes(load.model, load.work, load.mode, mixed=load.mixed),
    }


def run_flops(load: Load, amount: Amount) -> dict[str, float]:
    """Useful operations of a whole run that stops at its last epoch; what is computed again does not count."""
    head = 2.0 * trained_parameters(load)["head"] * load.words
    forward = forward_flops(load.model, load.one)
    looked_at = amount.validation + amount.test  # at the end, with the best weights
    per_epoch = 3 * amount.train + amount.validation
    backbone = amount.groups * forward
    if load.trains:
        backbone = (amount.epochs * per_epoch + looked_at) * forward
    return {
        "codes": float(amount.groups * tokenize_flops(BioCodecConfig(), load.one)),
        "backbone": float(backbone),
        "head": (amount.epochs * per_epoch + looked_at) * head,
    }


def hours(load: Load, amount: Amount, gpu: str, mfu: float = ASSUMED_MFU) -> float:
    """Hours of a run on one GPU (a name of `PEAK_BF16`) at a share of its peak, and of reading a probe's features."""
    seconds = sum(run_flops(load, amount).values()) / (peak_of(gpu) * mfu)
    if not load.trains:
        seconds += amount.epochs * (amount.train + amount.validation) * _group_features(load) / ASSUMED_READING
    return seconds / 3600


def peak_of(gpu: str) -> float:
    """Dense bfloat16 operations a second of a GPU, by its name in any spelling.

    Raises
    ------
    InputError
        A GPU that is not known.
    """
    peaks = {_plain(name): peak for name, peak in PEAK_BF16.items()}
    if _plain(gpu) not in peaks:
        raise InputError(f"gpu = {gpu!r}; allowed: {', '.join(PEAK_BF16)}.")
    return peaks[_plain(gpu)]


def disk_bytes(load: Load, amount: Amount) -> dict[str, int]:
    """What a run writes besides the prepared recordings, by part."""
    trained = sum(trained_parameters(load).values())
    predicted = (amount.validation + amount.test) * load.words * load.spec.target_width
    return {
        "codes": amount.groups * _tokens(load.one, load.model) * load.model.levels,
        "features": 0 if load.trains else amount.groups * _group_features(load),
        "checkpoints": CHECKPOINTS * 12 * trained,
        "decoder": 4 * _count(_without_memory(load), trained=False),
        "predictions": 4 * predicted,
    }


def _group_features(load: Load) -> int:
    """Bytes of the pooled features of a group, in float16."""
    return 2 * load.words * load.one.sensors * load.model.width


def _tokens(work: Workload, model: MEGXLConfig) -> int:
    return work.sensors * -(-work.samples // model.samples_per_token)


@lru_cache
def _without_memory(load: Load):
    with torch.device("meta"):
        return build_decoder(load.spec, model=MEGXL(load.model), trains=load.trains)


def _count(module: nn.Module, *, trained: bool) -> int:
    return sum(weight.numel() for weight in module.parameters() if weight.requires_grad or not trained)


def _plain(name: str) -> str:
    return name.lower().replace(" ", "").replace("-", "")
