"""Sums of losses and hits by corpus and level, kept on the device until somebody asks.

Letters: B batch, K corpora, Q levels, S sums (Q losses, Q hits, tokens).
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from megxl.model.megxl import MaskedPrediction


class Tally:
    """How well hidden codes were predicted since the last `reset`, over all tokens and by corpus.

    Means are over tokens: a window with more sensors weighs more, and how windows were dealt into batches or over
    ranks does not matter.

    Parameters
    ----------
    corpora : sequence of str
        Names, in the order of their numbers in `Batch.corpus_B`.
    levels : int
        Levels of the tokenizer.
    """

    def __init__(self, corpora: Sequence[str], levels: int) -> None:
        self.corpora = tuple(corpora)
        self.levels = levels
        self.sums_KS = torch.zeros(len(self.corpora), 2 * levels + 1, dtype=torch.float64)

    def update(self, prediction: MaskedPrediction, corpus_B: Tensor, counted_B: Tensor | None = None) -> None:
        """Add a batch, without waiting for the device.

        Parameters
        ----------
        prediction : MaskedPrediction
        corpus_B : Tensor
            Number of each item's corpus.
        counted_B : Tensor of bool, optional
            False where an item is left out.
        """
        parts_BS = torch.cat([prediction.loss_BQ, prediction.hits_BQ, prediction.tokens_B[:, None]], 1).detach()
        # a million tokens would be lost in float32, which is all that Apple's GPUs have
        wide = torch.float32 if parts_BS.device.type == "mps" else torch.float64
        if self.sums_KS.device != parts_BS.device or self.sums_KS.dtype != wide:
            self.sums_KS = self.sums_KS.to(parts_BS.device, wide)
        # a product rather than index_add_, whose order of summation changes from run to run on a GPU
        belongs_KB = torch.arange(len(self.corpora), device=corpus_B.device)[:, None] == corpus_B
        if counted_B is not None:
            belongs_KB = belongs_KB & counted_B
        self.sums_KS += belongs_KB.to(wide) @ parts_BS.to(wide)

    def reduce(self, all_reduce: Callable[[Tensor], Tensor]) -> "Tally":
        """Put the sums of all ranks in place of this rank's; to be followed by `read` and `reset`.

        Parameters
        ----------
        all_reduce : callable
            Gives the sum of a tensor over all ranks.
        """
        self.sums_KS = all_reduce(self.sums_KS)
        return self

    def read(self) -> dict[str, float]:
        """Means in nats and shares, in one transfer to the host.

        Returns
        -------
        dict
            `loss`, `accuracy`, `loss_level_1` and so on, `accuracy_level_1` and so on, `CORPUS_loss` and
            `CORPUS_accuracy` of each corpus that was seen, and `tokens`; of nothing, `tokens` alone.
        """
        sums_KS = self.sums_KS.cpu().double()
        total_S = sums_KS.sum(0)
        told = {"tokens": total_S[-1].item()}
        if not told["tokens"]:
            return told
        mean_S = (total_S / total_S[-1]).tolist()
        told |= self._summary(mean_S)
        for level in range(self.levels):
            told[f"loss_level_{level + 1}"] = mean_S[level]
            told[f"accuracy_level_{level + 1}"] = mean_S[self.levels + level]
        for corpus, of_corpus_S in zip(self.corpora, sums_KS, strict=True):
            if of_corpus_S[-1]:
                means = self._summary((of_corpus_S / of_corpus_S[-1]).tolist())
                told |= {f"{corpus}_{name}": mean for name, mean in means.items()}
        return told

    def reset(self) -> None:
        """Begin anew."""
        self.sums_KS = torch.zeros_like(self.sums_KS)

    def _summary(self, mean_S: list[float]) -> dict[str, float]:
        """Means over levels."""
        return {
            "loss": sum(mean_S[: self.levels]) / self.levels,
            "accuracy": sum(mean_S[self.levels : 2 * self.levels]) / self.levels,
        }
