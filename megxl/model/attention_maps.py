"""Where attention looks: how far in time and over the head, and how evenly, for every layer and head.

Works on a model from outside: hooks read what each attention is given, the model stays as it is.
Letters: B batch, C sensors, T tokens, N sequences, L their length, M queries looked at together, H heads, D width,
K width of a head, Q levels.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn

from megxl.errors import InputError
from megxl.model.attention import RotaryTable, SelfAttention
from megxl.model.embedding import SensorTensors
from megxl.model.megxl import MEGXL

Axis = Literal["time", "space"]
WEIGHTS_AT_ONCE = 2**23
"""Attention weights in memory at a time: 32 MB each of scores, weights and their logarithms."""


@dataclass(frozen=True, kw_only=True)
class HeadFocus:
    """What one head looks at, mean over all queries."""

    layer: int
    """From 1."""
    axis: Axis
    head: int
    """From 1, within its axis."""
    distance: float
    """Mean distance between query and key, weighted by attention: in s (time) or in the positions' unit (space)."""
    even_distance: float
    """The same of attention that is even over all keys: what `distance` is to be compared with."""
    entropy: float
    """Entropy of the weights in nats; at most the logarithm of the number of keys."""
    entropy_share: float | None
    """Entropy as a share of that most; None where there is a single key."""


def attention_weights(attention: SelfAttention, x_NLD: Tensor, rotary: RotaryTable | None = None) -> Tensor:
    """Weights (N, H, L, L) that an attention gives to its keys (last axis), in float32; each row sums to 1."""
    q_NHLK, k_NHLK = _queries_and_keys(attention, x_NLD, rotary)
    return _softmax(q_NHLK, k_NHLK)


@torch.no_grad()
def measure_attention(
    model: MEGXL,
    codes_BCTQ: Tensor,
    sensors: SensorTensors,
    places_C3: Tensor,
    *,
    sensor_mask_BC: Tensor | None = None,
    mask: Tensor | None = None,
) -> list[HeadFocus]:
    """Run one window through a model and measure where each head looks.

    Memory is bounded whatever the window: weights are made for a few queries at a time and summed up.

    Parameters
    ----------
    model : MEGXL
        In evaluation mode; its compiled layers, if any, are run as they are and cannot be read.
    codes_BCTQ : Tensor, shape (1, C, T, Q)
        Codes of one window.
    sensors : SensorTensors
        As the model sees them.
    places_C3 : Tensor, shape (C, 3)
        Where sensors are for `distance`, in any unit (metres of a `SensorArray`).
    sensor_mask_BC : Tensor of bool, shape (1, C), optional
        Sensors that are padding or bad are left out of the window: nobody looks at them.
    mask : Tensor of bool, shape (1, T) or (1, C, T), optional
        Tokens that are hidden, as in pre-training.

    Returns
    -------
    list of HeadFocus
        Layer by layer, time before space, head by head.

    Raises
    ------
    InputError
        More than one window; a model in training mode, whose dropout would be measured too.
    """
    if len(codes_BCTQ) != 1 or model.training:
        raise InputError("Attention is measured one window at a time, on a model in evaluation mode (model.eval()).")
    if sensor_mask_BC is not None:
        good_C = sensor_mask_BC[0].to(codes_BCTQ.device, torch.bool)
        codes_BCTQ, places_C3 = codes_BCTQ[:, good_C], places_C3.to(good_C.device)[good_C]
        sensors = SensorTensors(*(part[:, good_C.to(part.device)] for part in sensors))
        mask = mask if mask is None or mask.dim() == 2 else mask[:, good_C.to(mask.device)]
    tokens, device = codes_BCTQ.shape[2], codes_BCTQ.device
    token_s = model.config.samples_per_token / model.config.sfreq_hz
    times_T1 = token_s * torch.arange(tokens, device=device, dtype=torch.float32)[:, None]
    places_C3 = places_C3.to(device, torch.float32)
    modules, sums = [], []
    for number, layer in enumerate(model.layers, start=1):
        modules += [layer.temporal, layer.spatial]
        sums += [
            _Sums(layer=number, axis="time", distance_LL=_distances(times_T1)),
            _Sums(layer=number, axis="space", distance_LL=_distances(places_C3)),
        ]
    with _watched(modules, sums):
        model(codes_BCTQ, sensors, mask=mask)
    return [focus for part in sums for focus in part.focuses()]


