"""The baseline without a model: what the frozen codec alone says of each word.

Letters: B batch, C sensors, T tokens, N rows (tokens of all sensors), Q levels, V codes, D width.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from megxl.data.batch import Batch
from megxl.decoding.decoder import WordFeatures, codes_or_signal, pool_batch
from megxl.model.inputs import check_codes
from megxl.tokenizer.biocodec import BioCodec
from megxl.tokenizer.precision import full_precision


class CodecBackbone(nn.Module):
    """The codec's quantised vectors (the sum over its levels) averaged over each word's tokens; nothing is trained.

    Parameters
    ----------
    tokenizer : BioCodec
        Frozen here.
    window_s : float
        Length of a word's window, seconds.
    """

    trains = False

    def __init__(self, tokenizer: BioCodec, window_s: float = 3.0) -> None:
        super().__init__()
        self.tokenizer, self.window_s = tokenizer.requires_grad_(False).eval(), window_s
        self.width = tokenizer.config.width

    @torch.no_grad()
    def forward(self, batch: Batch) -> WordFeatures:
        """Features of the words, from codes where the batch has them, otherwise from its signal."""
        inputs = codes_or_signal(batch)
        codes_BCTQ = self.tokenizer.tokenize(inputs) if inputs.is_floating_point() else inputs
        check_codes(codes_BCTQ, self.tokenizer.config)
        words_BWCD = pool_batch(
            self._vectors(codes_BCTQ), batch, self.window_s, self.tokenizer.config.samples_per_token
        )
        return WordFeatures(words_BWCD, batch.sensors, batch.sensor_mask_BC)

    def _vectors(self, codes_BCTQ: Tensor) -> Tensor:
        """What `quantizer.decode` gives, but summed while it is looked up: at full size that takes 0.1 GB, not 0.7."""
        with full_precision(codes_BCTQ.device.type):
            vectors_QVD = self.tokenizer.quantizer.vectors_QVD
        levels, codes, _ = vectors_QVD.shape
        first_Q = codes * torch.arange(levels, device=codes_BCTQ.device)
        rows_NQ = codes_BCTQ.flatten(0, 2).long() + first_Q
        return F.embedding_bag(rows_NQ, vectors_QVD.flatten(0, 1), mode="sum").unflatten(0, codes_BCTQ.shape[:3])
