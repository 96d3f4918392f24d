"""Train a small codec on the recordings of a store, for experiments on simulated corpora: minutes on two cores.

    python benchmarks/small_codec.py STORE OUT [--steps 2000]

Mean squared error of the block-normalised signal, straight through the quantizer, code books as running means.
"""

import argparse
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from megxl.signals.normalization import scale_blocks
from megxl.sizes import BioCodecConfig
from megxl.store.entry import StoredRecording
from megxl.store.store import Store
from megxl.tokenizer.biocodec import BioCodec, rms_scale
from megxl.tokenizer.quantizer import Level

SIZES = BioCodecConfig(filters=16, blocks=1, lstm_layers=1, width=64, levels=6, codes=256, code_width=16)
WINDOW, BLOCK, ROWS = 600, 150, 48
DECAY = 0.98


def pieces(recordings: list[StoredRecording], seed: int) -> Iterator[Tensor]:
    """Give batches of windows of single sensors, (N, 1, T), normalised block by block."""
    rng = np.random.default_rng(seed)
    while True:
        rows = []
        for _ in range(8):
            recording = recordings[rng.integers(len(recordings))]
            start = int(rng.integers(recording.n_samples - WINDOW))
            signal_CT = torch.from_numpy(np.array(recording.read(start, start + WINDOW))).float()
            chosen = rng.choice(len(signal_CT), ROWS // 8)
            rows.append(scale_blocks(signal_CT[None, chosen], BLOCK)[0])
        yield torch.cat(rows)[:, None]


def train(recordings: list[StoredRecording], steps: int, seed: int) -> BioCodec:
    """Train; a line every 200 steps says how much of the variance is kept and how many codes are in use."""
    torch.manual_seed(seed)
    codec = BioCodec(SIZES).train()
    optimizer = torch.optim.AdamW(codec.parameters(), lr=2e-3, betas=(0.8, 0.99))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps)
    begun = time.perf_counter()
    for step, x_N1T in zip(range(1, steps + 1), pieces(recordings, seed), strict=False):
        whole_N1T = x_N1T / rms_scale(x_N1T).reshape(-1, 1, 1)
        vectors_NTD = codec._embed(x_N1T, rms_scale(x_N1T))
        quantized_NTD, commitment, used = quantize(codec, vectors_NTD, revive=step < 0.8 * steps)
        estimate_N1T = codec._reconstruct(quantized_NTD, None, WINDOW)
        error = F.mse_loss(estimate_N1T, whole_N1T)
        optimizer.zero_grad()
        (error + 0.1 * commitment).backward()
        torch.nn.utils.clip_grad_norm_(codec.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % 200 == 0 or step == steps:
            seconds = time.perf_counter() - begun
            print(f"{step}: {1 - error.item():.3f} of the variance, {used} codes a level, {seconds:.0f} s", flush=True)
    return codec.eval()


def quantize(codec: BioCodec, vectors_NTD: Tensor, *, revive: bool) -> tuple[Tensor, Tensor, list[int]]:
    """Quantize level by level, and move each code to the mean direction of what chose it."""
    residual_NTD, total_NTD = vectors_NTD, torch.zeros_like(vectors_NTD)
    commitments, used = [], []
    for level in codec.quantizer.levels:
        assert isinstance(level, Level)
        step = level(residual_NTD)
        used.append(update(level, level.project_in(residual_NTD).detach(), step.codes_NTQ[..., 0], revive=revive))
        residual_NTD = residual_NTD - step.vectors_NTD.detach()
        total_NTD = total_NTD + step.vectors_NTD
        commitments.append(step.commitment)
    return total_NTD, torch.stack(commitments).mean(), used


@torch.no_grad()
def update(level: Level, x_NTK: Tensor, codes_NT: Tensor, *, revive: bool) -> int:
    """Running counts and sums of each code; codes that nothing chooses become inputs of this batch."""
    x_MK, codes_M = x_NTK.flatten(0, 1), codes_NT.flatten()
    counts_V = torch.bincount(codes_M, minlength=len(level.code_book)).float()
    sums_VK = torch.zeros_like(level.code_book).index_add_(0, codes_M, x_MK)
    level.counts.mul_(DECAY).add_(counts_V, alpha=1 - DECAY)
    level.sums.mul_(DECAY).add_(sums_VK, alpha=1 - DECAY)
    dead_V = level.counts < 0.05
    if revive and dead_V.any():
        chosen = x_MK[torch.randint(len(x_MK), (int(dead_V.sum()),))]
        level.sums[dead_V], level.counts[dead_V] = chosen, 1.0
    level.code_book.copy_(level.sums / level.counts.clamp(min=1e-4)[:, None])
    return int((counts_V > 0).sum())


def main() -> None:
    """Train and write a codec."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    store = Store(args.store)
    keys = store.keys()
    codec = train([store.recording(key) for key in keys], args.steps, args.seed)
    codec.provenance = {"weights": "loaded", "steps": args.steps, "seed": args.seed}
    codec.save_pretrained(args.out)
    print(f"written: {args.out}", file=sys.stderr)


if __name__ == "__main__":
    main()
