"""The training step of a tokenizer, for Lightning: a pure function of weights, rows and configuration.

Letters: N rows (one sensor each), T samples, D width, Q levels, S sums.
"""

from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor

from megxl.checkpoints.checkpoint import Checkpoint, is_untrained
from megxl.checkpoints.matching import match
from megxl.checkpoints.names import codec_rows
from megxl.checkpoints.released import COMPILED, OURS, released_sections
from megxl.errors import InputError
from megxl.tokenizer.biocodec import BioCodec, CodecOutput
from megxl.tokenizer.codebooks import CodeBookLearner, CodeBookNews, CodeBookRules
from megxl.tokenizer.objective import ObjectiveTerms, ObjectiveWeights, objective
from megxl.tokenizer.precision import full_precision
from megxl.tokenizer.signals import SIGNAL
from megxl.training.scheduled import Scheduled
from megxl.training.tokenizer.config import TokenizerConfig
from megxl.training.tokenizer.data import TokenizerData
from megxl.training.tokenizer.rows import Rows
from megxl.training.tokenizer.validation import TERMS, Validation, row_sums

try:
    import lightning
except ModuleNotFoundError as error:
    raise InputError("Training needs Lightning: pip install 'megxl[train]'.") from error

ROWS_UNIT = 2.0**10
"""Rows by which a step's sum of losses is divided until the global count is known; a power of two loses no bit."""


