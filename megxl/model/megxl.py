"""MEG-XL: tokens of a whole sensor array over minutes, to features, and to the codes of hidden tokens.

Letters: B batch, C sensors, T samples or tokens, Q levels, V codes, D width, R rows (hidden tokens of all sensors).
"""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from megxl.checkpoints.files import Checkpoint, read_checkpoint
from megxl.checkpoints.hub import DEFAULT_CODEC
from megxl.checkpoints.pretrained import Pretrained
from megxl.errors import InputError
from megxl.model.attention import RotaryTable, SelfAttention
from megxl.model.criss_cross import CrissCrossLayer
from megxl.model.embedding import TokenEmbedding
from megxl.model.inputs import Sensors, check_codes, prepare_mask, prepare_sensors
from megxl.model.pairing import CARRIED, carried_tensors, refuse_other_sizes, refuse_other_tokenizer
from megxl.sizes import BioCodecConfig, MEGXLConfig
from megxl.tokenizer.biocodec import FOLDED, BioCodec

if TYPE_CHECKING:
    import mne

    from megxl.extraction import Embedding

Compat = Literal["default", "reference", "reference-dropout"]
"""`reference`: padded and bad sensors attend and are attended to, as in the published code. `reference-dropout`: and
attention dropout stays on in evaluation, as it did there."""


class MaskedPrediction(NamedTuple):
    """How well hidden codes were predicted. Losses are in nats; chance is ln(codes)."""

    loss: Tensor
    """Cross-entropy, mean over levels."""
    accuracy: Tensor
    """Share of codes predicted right, mean over levels."""
    loss_Q: Tensor
    accuracy_Q: Tensor
    tokens: Tensor
    """Hidden tokens of real sensors that were counted; where there are none, loss and accuracy are 0."""
    loss_BQ: Tensor
    """Sums over the counted tokens of each item, for means over other sets than this batch."""
    hits_BQ: Tensor
    tokens_B: Tensor


