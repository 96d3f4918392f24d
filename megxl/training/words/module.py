"""The training step of a decoder of words, for Lightning: a pure function of weights, batch and configuration.

Letters: B batch, W words of an item, N words that count, E width of the targets, R ranks.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from megxl.data.batch import Batch
from megxl.data.sampling import RecordingBatchSampler
from megxl.decoding.contrastive import CLIP, SigLIP
from megxl.decoding.decoder import Decoder, MEGXLBackbone, WordFeatures
from megxl.decoding.gathering import gather_words
from megxl.errors import InputError
from megxl.model.execution import recompute_activations
from megxl.tokenizer.fingerprint import fingerprint
from megxl.training.seeding import set_seeds
from megxl.training.words.batches import WordsBatch, with_targets
from megxl.training.words.config import WordsConfig
from megxl.training.words.sections import LossSection
from megxl.training.words.targets import WordTargets

try:
    from lightning.pytorch import LightningModule
except ModuleNotFoundError as error:
    raise InputError("Training needs Lightning: pip install 'megxl[train]'.") from error

FROZEN = "frozen"
"""Section of a checkpoint: fingerprint of the weights that are not in it."""
_MOST_WORDS = 2**20
"""More than an item has."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Parts:
    """What a decoder is trained with, known once the data are."""

    decoder: Decoder
    targets: WordTargets
    subjects: Mapping[str, str]
    """Who listens, by the recording's key."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Validated:
    """What a validation gave, over all ranks."""

    estimates_NE: Tensor
    """Of all words in the order of the files, on the CPU."""
    loss: float
    """Mean over batches."""


class WordsModule(LightningModule):
    """Draw the estimates of words to their vectors.

    The loss of a batch is that of all its words over all ranks, each one's negatives among them. Its chance (dropout)
    comes from the seeds of its items alone, so that no state of a generator need be kept.

    Parameters
    ----------
    config : WordsConfig
    make : callable
        Makes what is trained, once the data are there; on every rank the same.

    Attributes
    ----------
    parts : Parts
        From `configure_model` on.
    validated : Validated
        By the latest validation.
    gradient_norm : Tensor or None
        Of the last optimizer step, before clipping; on the device.
    latest_loss : Tensor or None
        Of the last training batch, over all ranks; on the device.
    """

    parts: Parts
    validated: Validated

    def __init__(self, config: WordsConfig, make: Callable[[], Parts]) -> None:
        super().__init__()
        self.config = config
        self.loss = make_loss(config.loss)
        self.gradient_norm: Tensor | None = None
        self.latest_loss: Tensor | None = None
        self._make = make
        self._batches = 0
        self._estimates: list[Tensor] = []
        self._places: list[Tensor] = []
        self._losses: list[Tensor] = []

    def configure_model(self) -> None:
        """Make what is trained, once: Lightning calls this when the data are there."""
        if hasattr(self, "decoder"):
            return
        strategy = self.trainer.strategy
        # the first process encodes words into the cache that the others read
        if not self.trainer.is_global_zero:
            strategy.barrier("words are encoded")
        self.parts = self._make()
        if self.trainer.is_global_zero:
            strategy.barrier("words are encoded")
        self.decoder = self.parts.decoder
        backbone = self.decoder.backbone
        if isinstance(backbone, MEGXLBackbone) and backbone.trains:
            recompute_activations(backbone.model, "full" if self.config.model.use_gradient_checkpointing else "off")

    def on_fit_start(self) -> None:
        """Switch dropout on: Lightning would leave a model that was loaded as it came, in evaluation."""
        self.train()

    def on_before_batch_transfer(self, batch: Batch, dataloader_idx: int) -> WordsBatch:
        """Look words up on the CPU."""
        return with_targets(batch, self.parts.targets)

    def training_step(self, batch: WordsBatch, batch_idx: int) -> Tensor:
        """Loss of the words of all ranks, the same on each."""
        set_seeds(batch.seed)
        loss = self.loss(*gather_words(self.estimates(batch), batch.targets_NE, batch.numbers_N))
        self.latest_loss = loss.detach()
        self._batches += 1
        return loss

    def estimates(self, batch: WordsBatch) -> Tensor:
        """Estimated vectors of the words that count, float32, shape (N, E)."""
        return estimate(self.decoder, batch.batch, self.parts.subjects)[batch.kept_BW].float()

    def on_validation_epoch_start(self) -> None:
        """Forget earlier estimates."""
        self._estimates, self._places, self._losses = [], [], []

    def validation_step(self, batch: WordsBatch, batch_idx: int) -> None:
        """Keep the estimates, and where they belong; repeated items, which only level the ranks, are left out."""
        if not len(batch.numbers_N):
            return
        estimates_NE = self.estimates(batch)
        self._losses.append(self.loss(estimates_NE, batch.targets_NE, batch.numbers_N))
        self._estimates.append(estimates_NE)
        items_B = torch.tensor(self._sampler().batches(0)[batch_idx], device=estimates_NE.device)
        words_W = torch.arange(batch.kept_BW.shape[1], device=estimates_NE.device)
        self._places.append((items_B[:, None] * _MOST_WORDS + words_W)[batch.kept_BW])

    def on_validation_epoch_end(self) -> None:
        """Join the estimates of all ranks."""
        losses_N = torch.stack(self._losses) if self._losses else torch.zeros(0, device=self.device)
        width = self.decoder.target_width
        estimates_NE = torch.cat([torch.zeros(0, width, device=self.device), *self._estimates])
        places_N = torch.cat([torch.zeros(0, dtype=torch.int64, device=self.device), *self._places])
        estimates_NE, places_N = gather_words(estimates_NE, places_N)
        (losses_N,) = gather_words(losses_N)
        self.validated = Validated(estimates_NE=estimates_NE[places_N.argsort()].cpu(), loss=float(losses_N.mean()))
        self.on_validation_epoch_start()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """AdamW with torch's constants, as published; rates change by the validations (`Plateau`)."""
        return torch.optim.AdamW(
            parameter_groups(self.config, self.decoder, self.loss),
            fused=self.trainer.strategy.root_device.type == "cuda",
        )

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Have the last step of an epoch, which may have fewer batches than the others, be the mean of its own."""
        lacking = self.trainer.accumulate_grad_batches / self._batches
        self._batches = 0
        if lacking != 1:
            gradients = [weight.grad for weight in self.parameters() if weight.grad is not None]
            torch._foreach_mul_(gradients, lacking)

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip by the norm over all weights, `training.gradient_clip_val`; the trainer's own value is not used."""
        most = self.config.training.gradient_clip_val or float("inf")
        weights = [weight for group in optimizer.param_groups for weight in group["params"]]
        self.gradient_norm = torch.nn.utils.clip_grad_norm_(weights, most)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep what trains; frozen weights are in the files that they came from, and are known by their fingerprint."""
        frozen = self._frozen()
        checkpoint[FROZEN] = self._frozen_fingerprint
        checkpoint["state_dict"] = {n: t for n, t in checkpoint["state_dict"].items() if n not in frozen}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Put the frozen weights beside those that were kept."""
        mine = self.state_dict()
        given = checkpoint["state_dict"] = {n: mine[n] for n in self._frozen()} | checkpoint["state_dict"]
        for name in sorted(mine.keys() | given.keys()):
            here, there = (tuple(state[name].shape) if name in state else "none" for state in (mine, given))
            if here != there:
                raise InputError(
                    f"The checkpoint to go on from is of another decoder ({name.removeprefix('decoder.')}: {there} "
                    f"there, {here} here); give the backbone, head, sensors and targets that it was trained with, or "
                    "leave training.resume_checkpoint out."
                )
        if checkpoint.get(FROZEN, self._frozen_fingerprint) != self._frozen_fingerprint:
            raise InputError(
                "The frozen weights (backbone or tokenizer) are no longer those that this run was trained with: the "
                "files that model.criss_cross_checkpoint and model.tokenizer_checkpoint name have changed. Put them "
                "back, or begin a new run."
            )

    @cached_property
    def _frozen_fingerprint(self) -> str:
        frozen, state = self._frozen(), self.state_dict()
        return fingerprint({}, {name: state[name] for name in frozen})

    def _frozen(self) -> set[str]:
        """Names of what a training leaves as it is: weights, and all that belongs to a frozen backbone or its codec."""
        backbone: Any = self.decoder.backbone
        still = {f"decoder.backbone.{name}" for name in backbone.state_dict() if _is_still(name, backbone.trains)}
        return still | {name for name, weight in self.named_parameters() if not weight.requires_grad}

    def _sampler(self) -> RecordingBatchSampler:
        return self.trainer.val_dataloaders.batch_sampler  # pyright: ignore[reportOptionalMemberAccess]


