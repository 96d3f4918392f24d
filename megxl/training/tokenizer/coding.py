"""Rows to codes and back, in chunks of bounded memory and full float32, on the device of the codec.

Letters: N rows (one sensor each), T samples or tokens, Q levels.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.utils import parametrize

from megxl.sizes import BioCodecConfig
from megxl.tokenizer.biocodec import MANY_SAMPLES_AT_ONCE, SAMPLES_AT_ONCE, BioCodec
from megxl.tokenizer.precision import full_precision


class Coded(NamedTuple):
    """Codes of some rows, on the CPU."""

    codes_NQT: Tensor
    """Fewer levels than the codec has mean the first ones."""
    scale_N1: Tensor
    length: int
    """Samples of the signal."""


@torch.no_grad()
def encode(codec: BioCodec, signal_NT: Tensor) -> Coded:
    """Codes of rows."""
    device = _device(codec)
    with full_precision(device.type), parametrize.cached():
        parts = [
            codec.encode(part_NT[:, None].to(device)) for part_NT in _chunks(signal_NT, signal_NT.shape[-1], device)
        ]
    codes, scales = zip(*parts, strict=True)
    return Coded(torch.cat(codes).cpu(), torch.cat(scales).cpu(), signal_NT.shape[-1])


@torch.no_grad()
def decode(codec: BioCodec, coded: Coded) -> Tensor:
    """Signal (N, T) that codes stand for."""
    device = _device(codec)
    chunks = zip(*(_chunks(rows, coded.length, device) for rows in coded[:2]), strict=True)
    with full_precision(device.type), parametrize.cached():
        parts = [codec.decode(codes.to(device), scale.to(device), coded.length)[:, 0].cpu() for codes, scale in chunks]
    return torch.cat(parts)


def random_codec(sizes: BioCodecConfig, seed: int, device: torch.device | str = "cpu") -> BioCodec:
    """Codec that nobody trained; the state of torch's chance stays as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return BioCodec(sizes).to(device).eval()


def _device(codec: BioCodec) -> torch.device:
    return next(codec.parameters()).device


def _chunks(rows: Tensor, samples: int, device: torch.device) -> tuple[Tensor, ...]:
    return rows.split(max(1, SAMPLES_AT_ONCE.get(device.type, MANY_SAMPLES_AT_ONCE) // samples))