class MEGXL(nn.Module, Pretrained):
    """The model: a frozen tokenizer, an embedding of tokens, criss-cross layers, and a head for hidden codes.

    Parameters
    ----------
    config : MEGXLConfig, optional
        Sizes.
    tokenizer : BioCodec, optional
        Codec whose codes the model reads; without one the model takes codes only. It is frozen.
    compat : {"default", "reference", "reference-dropout"}
        Whether to repeat what is questionable in the published code.

    References
    ----------
    Jayalath & Parker Jones, MEG-XL, ICML 2026, arXiv 2602.02494, section 3.
    """

    def __init__(
        self, config: MEGXLConfig | None = None, tokenizer: BioCodec | None = None, *, compat: Compat = "default"
    ) -> None:
        super().__init__()
        if compat not in get_args(Compat):
            raise InputError(f"compat must be one of {', '.join(get_args(Compat))}, not {compat!r}.")
        self.config = config = config or MEGXLConfig()
        self.compat: Compat = compat
        self.provenance = {"weights": "random"}
        self.recipe = {}
        self.embedding = TokenEmbedding(config)
        self.layers = nn.ModuleList(CrissCrossLayer(config) for _ in range(config.layers))
        self.head = nn.Linear(config.width, config.levels * config.codes)
        for module in self.modules():
            if isinstance(module, SelfAttention):
                module.drops_in_eval = compat == "reference-dropout"
        self.tokenizer = tokenizer
        if tokenizer is not None:
            refuse_other_sizes(tokenizer.config, config)
            tokenizer.requires_grad_(False).eval()
            self.embedding.code_books.copy_(tokenizer.quantizer.code_books_QVK)

    def forward(
        self,
        inputs: Tensor,
        sensors: Sensors,
        sensor_mask_BC: Tensor | None = None,
        *,
        mask: Tensor | None = None,
        layer: int = -1,
    ) -> Tensor:
        """Features of every token.

        Parameters
        ----------
        inputs : Tensor
            Block-scaled signal (B, C, T samples), floating; or its codes (B, C, T tokens, Q), whole numbers.
        sensors : SensorTensors, SensorArray, sequence of SensorArray, or chs_info
            Tensors as the model sees them; or arrays in metres, which are normalised and padded here; or one array as
            braindecode writes it (`SensorArray.from_chs_info`).
        sensor_mask_BC : Tensor of bool, optional
            False where a sensor is padding or bad. None: nothing is padded, and no data need be looked at.
        mask : Tensor of bool, shape (B, T tokens) or (B, C, T tokens), optional
            True where a token is hidden.
        layer : int
            Which layer's output: 0 the embedding, k layer k, -1 the last.

        Returns
        -------
        Tensor, shape (B, C, T tokens, D)
        """
        return self._features(inputs, sensors, sensor_mask_BC, mask, layer)[0]

    def masked_prediction(
        self, codes_BCTQ: Tensor, sensors: Sensors, mask: Tensor, sensor_mask_BC: Tensor | None = None
    ) -> MaskedPrediction:
        """Hide tokens and predict their codes; the head works at the hidden places only.

        Parameters
        ----------
        codes_BCTQ : Tensor, shape (B, C, T, Q)
            Codes (or the signal, which is then tokenized).
        sensors, sensor_mask_BC
            As in `forward`; sensors that are masked out are left out of the loss.
        mask : Tensor of bool, shape (B, T) or (B, C, T)
            True where a token is hidden. Best on the CPU, where finding its places stalls no device.
        """
        features_BCTD, codes_BCTQ, real_BC = self._features(codes_BCTQ, sensors, sensor_mask_BC, mask, -1)
        mask_BCT = prepare_mask(mask, codes_BCTQ.shape)
        counts = mask_BCT.flatten(1).sum(1).tolist()
        if sum(counts) == 0:
            raise InputError("The mask hides no token; masked prediction needs at least one.")
        rows_R = _sent(mask_BCT.reshape(-1).nonzero().squeeze(-1), features_BCTD.device)
        logits_RQV = self.head(features_BCTD.flatten(0, 2)[rows_R]).unflatten(-1, (self.config.levels, -1))
        targets_RQ = codes_BCTQ.flatten(0, 2)[rows_R].long()
        losses_RQ = F.cross_entropy(logits_RQV.flatten(0, 1).float(), targets_RQ.flatten(), reduction="none")
        losses_RQ = losses_RQ.view_as(targets_RQ)
        hits_RQ = (logits_RQV.argmax(-1) == targets_RQ).to(losses_RQ.dtype)
        weight_R1 = losses_RQ.new_ones(len(rows_R), 1)
        if real_BC is not None:
            # weights rather than a selection, whose size a device would have to report first
            weight_R1 = real_BC.flatten()[rows_R // codes_BCTQ.shape[2]].to(losses_RQ.dtype)[:, None]
        loss_BQ, hits_BQ, tokens_B1 = (
            torch.stack([part.sum(0) for part in (each * weight_R1).split(counts)])
            for each in (losses_RQ, hits_RQ, torch.ones_like(weight_R1))
        )
        count = tokens_B1.sum()
        loss_Q, accuracy_Q = (sums_BQ.sum(0) / count.clamp(min=1) for sums_BQ in (loss_BQ, hits_BQ))
        return MaskedPrediction(
            loss_Q.mean(), accuracy_Q.mean(), loss_Q, accuracy_Q, count, loss_BQ, hits_BQ, tokens_B1.squeeze(1)
        )

    def logits(self, features_BCTD: Tensor) -> Tensor:
        """Scores of every code at every level, (B, C, T, Q, V)."""
        return self.head(features_BCTD).unflatten(-1, (self.config.levels, self.config.codes))

    def codes(self, inputs: Tensor) -> Tensor:
        """Codes (B, C, T, Q) of a signal (B, C, samples); codes are passed on once their shape and range are seen."""
        if inputs.is_floating_point():
            if self.tokenizer is None:
                raise InputError("This model has no tokenizer; give it codes, or load it with tokenizer=PATH.")
            return self.tokenizer.tokenize(inputs)
        check_codes(inputs, self.config)
        return inputs

    def _features(
        self, inputs: Tensor, sensors: Sensors, sensor_mask_BC: Tensor | None, mask: Tensor | None, layer: int
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Features, codes, and which sensors are real (None: all)."""
        codes_BCTQ = self.codes(inputs)
        depth = self._depth(layer)
        tensors, real_BC = prepare_sensors(sensors, sensor_mask_BC, codes_BCTQ.shape, codes_BCTQ.device)
        mask_BCT = None
        if mask is not None:
            mask_BCT = prepare_mask(_sent(mask, codes_BCTQ.device), codes_BCTQ.shape)
            if real_BC is not None:
                # as published: padding is never hidden, which matters where it attends
                mask_BCT = mask_BCT & real_BC[..., None]
        x_BCTD = self.embedding(codes_BCTQ, tensors, mask_BCT)
        attending_BC = real_BC if self.compat == "default" else None
        rotary = RotaryTable(codes_BCTQ.shape[2], self.config.width // 2, x_BCTD.device)
        for step in self.layers[:depth]:
            x_BCTD = step(x_BCTD, rotary, attending_BC)
        return x_BCTD, codes_BCTQ, real_BC

    def _depth(self, layer: int) -> int:
        if not -1 <= layer <= len(self.layers):
            raise InputError(f"layer must be 0 (the embedding) to {len(self.layers)}, or -1 for the last, not {layer}.")
        return len(self.layers) if layer == -1 else layer

    def train(self, mode: bool = True) -> "MEGXL":
        """Switch dropout on or off; the frozen tokenizer stays in evaluation."""
        super().train(mode)
        if self.tokenizer is not None:
            self.tokenizer.eval()
        return self

    def embed(self, raw: "mne.io.BaseRaw | str | Path", **options: Any) -> "Embedding":
        """Features of a whole recording; see `megxl.extraction.embed_recording` for the options."""
        from megxl.extraction import embed_recording

        return embed_recording(self, raw, **options)

    @classmethod
    def from_checkpoint(
        cls, checkpoint: Checkpoint, tokenizer: BioCodec | None = None, *, compat: Compat = "default"
    ) -> "MEGXL":
        """Model out of what `read_checkpoint` returns; a codec that it carries must not contradict the one given."""
        if tokenizer is not None:
            refuse_other_tokenizer(checkpoint, tokenizer)
        config, training = dict(checkpoint.config), dict(checkpoint.training)
        codec_config, codec_recipe = config.pop("tokenizer", None), training.pop("tokenizer", {})
        if codec_config is not None:
            own = BioCodec(BioCodecConfig(**codec_config))
            own.load_state_dict(carried_tensors(checkpoint))
            own.provenance, own.recipe = checkpoint.provenance, codec_recipe
            if tokenizer is not None and tokenizer.provenance["weights"] == "loaded":
                own.provenance, own.recipe = tokenizer.provenance, tokenizer.recipe
            tokenizer = own
        model = cls(MEGXLConfig(**config), tokenizer, compat=compat)
        model.load_state_dict(
            {k: v for k, v in checkpoint.tensors.items() if not k.startswith(CARRIED)}
            | {f"{CARRIED}{k}": v for k, v in (tokenizer.state_dict() if tokenizer is not None else {}).items()}
        )
        model.provenance, model.recipe = checkpoint.provenance, training
        return model.eval()

    @classmethod
    def from_pretrained(
        cls,
        source: str | Path,
        tokenizer: BioCodec | str | Path | None = None,
        *,
        compat: Compat = "default",
        allow_unmatched: Sequence[str] = (),
    ) -> "MEGXL":
        """Model from a released `.ckpt` file, a folder in our format, or the name of a hub repository.

        Parameters
        ----------
        source : str or Path
            File, folder, or hub name (`pnpl/MEG-XL/meg-xl-med-v2.ckpt`).
        tokenizer : BioCodec, str or Path, optional
            Codec; not needed where the checkpoint carries its own. Without either, the file at
            `brainstorm/neuro_tokenizers/biocodec_ckpt.pt` under the working directory is taken, if it is there.
        compat : {"default", "reference", "reference-dropout"}
            See `MEGXL`.
        allow_unmatched : sequence of str
            Patterns of keys in the files that may be left unused.
        """
        checkpoint = read_checkpoint(source, allow_unmatched=allow_unmatched, kind="megxl")
        if tokenizer is None and "tokenizer" not in checkpoint.config and DEFAULT_CODEC.is_file():
            tokenizer = BioCodec.from_pretrained(DEFAULT_CODEC, allow_unmatched=allow_unmatched)
            try:
                refuse_other_tokenizer(checkpoint, tokenizer)
            except InputError as error:
                raise InputError(f"{DEFAULT_CODEC} was taken, since no tokenizer was named: {error}") from error
        if isinstance(tokenizer, str | Path):
            tokenizer = BioCodec.from_pretrained(tokenizer, allow_unmatched=allow_unmatched)
        return cls.from_checkpoint(checkpoint, tokenizer, compat=compat)

    def to_checkpoint(self) -> Checkpoint:
        """Config, tensors and provenance, the tokenizer's among them, ready to be written in either format."""
        config = asdict(self.config)
        if self.tokenizer is not None and self.tokenizer.folded:
            raise InputError(FOLDED)
        if self.tokenizer is not None:
            config["tokenizer"] = asdict(self.tokenizer.config)
        return Checkpoint(
            kind="megxl",
            config=config,
            tensors=self.state_dict(),
            training=self.whole_recipe,
            provenance=self.provenance,
        )

    @property
    def whole_recipe(self) -> dict[str, Any]:
        """What is known of the training, under "tokenizer" that of the codec: what a checkpoint keeps."""
        codec = {} if self.tokenizer is None else self.tokenizer.recipe
        return self.recipe | ({"tokenizer": codec} if codec else {})


def _sent(tensor: Tensor, device: torch.device) -> Tensor:
    """Move a tensor; to a GPU without waiting, for which it has to lie in page-locked memory."""
    there = device.type == "cuda" and tensor.device.type == "cpu"
    return tensor.pin_memory().to(device, non_blocking=True) if there else tensor.to(device)
