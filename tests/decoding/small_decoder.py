"""A tiny decoder with random weights, as a run would save it, for tests of what names words."""

import torch

from megxl.data.channels import ChannelOrder
from megxl.data.groups import Grouping
from megxl.decoding.building import DecoderSpec, build_decoder
from megxl.decoding.saved_decoder import SavedDecoder
from megxl.signals.sensors import SensorArray
from tests.small import TINY, small_model

VOCABULARY = ("the", "and", "of", "w0", "w1", "w2", "holmes", "<b>bold</b>", "said", "a", "door", "night")
PREPARATION = {"low_hz": 0.1, "high_hz": 40.0, "sfreq_hz": 50.0, "method": "fast", "bads": "mask"}
WIDTH = 16
"""E."""


def small_decoder(
    order: SensorArray | None = None, *, words: int = 4, head: str = "linear", about: dict | None = None, **grouping
) -> SavedDecoder:
    """Give a decoder of groups of a few words; with an order of sensors, a flat head is bound to it."""
    torch.manual_seed(5)
    flat = head in ("mlp", "linear")
    spec = DecoderSpec(
        head=head,  # pyright: ignore[reportArgumentType]
        sensors=len(order) if flat and order is not None else None,
        width=TINY.width,
        target_width=WIDTH,
        hidden=32,
    )
    return SavedDecoder(
        decoder=build_decoder(spec, model=small_model()).eval(),
        spec=spec,
        vocabulary=VOCABULARY,
        counts=tuple(range(len(VOCABULARY), 0, -1)),
        targets_VE=torch.randn(len(VOCABULARY), WIDTH),
        channels=None if order is None else ChannelOrder(sensors=order),
        grouping=Grouping(words=words, **grouping),
        sfreq_hz=50.0,
        preparation=dict(PREPARATION),
        about={"run": "tiny", "protocol": "strict", "control": "none"} if about is None else about,
    )
