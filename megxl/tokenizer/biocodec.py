"""BioCodec: one sensor's signal to codes and back (a causal SEANet around a residual vector quantizer).

Letters: B batch, C sensors, N rows (one sensor each), T samples or tokens, Q levels, D width.
"""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from megxl.checkpoints.files import Checkpoint, read_checkpoint
from megxl.checkpoints.pretrained import Pretrained
from megxl.errors import InputError
from megxl.sizes import BioCodecConfig
from megxl.tokenizer.precision import full_precision
from megxl.tokenizer.quantizer import Observer, ResidualQuantizer
from megxl.tokenizer.seanet import Decoder, Encoder, frames

FOLDED = "This codec was folded for inference and cannot be saved; save the one it was made from."

SAMPLES_AT_ONCE = {"cpu": 60_000}
MANY_SAMPLES_AT_ONCE = 2_400_000
"""Samples that `tokenize` holds in the codec at a time: what stays in a processor's cache, or what fills a GPU."""


class CodecOutput(NamedTuple):
    """Result of a differentiable pass."""

    signal_N1T: Tensor
    """Reconstruction in the input's unit."""
    codes_NQT: Tensor
    """Chosen codes (int64)."""
    commitment: Tensor
    """Mean squared distance of projected vectors to their codes, unweighted."""