def _distances(places_LX: Tensor) -> Tensor:
    # from differences: through products, places that are close by would not be 0 apart from themselves
    return torch.cdist(places_LX, places_LX, compute_mode="donot_use_mm_for_euclid_dist")


@dataclass(kw_only=True)
class _Sums:
    """Sums over the queries of one attention, by head."""

    layer: int
    axis: Axis
    distance_LL: Tensor
    queries: int = 0
    parts: list[Tensor] = field(default_factory=list)

    def add(self, attention: SelfAttention, x_NLD: Tensor, rotary: RotaryTable | None) -> None:
        """Count what these sequences look at."""
        length = x_NLD.shape[1]
        at_once = max(1, WEIGHTS_AT_ONCE // (attention.heads * length))
        for part_NLD in x_NLD.split(max(1, at_once // length)):
            q_NHLK, k_NHLK = _queries_and_keys(attention, part_NLD, rotary)
            for start in range(0, length, at_once):
                some = slice(start, start + at_once)
                weights_NHML = _softmax(q_NHLK[:, :, some], k_NHLK)
                distance_H = torch.einsum("nhml,ml->h", weights_NHML, self.distance_LL[some])
                entropy_H = torch.special.entr(weights_NHML).sum((0, 2, 3))
                self.parts.append(torch.stack([distance_H, entropy_H]).double())
        self.queries += x_NLD.shape[0] * length

    def focuses(self) -> Iterator[HeadFocus]:
        """Give the means."""
        even, most = float(self.distance_LL.mean()), math.log(len(self.distance_LL))
        means_H2 = (torch.stack(self.parts).sum(0) / self.queries).T.tolist()
        for head, (distance, entropy) in enumerate(means_H2, start=1):
            yield HeadFocus(
                layer=self.layer,
                axis=self.axis,
                head=head,
                distance=distance,
                even_distance=even,
                entropy=entropy,
                entropy_share=entropy / most if most else None,
            )


@contextmanager
def _watched(modules: list[SelfAttention], sums: list[_Sums]) -> Iterator[None]:
    """Have every input of these attentions counted while the block runs."""

    def count(part: _Sums, attention: nn.Module, inputs: tuple) -> None:
        assert isinstance(attention, SelfAttention)
        part.add(attention, inputs[0], inputs[1])

    hooks = [module.register_forward_pre_hook(partial(count, part)) for module, part in zip(modules, sums, strict=True)]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _queries_and_keys(attention: SelfAttention, x_NLD: Tensor, rotary: RotaryTable | None) -> tuple[Tensor, Tensor]:
    """Queries and keys of every head in float32, (N, H, L, K)."""
    with torch.autocast(x_NLD.device.type, enabled=False):
        q_NLD, k_NLD, _ = attention.qkv(x_NLD.to(attention.qkv.weight.dtype)).float().chunk(3, -1)
    if rotary is not None:
        q_NLD, k_NLD = rotary.rotate(q_NLD), rotary.rotate(k_NLD)
    q_NHLK, k_NHLK = (part.unflatten(-1, (attention.heads, -1)).transpose(1, 2) for part in (q_NLD, k_NLD))
    return q_NHLK, k_NHLK


def _softmax(q_NHMK: Tensor, k_NHLK: Tensor) -> Tensor:
    return (q_NHMK @ k_NHLK.transpose(-1, -2) / math.sqrt(q_NHMK.shape[-1])).softmax(-1)
