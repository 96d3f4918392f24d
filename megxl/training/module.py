"""The training step of masked-code pre-training, for Lightning: a pure function of weights, batch and configuration.

Letters: B batch, C sensors, T samples or tokens, Q levels.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from megxl.checkpoints.checkpoint import Checkpoint, is_untrained
from megxl.checkpoints.matching import match
from megxl.checkpoints.names import table_of
from megxl.checkpoints.released import OURS, released_sections
from megxl.data.batch import Batch
from megxl.errors import InputError
from megxl.model.execution import attention_backend, compile_layers, recompute_activations
from megxl.model.megxl import MEGXL, MaskedPrediction
from megxl.training.averaging import CURRENT
from megxl.training.config import PretrainConfig
from megxl.training.masks import MaskedBatch, hide, shuffle_segments
from megxl.training.metrics import Tally
from megxl.training.scheduled import Scheduled
from megxl.training.seeding import set_seeds

try:
    import lightning
except ModuleNotFoundError as error:
    raise InputError("Training needs Lightning: pip install 'megxl[train]'.") from error

LOSS_UNIT = 2.0**16
"""Tokens by which a step's sum of losses is divided until the global count is known; a power of two loses no bit."""


class PretrainModule(Scheduled):
    """Predict hidden codes.

    The loss of an optimizer step is the sum over the hidden tokens of all real sensors, of all ranks and of all
    batches that it accumulates, divided by their number: how windows are dealt does not matter. Its chance (masks,
    dropout) comes from the seeds of its items alone, so that no state of a generator need be kept.

    Parameters
    ----------
    model : MEGXL
        Random, or loaded from other weights; it is trained in place.
    config : PretrainConfig
    corpora : mapping of str to int
        Number of each corpus (`MultiCorpusDataModule.corpus_ids`).
    provenance : mapping, optional
        What a checkpoint shall say of its data, JSON-able: the recordings of training and validation by corpus.

    Attributes
    ----------
    train_tally, validation_tally : Tally
        Sums since they were last reset; validation resets its own when it begins.
    told : dict
        `provenance`; may be added to until weights are saved.
    """

    config: PretrainConfig

    def __init__(
        self,
        model: MEGXL,
        config: PretrainConfig,
        corpora: Mapping[str, int],
        *,
        provenance: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(config)
        self.model = model
        names = sorted(corpora, key=lambda name: corpora[name])
        self.train_tally = Tally(names, model.config.levels)
        self.validation_tally = Tally(names, model.config.levels)
        self._sizes = model.to_checkpoint().config
        self.told = dict(provenance or {})
        self._started_from = None if model.provenance.get("weights") == "random" else dict(model.provenance)
        self._tokens: Tensor | int = 0
        recompute_activations(model, config.model.recompute)
        if config.model.compile:
            compile_layers(model)

    def on_before_batch_transfer(self, batch: Batch | MaskedBatch, dataloader_idx: int) -> MaskedBatch:
        """Draw masks on the CPU, inside the step."""
        return batch if isinstance(batch, MaskedBatch) else hide(batch, self.model.config, self._tokens_of(batch))

    def training_step(self, batch: MaskedBatch, batch_idx: int) -> Tensor:
        """Sum of the losses of a batch's hidden tokens, mean over levels, in units of `LOSS_UNIT` tokens."""
        set_seeds(batch.seed)
        if self.config.data.shuffle_segments:
            batch = shuffle_segments(batch, self.config.data.shuffle_segment_duration)
        prediction = self._predict(batch)
        self.train_tally.update(prediction, batch.batch.corpus_B)
        self._tokens = prediction.tokens.detach().long() + self._tokens
        return prediction.loss_BQ.sum() / (self.model.config.levels * LOSS_UNIT)

    def backward(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        """Go back; recomputed layers attend on the chosen kernel here, too."""
        with attention_backend(self.config.model.attention):
            super().backward(loss, *args, **kwargs)

    def validation_step(self, batch: MaskedBatch, batch_idx: int) -> None:
        """Add a batch to the tally; items that only level the ranks are left out."""
        repeated_B = batch.batch.repeated_B
        counted_B = None if repeated_B is None else ~repeated_B
        self.validation_tally.update(self._predict(batch), batch.batch.corpus_B, counted_B)

    def on_validation_epoch_start(self) -> None:
        """Count anew."""
        self.validation_tally.reset()

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Turn gradients of sums into those of the mean over all tokens of the step, and set its learning rate."""
        tokens = self.sum_over_ranks(torch.as_tensor(self._tokens))
        self._tokens = 0
        self.finish_gradients(optimizer, tokens, LOSS_UNIT)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Make it a released file: weights under the released names, hyper-parameters, and our section.

        All ranks must call it, as `Trainer.save_checkpoint` wants it anyway.
        """
        section = checkpoint.get(OURS, {})
        self.stamp()
        state = {name.removeprefix("model."): tensor for name, tensor in checkpoint["state_dict"].items()}
        # weights that were sharded are whole on the first rank alone, which writes them
        if state:
            checkpoint.update(released_sections(self._checkpoint(state), "the checkpoint"))
        checkpoint[OURS] = {**checkpoint.get(OURS, {}), **section}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take the weights under the released names, strictly."""
        # a strategy that shards the weights has read them already
        if "state_dict" in checkpoint:
            checkpoint["state_dict"] = self.state_of(checkpoint["state_dict"])
        section = checkpoint.get(OURS, {})
        if CURRENT in section and self.config.training.ema_decay is None:
            raise InputError(
                "The checkpoint to go on from keeps an average of the weights, but training.ema_decay is null: "
                "give the decay that it was trained with, or begin a new run with model.init_from."
            )
        self._started_from = section.get("provenance", {}).get("started_from")

    def state_of(self, released: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Weights under the names that this module has for them, out of those under the released names."""
        tensors, _ = match(released, table_of("megxl", self._sizes), "the checkpoint to go on from")
        return {f"model.{name}": tensor for name, tensor in tensors.items()}

    def on_train_end(self) -> None:
        """Leave a model that says how it was trained."""
        self.stamp()

    def stamp(self) -> None:
        """Write into the model where its weights come from, for all that will be saved of it."""
        trainer, config = self.trainer, self.config
        progress = {
            "epoch": trainer.current_epoch,
            "global_step": trainer.global_step,
            "lightning_version": lightning.__version__,
        }
        codec = {} if self.model.tokenizer is None else self.model.tokenizer.provenance
        earlier = self._started_from or {}
        provenance = {
            "weights": "loaded",
            "epoch": trainer.current_epoch,
            "steps": trainer.global_step + (earlier.get("steps") or 0),
            "seed": config.seed,
            "sampler_seed": config.training.sampler_seed,
            "lightning_version": lightning.__version__,
            "tokenizer": codec,
            "started_from": self._started_from,
            **self.told,
        }
        provenance["untrained"] = is_untrained(provenance) or is_untrained(codec)
        self.model.provenance = provenance
        self.model.recipe = {
            **{name: value for name, value in self.model.recipe.items() if name == "rope_length"},
            **progress,
            "learning_rate": config.training.learning_rate,
            "warmup_steps": self._warmup,
            "training_steps": self._total,
        }

    def _checkpoint(self, tensors: dict[str, Tensor]) -> Checkpoint:
        return Checkpoint(
            kind="megxl",
            config=self._sizes,
            tensors=tensors,
            training=self.model.whole_recipe,
            provenance=self.model.provenance,
        )

    def _predict(self, batch: MaskedBatch) -> MaskedPrediction:
        inputs = batch.batch.codes_BCTQ if batch.batch.codes_BCTQ is not None else batch.batch.signal_BCT
        assert inputs is not None
        with attention_backend(self.config.model.attention):
            return self.model.masked_prediction(inputs, batch.batch.sensors, batch.mask_BT, batch.batch.sensor_mask_BC)

    def _tokens_of(self, batch: Batch) -> int:
        """Tokens of a window, of its codes or to come."""
        if batch.codes_BCTQ is not None:
            return batch.codes_BCTQ.shape[2]
        if batch.signal_BCT is None or self.model.tokenizer is None:
            raise InputError("A batch needs codes; or a signal, and the model a tokenizer.")
        return self.model.tokenizer.tokens(batch.signal_BCT.shape[2])