class BioCodec(nn.Module, Pretrained):
    """Channel-wise neural codec: 12 samples of one sensor become one token of 6 codes out of 256.

    Parameters
    ----------
    config : BioCodecConfig
        Sizes.
    """

    def __init__(self, config: BioCodecConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or BioCodecConfig()
        self.provenance = {"weights": "random"}
        self.recipe = {}
        sizes = {
            "filters": config.filters,
            "strides": config.strides,
            "blocks": config.blocks,
            "kernel": config.kernel,
            "lstm_layers": config.lstm_layers,
            "width": config.width,
        }
        self.encoder = Encoder(**sizes)
        self.decoder = Decoder(**sizes)
        self.quantizer = ResidualQuantizer(
            levels=config.levels, width=config.width, code_width=config.code_width, codes=config.codes
        )

    def forward(self, x_N1T: Tensor, observe: Observer | None = None) -> CodecOutput:
        """Encode, quantize with straight-through gradients, decode.

        Parameters
        ----------
        x_N1T : Tensor, shape (N, 1, T)
            Signal of one sensor a row, any unit.
        observe : callable, optional
            Told of what each level of the quantizer saw, for learning code books.
        """
        scale_N = rms_scale(x_N1T)
        quantized = self.quantizer(self._embed(x_N1T, scale_N), observe)
        signal_N1T = self._reconstruct(quantized.vectors_NTD, scale_N, x_N1T.shape[-1])
        return CodecOutput(signal_N1T, quantized.codes_NTQ.transpose(1, 2), quantized.commitment)

    def vectors(self, x_N1T: Tensor) -> Tensor:
        """The encoder's vectors (N, T', D) of a signal (N, 1, T), which the quantizer is to code."""
        return self._embed(x_N1T, rms_scale(x_N1T))

    def encode(self, x_N1T: Tensor) -> tuple[Tensor, Tensor]:
        """Codes and scale of a signal.

        Parameters
        ----------
        x_N1T : Tensor, shape (N, 1, T)
            Signal of one sensor a row, any unit.

        Returns
        -------
        codes_NQT : Tensor of int64, shape (N, Q, ceil(T / samples_per_token))
        scale_N : Tensor, shape (N, 1)
            Root mean square of each row, in the input's unit.
        """
        scale_N = rms_scale(x_N1T)
        return self.quantizer.search(self._embed(x_N1T, scale_N)).transpose(1, 2), scale_N

    def decode(self, codes_NQT: Tensor, scale_N: Tensor | None = None, length: int | None = None) -> Tensor:
        """Signal (N, 1, T) that codes (N, Q, T') stand for; `length` cuts it, `scale_N` (N, 1) gives it its unit."""
        length = codes_NQT.shape[-1] * self.config.samples_per_token if length is None else length
        return self._reconstruct(self.quantizer.decode(codes_NQT.long().transpose(1, 2)), scale_N, length)

    @torch.no_grad()
    def tokenize(self, signal_BCT: Tensor, max_rows: int | None = None) -> Tensor:
        """Codes of a whole sensor array, sensor by sensor, in chunks of bounded memory.

        Autocast and TF32 are left for the time: a code near a boundary must not depend on the matrix unit at hand.

        Parameters
        ----------
        signal_BCT : Tensor, shape (B, C, T)
            Block-scaled signal.
        max_rows : int, optional
            Sensors encoded at once; the default is set by the samples that a device handles best.

        Returns
        -------
        Tensor of uint8 (int32 where a code book has more than 256 codes), shape (B, C, T', Q)
        """
        if signal_BCT.dim() != 3 or signal_BCT.shape[-1] == 0:
            raise InputError(f"A signal to tokenize has the shape (B, C, T) with T > 0, not {tuple(signal_BCT.shape)}.")
        rows_N1T = signal_BCT.flatten(0, 1)[:, None].to(self.quantizer.code_books_QVK.dtype)
        at_once = SAMPLES_AT_ONCE.get(signal_BCT.device.type, MANY_SAMPLES_AT_ONCE)
        max_rows = max_rows or max(1, at_once // rows_N1T.shape[-1])
        small = torch.uint8 if self.config.codes <= 256 else torch.int32
        with full_precision(signal_BCT.device.type), parametrize.cached():
            chunks = [self.encode(chunk_N1T) for chunk_N1T in rows_N1T.split(max_rows)]
        _refuse_nonfinite(torch.cat([scale_N for _, scale_N in chunks]).unflatten(0, signal_BCT.shape[:2]))
        codes_NQT = torch.cat([codes_NQT.to(small) for codes_NQT, _ in chunks])
        return codes_NQT.transpose(1, 2).unflatten(0, signal_BCT.shape[:2])

    def tokens(self, samples: int) -> int:
        """Tokens that so many samples become."""
        return frames(samples, self.config.strides)

    def fold_(self) -> "BioCodec":
        """Replace every weight-normalised weight by its value, in place: faster, no longer to be trained or saved."""
        for module in list(self.modules()):
            if parametrize.is_parametrized(module):
                parametrize.remove_parametrizations(module, "weight", leave_parametrized=True)
        return self

    @property
    def folded(self) -> bool:
        """Whether `fold_` was called."""
        return not parametrize.is_parametrized(self.encoder.entry)

    def _embed(self, x_N1T: Tensor, scale_N: Tensor) -> Tensor:
        return self.encoder(x_N1T / scale_N[..., None]).transpose(1, 2)

    def _reconstruct(self, vectors_NTD: Tensor, scale_N: Tensor | None, length: int) -> Tensor:
        signal_N1T = self.decoder(vectors_NTD.transpose(1, 2))[..., :length]
        return signal_N1T if scale_N is None else signal_N1T * scale_N[..., None]

    @classmethod
    def from_checkpoint(cls, checkpoint: Checkpoint) -> "BioCodec":
        """Codec out of what `read_checkpoint` returns."""
        codec = cls(BioCodecConfig(**checkpoint.config))
        codec.load_state_dict(checkpoint.tensors)
        codec.provenance, codec.recipe = checkpoint.provenance, checkpoint.training
        return codec.eval()

    @classmethod
    def from_pretrained(cls, source: str | Path, *, allow_unmatched: Sequence[str] = ()) -> "BioCodec":
        """Codec from a released `.pt` file, a folder in our format, or the name of a hub repository.

        Parameters
        ----------
        source : str or Path
            File, folder, or hub name.
        allow_unmatched : sequence of str
            Patterns of keys in the file that may be left unused.
        """
        return cls.from_checkpoint(read_checkpoint(source, allow_unmatched=allow_unmatched, kind="biocodec"))

    def to_checkpoint(self) -> Checkpoint:
        """Config, tensors and provenance, ready to be written in either format."""
        if self.folded:
            raise InputError(FOLDED)
        return Checkpoint(
            kind="biocodec",
            config=asdict(self.config),
            tensors=self.state_dict(),
            training=self.recipe,
            provenance=self.provenance,
        )


def rms_scale(x_N1T: Tensor) -> Tensor:
    """Root mean square over time of each row (N, 1), at least 1e-8."""
    return x_N1T.square().mean(dim=(1, 2)).sqrt().clamp(min=1e-8)[:, None]


def _refuse_nonfinite(scale_BC1: Tensor) -> None:
    """A NaN would become code 0 and a finite feature; one look at the scales, once all is computed, prevents it."""
    bad = (~scale_BC1.isfinite()).nonzero()
    if len(bad):
        raise InputError(
            f"{len(bad)} of {scale_BC1.numel()} sensor signals hold NaN or infinite samples "
            f"(first: item {int(bad[0, 0])}, sensor {int(bad[0, 1])}); repair or leave them out before tokenizing."
        )