class TokenizerModule(Scheduled):
    """Learn to code rows so that they can be decoded.

    The loss of an optimizer step is the mean over the rows of all ranks and of all batches that it accumulates, and so
    are the statistics by which code books follow: how windows are dealt does not matter. Nothing in it is left to
    chance but the rows, whose seeds come with them, so that no state of a generator need be kept.

    Parameters
    ----------
    codec : BioCodec
        Random, or loaded from other weights; it is trained in place.
    config : TokenizerConfig
    provenance : mapping, optional
        What a checkpoint shall say of its data, JSON-able.

    Attributes
    ----------
    sums_S : Tensor
        Rows, and `TERMS` summed over them, of all ranks since somebody set them to 0.
    revived_Q : Tensor
        Codes that began anew in the same time.
    news : CodeBookNews or None
        Of the last optimizer step.
    validation : Validation
        The latest.
    """

    config: TokenizerConfig

    def __init__(
        self, codec: BioCodec, config: TokenizerConfig, *, provenance: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(config)
        self.codec = codec
        self.betas = cast(tuple[float, float], config.training.betas)
        self.learner = CodeBookLearner(codec.quantizer, code_book_rules(config))
        self.news: CodeBookNews | None = None
        self.validation = self._empty_validation()
        self.sums_S, self.revived_Q = torch.zeros(1 + len(TERMS)), torch.zeros(codec.config.levels)
        self._step_S: Tensor | float = 0.0
        self._weights = objective_weights(config)
        self.told = dict(provenance or {})
        self._started_from = None if codec.provenance.get("weights") == "random" else dict(codec.provenance)

    def on_train_start(self) -> None:
        """Begin the code books of a new codec with the rows of its first step, whichever batches share it."""
        if self.learner.initialised:
            return
        data = self.trainer.datamodule  # pyright: ignore[reportAttributeAccessIssue] (Lightning adds it)
        assert isinstance(data, TokenizerData)
        firsts = [
            data.on_after_batch_transfer(rows.to(self.device), 0)
            for rows in data.first_rows(self.trainer.accumulate_grad_batches)
        ]
        with torch.no_grad(), full_precision(self.device.type):
            vectors_NTD = torch.cat([self.codec.vectors(rows.signal_N1T) for rows in firsts])
        self.learner.initialise(vectors_NTD, torch.cat([rows.seeds_N for rows in firsts]), self.config.seed)

    def training_step(self, batch: Rows, batch_idx: int) -> Tensor:
        """Sum of the losses of the rows, in units of `ROWS_UNIT` rows."""
        output = self.codec(batch.signal_N1T, self.learner.observer(batch.seeds_N))
        terms = self._objective(batch, output)
        self._step_S = self._step_S + row_sums(len(batch), terms)
        return terms.total * (len(batch) / ROWS_UNIT)

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Take the mean over all rows of the step, set its learning rate, and have the code books follow."""
        assert isinstance(self._step_S, Tensor)
        step_S, self._step_S = self.sum_over_ranks(self._step_S), 0.0
        self.finish_gradients(optimizer, step_S[0], ROWS_UNIT)
        self.news = self.learner.update(self.trainer.global_step, self.config.seed)
        self.sums_S = self.sums_S.to(step_S) + step_S
        self.revived_Q = self.revived_Q.to(step_S) + self.news.revived_Q

    def validation_step(self, batch: Rows, batch_idx: int) -> None:
        """Measure rows; those of windows that only level the ranks are left out."""
        rows = batch.counted()
        if len(rows):
            output = self.codec(rows.signal_N1T)
            self.validation.add(rows, output, self._objective(rows, output))

    def on_validation_epoch_start(self) -> None:
        """Measure anew."""
        self.validation = self._empty_validation()

    def on_validation_epoch_end(self) -> None:
        """Join what all ranks measured."""
        self.validation.gather()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Make it a released file of a codec: weights under the released names, and our section."""
        self.stamp()
        state = {name.removeprefix("codec."): tensor for name, tensor in checkpoint.pop("state_dict").items()}
        codec = Checkpoint(
            kind="biocodec",
            config=self.codec.to_checkpoint().config,
            tensors=state,
            training=self.codec.recipe,
            provenance=self.codec.provenance,
        )
        checkpoint.update(released_sections(codec, "the checkpoint"))

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take the weights under the released names, strictly."""
        found = {name.removeprefix(COMPILED): tensor for name, tensor in checkpoint["model_state_dict"].items()}
        tensors, _ = match(found, codec_rows(self.codec.to_checkpoint().config), "the checkpoint to go on from")
        checkpoint["state_dict"] = {f"codec.{name}": tensor for name, tensor in tensors.items()}
        self._started_from = checkpoint.get(OURS, {}).get("provenance", {}).get("started_from")

    def on_train_end(self) -> None:
        """Leave a codec that says how it was trained."""
        self.stamp()

    def stamp(self) -> None:
        """Write into the codec where its weights come from, for all that will be saved of it."""
        trainer, config = self.trainer, self.config
        earlier = self._started_from or {}
        provenance = {
            "weights": "loaded",
            "epoch": trainer.current_epoch,
            "steps": trainer.global_step + (earlier.get("steps") or 0),
            "seed": config.seed,
            "sampler_seed": config.training.sampler_seed,
            "lightning_version": lightning.__version__,
            "started_from": self._started_from,
            **self.told,
        }
        provenance["untrained"] = is_untrained(provenance)
        self.codec.provenance = provenance
        data = config.data
        self.codec.recipe = {
            "epoch": trainer.current_epoch,
            "global_step": trainer.global_step,
            "lightning_version": lightning.__version__,
            SIGNAL: {
                "sfreq_hz": data.target_sfreq,
                "low_hz": data.l_freq,
                "high_hz": data.h_freq,
                "block_s": data.block_s,
                "clip": data.clip,
                "segment_s": data.segment_length,
            },
        }

    def _objective(self, rows: Rows, output: CodecOutput) -> ObjectiveTerms:
        return objective(output.signal_N1T, rows.signal_N1T, output.commitment, self._weights)

    def _empty_validation(self) -> Validation:
        sizes = self.codec.config
        return Validation(sizes.levels, sizes.codes, sizes.samples_per_token)


def code_book_rules(config: TokenizerConfig) -> CodeBookRules:
    """Rules by which code books follow."""
    books = config.codebooks
    return CodeBookRules(
        decay=books.decay,
        smoothing=books.smoothing,
        kmeans_iterations=books.kmeans_iterations,
        kmeans_vectors=books.kmeans_vectors,
        dead_below=books.dead_below,
    )


def objective_weights(config: TokenizerConfig) -> ObjectiveWeights:
    """Weights of the objective."""
    loss = config.loss
    return ObjectiveWeights(
        time=loss.time,
        time_beta=loss.time_beta,
        spectral=loss.spectral,
        n_ffts=loss.n_ffts,
        phase=loss.phase,
        commitment=loss.commitment,
    )