def estimate(decoder: Decoder, batch: Batch, subjects: Mapping[str, str]) -> Tensor:
    """Vectors of a batch's words (B, W, E), from features that it has or from its codes or signal."""
    who = [subjects[key] for key in batch.keys] if decoder.subjects is not None else None
    if batch.features_BWCD is None:
        return decoder(batch, who)
    weight = next(decoder.head.parameters())  # pyright: ignore[reportAttributeAccessIssue]
    features = WordFeatures(batch.features_BWCD.to(weight.dtype), batch.sensors, batch.sensor_mask_BC)
    words_BW = None if batch.word_starts_BW is None else batch.word_starts_BW >= 0
    return decoder.from_features(features, words_BW, who)


def make_loss(section: LossSection) -> SigLIP | CLIP:
    """Make the loss that a configuration names."""
    duplicates = "cosine" if section.duplicates == "vector" else "word"
    if section.kind == "clip":
        return CLIP(
            section.norm_kind,
            section.temperature,
            section.symmetric,
            learnable=section.learnable,
            duplicates=duplicates,
        )
    return SigLIP(
        section.norm_kind,
        section.temperature,
        section.bias,
        section.reduction,
        learnable=section.learnable,
        duplicates=duplicates,
    )


def parameter_groups(config: WordsConfig, decoder: Decoder, loss: torch.nn.Module) -> list[dict[str, Any]]:
    """Weights that are trained, by their learning rate: those of the backbone, of the head, and of the loss.

    Weight decay is on all weights, norms and biases too, as published; not on scale and shift of the loss.
    """
    training, backbone = config.training, decoder.backbone
    scratch = backbone.trains and (config.model.train_from_scratch or config.model.backbone == "convolution")
    head_rate = training.probe_lr if config.command == "probe" else training.word_mlp_lr
    rates = {
        "backbone": training.from_scratch_lr if scratch else training.criss_cross_lr,
        "head": training.from_scratch_lr if scratch else head_rate,
    }
    named = {"backbone": [], "head": []}
    for name, weight in decoder.named_parameters():
        if weight.requires_grad:
            named["backbone" if name.startswith("backbone.") else "head"].append(weight)
    groups = [
        {"name": name, "params": weights, "lr": rates[name], "weight_decay": training.weight_decay}
        for name, weights in named.items()
        if weights
    ]
    scales = list(loss.parameters())
    return groups + ([{"name": "loss", "params": scales, "lr": rates["head"], "weight_decay": 0.0}] if scales else [])


def rates(optimizer: torch.optim.Optimizer) -> dict[str, float]:
    """Learning rates by what they are for: backbone, head, loss."""
    return {group["name"]: float(group["lr"]) for group in optimizer.param_groups}


def _is_still(name: str, trains: bool) -> bool:
    return not trains or ".tokenizer." in f".{name}"
