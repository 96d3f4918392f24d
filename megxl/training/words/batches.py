"""A batch with what its words are compared to, made on the CPU before it goes to the device.

Letters: B batch, W words of an item, N words that count, E width of the targets.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from megxl.data.batch import Batch
from megxl.data.seeds import seed_of
from megxl.errors import InputError
from megxl.training.words.targets import WordTargets


@dataclass(frozen=True, kw_only=True, eq=False)
class WordsBatch:
    """A batch, the words of it that count, and their targets.

    Parameters
    ----------
    batch : Batch
    kept_BW : Tensor of bool
        False where an item has no more words, and in items that were in this epoch before.
    targets_NE : Tensor
        Vectors of the words that are kept.
    numbers_N : Tensor of int64
        Numbers of these words, by which duplicates are known.
    seed : int
        For the chance of the step, a function of the items' seeds.
    """

    batch: Batch
    kept_BW: Tensor
    targets_NE: Tensor
    numbers_N: Tensor
    seed: int

    def __len__(self) -> int:
        return len(self.batch)

    def to(self, device: torch.device | str) -> "WordsBatch":
        """Move all tensors to a device."""
        parts = {name: getattr(self, name).to(device) for name in ("batch", "kept_BW", "targets_NE", "numbers_N")}
        return replace(self, **parts)

    def normalized(self, block_s: float) -> "WordsBatch":
        """Scale the signal block by block where it lies (`Batch.normalized`)."""
        return replace(self, batch=self.batch.normalized(block_s))

    def padded(self, sensors: int) -> "WordsBatch":
        """Add masked sensors (`Batch.padded`)."""
        return replace(self, batch=self.batch.padded(sensors))


def with_targets(batch: Batch, targets: WordTargets) -> WordsBatch:
    """Find out which words of a batch count, and their vectors."""
    if batch.words is None or batch.word_starts_BW is None:
        raise InputError("The batch has no words; make it of word groups (WordGroupDataset).")
    kept_BW = batch.word_starts_BW >= 0
    repeated = [False] * len(batch) if batch.repeated_B is None else batch.repeated_B.tolist()
    if batch.repeated_B is not None:
        kept_BW = kept_BW & ~batch.repeated_B[:, None]
    words = [words for words, again in zip(batch.words, repeated, strict=True) if not again]
    return WordsBatch(
        batch=batch,
        kept_BW=kept_BW,
        targets_NE=targets.of(words) if words else torch.zeros(0, targets.width),
        numbers_N=targets.numbers(words),
        seed=seed_of("step", *batch.seeds_B.tolist()),
    )
