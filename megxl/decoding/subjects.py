"""Who is listening, as part of what a head sees.

Letters: B batch, W words, C sensors, D width of the features, S subjects.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from megxl.errors import InputError


class SubjectEmbedding(nn.Module):
    """A vector for each listener, added to the pooled features before any head; it begins with zeros.

    Parameters
    ----------
    subjects : sequence of str
        Those of the training part, each once.
    width : int
        D.
    """

    def __init__(self, subjects: Sequence[str], width: int) -> None:
        super().__init__()
        if not subjects or len(set(subjects)) < len(subjects):
            raise InputError(f"subjects = {list(subjects)!r}; allowed: at least one name, each once.")
        self.numbers = {subject: number for number, subject in enumerate(subjects)}
        self.vectors_SD = nn.Parameter(torch.zeros(len(subjects), width))

    def forward(self, words_BWCD: Tensor, subjects: Sequence[str]) -> Tensor:
        """Add to (B, W, C, D) the vector of the subject of each item; an unseen subject gets the mean of all."""
        if len(subjects) != len(words_BWCD):
            raise InputError(f"{len(subjects)} subjects were given for {len(words_BWCD)} items; give one an item.")
        unseen = len(self.numbers)
        numbers_B = torch.tensor([self.numbers.get(subject, unseen) for subject in subjects])
        # the mean of the others, not a row of its own, which nothing would train
        table_SD = torch.cat([self.vectors_SD, self.vectors_SD.mean(0, keepdim=True)])
        chosen_BD = table_SD[numbers_B.to(table_SD.device, non_blocking=True)]
        return words_BWCD + chosen_BD[:, None, None]
