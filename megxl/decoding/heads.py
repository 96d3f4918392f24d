"""Heads: from the pooled features of words to vectors in the space of the targets.

Every head is called alike: `head(words_BWCD, sensors, sensor_mask_BC, words_BW)`; each takes of it what it needs.

Letters: B batch, W words, C sensors, D width of the features, E width of the targets, H hidden width, G gaze (queries),
A attention heads, K width of one.
"""

from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from megxl.errors import InputError
from megxl.model.embedding import ORIENTATION_SPREAD, POSITION_SPREAD, FourierProjection, SensorTensors

SENSOR_KINDS = 3
"""Gradiometer, magnetometer, electrode."""
FOURIER_WIDTH = 126
"""Fourier features of a position, and as many of an orientation."""


class Head(Protocol):
    """What names words; `target_width` is E."""

    target_width: int

    def __call__(
        self,
        words_BWCD: Tensor,
        sensors: SensorTensors | None = None,
        sensor_mask_BC: Tensor | None = None,
        words_BW: Tensor | None = None,
    ) -> Tensor:
        """Predict target vectors.

        Parameters
        ----------
        words_BWCD : Tensor, shape (B, W, C, D)
            Pooled features (`pool_words`).
        sensors : SensorTensors, optional
            Where the sensors are; `SensorAttentionHead` needs it.
        sensor_mask_BC : Tensor of bool, shape (B, C), optional
            False where a sensor is padding or bad: it does not count. None: all count, as published.
        words_BW : Tensor of bool, shape (B, W), optional
            False where an item has no more words. None: all are words. What stands at other places means nothing.

        Returns
        -------
        Tensor, shape (B, W, E)
        """
        ...


class FlatHead(nn.Module):
    """A network on the features of all sensors, one behind the other: bound to their number and order.

    Parameters
    ----------
    layers : Module
        From C * D numbers to E.
    sensors, width, target_width : int
        C, D and E.
    """

    def __init__(self, layers: nn.Module, sensors: int, width: int, target_width: int) -> None:
        super().__init__()
        self.layers = layers
        self.sensors, self.width, self.target_width = sensors, width, target_width

    def forward(
        self,
        words_BWCD: Tensor,
        sensors: SensorTensors | None = None,
        sensor_mask_BC: Tensor | None = None,
        words_BW: Tensor | None = None,
    ) -> Tensor:
        """See `Head`; features of sensors that are masked out are taken as zero."""
        if words_BWCD.shape[2:] != (self.sensors, self.width):
            raise InputError(
                f"The features are of {words_BWCD.shape[2]} sensors with width {words_BWCD.shape[3]}, but the head "
                f"{type(self).__name__} was made for {self.sensors} with width {self.width}: it depends on their "
                "number and order. Bring the recordings to the same sensors, or use SensorAttentionHead."
            )
        return self.layers(_without_masked(words_BWCD, sensor_mask_BC).flatten(2))


class MLPHead(FlatHead):
    """The published head: C * D, hidden layer, LayerNorm, GELU, dropout, E (322,968,576 parameters for 306 x 512).

    Parameters
    ----------
    sensors, width, target_width : int
        C, D and E.
    hidden : int
    dropout : float
    """

    def __init__(
        self, sensors: int, width: int, target_width: int, *, hidden: int = 2048, dropout: float = 0.1
    ) -> None:
        layers = nn.Sequential(
            nn.Linear(sensors * width, hidden),
            nn.LayerNorm(hidden),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, target_width),
        )
        super().__init__(layers, sensors, width, target_width)


class LinearProbe(FlatHead):
    """The published probe: one linear map from C * D to E (160,433,152 parameters for 306 x 512)."""

    def __init__(self, sensors: int, width: int, target_width: int) -> None:
        super().__init__(nn.Linear(sensors * width, target_width), sensors, width, target_width)


