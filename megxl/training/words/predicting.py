"""Predictions of a finished run, by the decoder as it stands on the disk.

Letters: N words of a part, V words of the vocabulary.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from megxl.decoding.decoder import Decoder
from megxl.training.words.data import WordsData
from megxl.training.words.judging import Judge
from megxl.training.words.module import estimate
from megxl.training.words.precision import in_precision

if TYPE_CHECKING:
    from megxl.data.sources import Part


@torch.no_grad()
def predict(
    decoder: Decoder,
    data: WordsData,
    part: "Part",
    subjects: Mapping[str, str],
    *,
    device: torch.device,
    precision: str,
) -> Tensor:
    """Estimated vectors of all words of a part in the order of the files, shape (N, E), float32 on the CPU.

    One process does it, so that each word is there once.
    """
    decoder.to(device).eval()
    found = []
    for batch in data.whole_loader(data.dataset(part)):
        assert batch.word_starts_BW is not None
        there_BW = (batch.word_starts_BW >= 0).to(device)
        batch = data.on_after_batch_transfer(batch.to(device), 0)
        with in_precision(device, precision):
            estimates_BWE = estimate(decoder, batch, subjects)
        found.append(estimates_BWE[there_BW].float().cpu())
    return torch.cat(found)


def frequency_scores(judge: Judge) -> Tensor:
    """Scores (N, V) of a guesser that knows only how often words were trained."""
    return torch.tensor(judge.counts, dtype=torch.float32).expand(len(judge.occurrences), -1).contiguous()
