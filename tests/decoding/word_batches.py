"""Small batches of word groups, and small backbones to look at them."""

import torch
from torch import Tensor

from megxl.data.batch import Batch
from megxl.model.embedding import SensorTensors
from megxl.model.megxl import MEGXL
from megxl.sizes import BioCodecConfig, MEGXLConfig
from megxl.tokenizer.biocodec import BioCodec

WINDOW = 150
"""Samples of a word's window."""
SMALL_CODEC = BioCodecConfig(filters=4, lstm_layers=1, width=8, levels=2, codes=16, code_width=4)
SMALL_MODEL = MEGXLConfig(width=16, layers=2, heads=2, levels=2, codes=16, code_width=4, fourier_width=8)


@torch.no_grad()
def small_codec() -> BioCodec:
    """Random weights, centred on noise: otherwise all tokens would get one code."""
    codec = BioCodec(SMALL_CODEC).eval()
    codec.encoder.exit.bias -= codec.encoder(torch.randn(20, 1, 600)).mean((0, 2))
    for level in codec.quantizer.levels:
        level.project_in.bias.zero_()
        level.project_out.bias.zero_()
    return codec


def small_megxl(tokenizer: BioCodec | None = None, **options) -> MEGXL:
    return MEGXL(SMALL_MODEL, tokenizer or small_codec(), **options).eval()


def tape_starts(items: int, words: int) -> Tensor:
    return (WINDOW * torch.arange(words)).expand(items, -1).contiguous()


def word_batch(
    items: int = 2,
    words: int = 4,
    sensors: int = 5,
    *,
    starts_BW: Tensor | None = None,
    samples: int | None = None,
    mask_BC: Tensor | None = None,
) -> Batch:
    """Noise, by default on a tape of windows of 3 s."""
    starts_BW = tape_starts(items, words) if starts_BW is None else starts_BW
    orientations_BC3 = torch.nn.functional.normalize(torch.randn(items, sensors, 3), dim=-1)
    return Batch(
        signal_BCT=torch.randn(items, sensors, samples or WINDOW * words),
        codes_BCTQ=None,
        sensors=SensorTensors(
            torch.randn(items, sensors, 3) / 3, orientations_BC3, torch.randint(0, 2, (items, sensors))
        ),
        sensor_mask_BC=mask_BC,
        sfreq_hz=50.0,
        corpora=("small",) * items,
        corpus_B=torch.zeros(items, dtype=torch.int64),
        keys=tuple(f"small/sub-{item}" for item in range(items)),
        start_s_B=torch.zeros(items),
        seeds_B=torch.arange(items),
        words=tuple(tuple(f"w{n}" for n, start in enumerate(row) if start >= 0) for row in starts_BW.tolist()),
        word_starts_BW=starts_BW,
    )


def sensor_part(sensors: SensorTensors, order: Tensor) -> SensorTensors:
    """Some sensors, in this order."""
    return SensorTensors(*(part[:, order] for part in sensors))