class SensorAttentionHead(nn.Module):
    """Learned queries gaze over the sensors, whose place, orientation and kind are part of what they see.

    Sensors may come in any order and number (2.7 M parameters at width 512 and 1024 targets).

    Parameters
    ----------
    width, target_width : int
        D and E.
    attention_width : int
        Of keys and values, all attention heads together.
    heads : int
        Attention heads.
    queries : int
        How many summaries of the array are taken, each with its own weights over the sensors.
    hidden : int
        Width of the layer between the summaries and the target.
    dropout : float
        Before the last layer.
    """

    def __init__(
        self,
        width: int,
        target_width: int,
        *,
        attention_width: int = 256,
        heads: int = 8,
        queries: int = 8,
        hidden: int = 768,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        if attention_width % heads:
            raise InputError(f"attention_width = {attention_width} must be a multiple of heads = {heads}.")
        self.target_width, self.heads = target_width, heads
        self.norm = nn.LayerNorm(width)
        self.position = FourierProjection(FOURIER_WIDTH, attention_width, POSITION_SPREAD)
        self.orientation = FourierProjection(FOURIER_WIDTH, attention_width, ORIENTATION_SPREAD)
        self.kind = nn.Embedding(SENSOR_KINDS, attention_width)
        self.content = nn.Linear(width, attention_width)
        self.key_value = nn.Linear(attention_width, 2 * attention_width)
        self.queries = nn.Parameter(torch.randn(heads, queries, attention_width // heads))
        self.out = nn.Sequential(
            nn.Linear(queries * attention_width, hidden),
            nn.LayerNorm(hidden),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, target_width),
        )

    def forward(
        self,
        words_BWCD: Tensor,
        sensors: SensorTensors | None = None,
        sensor_mask_BC: Tensor | None = None,
        words_BW: Tensor | None = None,
    ) -> Tensor:
        """See `Head`."""
        keys_NACK, values_NACK, mask_N11C = self._seen(words_BWCD, sensors, sensor_mask_BC)
        queries_NAGK = self.queries.to(keys_NACK.dtype).expand(len(keys_NACK), -1, -1, -1)
        summary_NAGK = F.scaled_dot_product_attention(queries_NAGK, keys_NACK, values_NACK, mask_N11C)
        return self.out(summary_NAGK.flatten(1)).unflatten(0, words_BWCD.shape[:2])

    @torch.no_grad()
    def weights(self, words_BWCD: Tensor, sensors: SensorTensors, sensor_mask_BC: Tensor | None = None) -> Tensor:
        """How much each sensor is looked at, the mean over queries and attention heads; (B, W, C), rows sum to 1."""
        keys_NACK, _, mask_N11C = self._seen(words_BWCD, sensors, sensor_mask_BC)
        scores_NAGC = self.queries @ keys_NACK.to(self.queries.dtype).mT / keys_NACK.shape[-1] ** 0.5
        if mask_N11C is not None:
            scores_NAGC = scores_NAGC.masked_fill(~mask_N11C, -torch.inf)
        return scores_NAGC.softmax(-1).mean((1, 2)).unflatten(0, words_BWCD.shape[:2])

    def _seen(
        self, words_BWCD: Tensor, sensors: SensorTensors | None, sensor_mask_BC: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Keys and values of the sensors of each word (N = B * W), and which of them count."""
        if sensors is None:
            raise InputError("SensorAttentionHead needs to know where the sensors are; give it `sensors`.")
        # bfloat16 would move a sensor by millimetres
        with torch.autocast(words_BWCD.device.type, enabled=False):
            place_BCH = self.position(sensors.positions_BC3) + self.orientation(sensors.orientations_BC3)
        place_BCH = place_BCH + self.kind(sensors.kinds_BC.long())
        # masked features may be anything, and an infinite one would spoil sums even with a weight of 0
        x_BWCD = self.norm(_without_masked(words_BWCD, sensor_mask_BC))
        x_NCH = (self.content(x_BWCD) + place_BCH[:, None]).flatten(0, 1)
        keys_NCH, values_NCH = self.key_value(x_NCH).chunk(2, -1)
        mask_N11C = None
        if sensor_mask_BC is not None:
            mask_N11C = sensor_mask_BC.repeat_interleave(words_BWCD.shape[1], 0)[:, None, None]
        return self._split(keys_NCH), self._split(values_NCH), mask_N11C

    def _split(self, x_NCH: Tensor) -> Tensor:
        return x_NCH.unflatten(-1, (self.heads, -1)).transpose(1, 2)


def _without_masked(words_BWCD: Tensor, sensor_mask_BC: Tensor | None) -> Tensor:
    if sensor_mask_BC is None:
        return words_BWCD
    return words_BWCD.masked_fill(~sensor_mask_BC[:, None, :, None], 0)
