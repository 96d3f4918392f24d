"""A head that sees the words of a group together, and the controls that say what it owes to the signal.

Letters: B batch, W words, C sensors, D width of the features, E width of the targets, H hidden width.
"""

from typing import Literal, get_args

import torch
from torch import Tensor, nn

from megxl.decoding.heads import Head
from megxl.errors import InputError
from megxl.model.attention import RotaryTable, SelfAttention
from megxl.model.embedding import SensorTensors

Sees = Literal["group", "word", "nothing"]


class SequenceHead(nn.Module):
    """A transformer over the words of a group, on top of a head that looks at each word alone.

    It can learn which words follow each other, with little of the brain in it. `sees` makes its own controls, with the
    same parameters: what `group` has over `word` is context, what `nothing` reaches is language alone.

    Parameters
    ----------
    word_head : Module
        Any `Head`; its `target_width` is the transformer's width.
    target_width : int
        E.
    layers, heads : int
        Of the transformer.
    dropout : float
        In training: of attention weights and of the feed-forward output.
    sees : {"group", "word", "nothing"}
        All words of the group; each word itself alone; or only its place and the number of words, no signal.
    """

    def __init__(
        self,
        word_head: Head,
        target_width: int,
        *,
        layers: int = 2,
        heads: int = 4,
        dropout: float = 0.1,
        sees: Sees = "group",
    ) -> None:
        super().__init__()
        width = word_head.target_width
        if sees not in get_args(Sees):
            raise InputError(f"sees = {sees!r}; allowed: {', '.join(get_args(Sees))}.")
        if width % (2 * heads):
            raise InputError(
                f"The word head's target_width = {width} must be a multiple of 2 x heads = {2 * heads}, "
                "so that pairs of features can turn with the place of the word."
            )
        self.target_width, self.sees = target_width, sees
        self.word_head = word_head
        self.unseen = nn.Parameter(torch.randn(width))
        self.layers = nn.ModuleList(_Layer(width, heads, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, target_width)

    def forward(
        self,
        words_BWCD: Tensor,
        sensors: SensorTensors | None = None,
        sensor_mask_BC: Tensor | None = None,
        words_BW: Tensor | None = None,
    ) -> Tensor:
        """See `Head`; places without a word are not looked at."""
        batch, words = words_BWCD.shape[:2]
        if self.sees == "nothing":
            x_BWH = self.unseen.expand(batch, words, -1)
        else:
            x_BWH = self.word_head(words_BWCD, sensors, sensor_mask_BC, words_BW)
        if self.sees == "word":
            x_BWH, words_BW = x_BWH.flatten(0, 1)[:, None], None  # each word is a sequence of its own
        rotary = RotaryTable(x_BWH.shape[1], x_BWH.shape[2], x_BWH.device)
        for layer in self.layers:
            x_BWH = layer(x_BWH, rotary, words_BW)
        return self.out(self.norm(x_BWH)).reshape(batch, words, -1)


class _Layer(nn.Module):
    """Attention and feed-forward, each normalised before and added after."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.attention_norm, self.feed_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = SelfAttention(width, heads, dropout)
        self.feed = nn.Sequential(
            nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width), nn.Dropout(dropout)
        )

    def forward(self, x_BWH: Tensor, rotary: RotaryTable, words_BW: Tensor | None) -> Tensor:
        x_BWH = x_BWH + self.attention(self.attention_norm(x_BWH), rotary, words_BW)
        return x_BWH + self.feed(self.feed_norm(x_BWH))
