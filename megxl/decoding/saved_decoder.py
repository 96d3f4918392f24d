"""A trained decoder with all that it takes to name the words of a recording.

Letters: V words of the vocabulary, E width of a target.
"""

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from megxl.data.channels import ChannelOrder
from megxl.data.groups import Grouping
from megxl.decoding.building import DecoderSpec
from megxl.decoding.decoder import Decoder
from megxl.errors import InputError


@dataclass(kw_only=True, eq=False)
class SavedDecoder:
    """A decoder and how its inputs are made and its outputs read.

    Raises
    ------
    InputError
        Targets or counts that are not those of the vocabulary, or of another width than the head's.
    """

    decoder: Decoder
    spec: DecoderSpec
    vocabulary: tuple[str, ...]
    """Candidates, the most frequent of the training part first."""
    counts: tuple[int, ...]
    """How often each occurs in the training part."""
    targets_VE: Tensor
    """Vector of each."""
    channels: ChannelOrder | None
    """The order into which the sensors of recordings were brought; None: that of their files. A batch of them is then
    filled up to the rows that a flat head expects: ``batch.padded(saved.spec.rows)``."""
    grouping: Grouping
    sfreq_hz: float
    """Of the prepared signal."""
    preparation: dict[str, Any]
    """How signals were prepared."""
    about: dict[str, Any] = field(default_factory=dict)
    """Run, protocol, control, encoder of the targets, recordings of the training part; plain values."""

    def __post_init__(self) -> None:
        self.vocabulary, self.counts = tuple(self.vocabulary), tuple(self.counts)
        shape = (len(self.vocabulary), self.spec.target_width)
        if tuple(self.targets_VE.shape) != shape or len(self.counts) != len(self.vocabulary):
            raise InputError(
                f"{len(self.vocabulary)} words have targets of shape {tuple(self.targets_VE.shape)} and "
                f"{len(self.counts)} counts; allowed: {shape}, a vector and a count for each word."
            )
        if not self.targets_VE.isfinite().all():
            raise InputError("The target vectors hold NaN or infinite values; make them again.")
