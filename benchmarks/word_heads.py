"""Step time and peak memory of head and loss: all words in one matrix product, or a loop over the words as published.

    PYTHONPATH=. python benchmarks/word_heads.py --device cpu --sensors 64 --out benchmarks/word_heads_cpu.md
    PYTHONPATH=. python benchmarks/word_heads.py --device cuda --out benchmarks/word_heads_gpu.md

A step pools the features of 625 tokens to 50 words, predicts, takes the SigLIP loss, and goes back to the gradients of
the head and of the features, which fine-tuning needs. Each setting runs in a process of its own, with a peak of memory
of its own.
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import torch
from torch import Tensor, nn

from megxl.decoding.contrastive import siglip_loss
from megxl.decoding.heads import Head, LinearProbe, MLPHead, SensorAttentionHead
from megxl.decoding.pooling import averaging_matrix, pool_words, word_spans
from megxl.decoding.sequence import SequenceHead
from megxl.model.embedding import SensorTensors

WINDOW, WORDS, TOKENS = 150, 50, 625
SETTINGS = [(head, way) for head in ("mlp", "linear") for way in ("one product", "loop")]
SETTINGS += [("sensors", "one product"), ("sequence", "one product")]


def make_head(name: str, args: argparse.Namespace) -> Head:
    """The head of a name."""
    if name == "mlp":
        return MLPHead(args.sensors, args.width, args.target_width, hidden=args.hidden)
    if name == "linear":
        return LinearProbe(args.sensors, args.width, args.target_width)
    if name == "sensors":
        return SensorAttentionHead(args.width, args.target_width)
    return SequenceHead(SensorAttentionHead(args.width, 256), args.target_width)


def at_once(head: Head, features_BCTD: Tensor, starts_BW: Tensor, sensors: SensorTensors) -> Tensor:
    """All words together."""
    weights_BWT = averaging_matrix(starts_BW, WINDOW, TOKENS, dtype=features_BCTD.dtype)
    return head(pool_words(features_BCTD, weights_BWT), sensors)


def in_a_loop(head: Head, features_BCTD: Tensor, starts_BW: Tensor, sensors: SensorTensors) -> Tensor:
    """Word by word, each by a slice, a mean and a product of its own."""
    spans = zip(*(part[0].tolist() for part in word_spans(starts_BW, WINDOW)), strict=True)
    means = (features_BCTD[:, :, first:stop].mean(2) for first, stop in spans)
    return torch.cat([head(mean_BCD[:, None], sensors) for mean_BCD in means], 1)


def measure(args: argparse.Namespace) -> dict[str, object]:
    """Time and memory of one setting."""
    torch.manual_seed(0)
    device = torch.device(args.device)
    head = make_head(args.head, args)
    assert isinstance(head, nn.Module)
    head = head.to(device).train()
    features_BCTD = torch.randn(1, args.sensors, TOKENS, args.width, device=device, requires_grad=True)
    starts_BW = WINDOW * torch.arange(WORDS)[None]
    starts_BW = starts_BW.to(device) if args.way == "one product" else starts_BW
    targets_ND = torch.randn(WORDS, args.target_width, device=device)
    place_BC3 = torch.randn(1, args.sensors, 3, device=device)
    sensors = SensorTensors(place_BC3, place_BC3, torch.zeros(1, args.sensors, dtype=torch.int64, device=device))
    predict = at_once if args.way == "one product" else in_a_loop
    parts: dict[str, list[float]] = {"forward_s": [], "backward_s": []}
    for _ in range(args.warmup + args.repeats):
        head.zero_grad(set_to_none=True)
        features_BCTD.grad = None
        with torch.autocast(device.type, torch.bfloat16, enabled=args.dtype == "bfloat16"):
            loss, forward_s = timed(
                lambda: siglip_loss(predict(head, features_BCTD, starts_BW, sensors)[0], targets_ND), device
            )
        _, backward_s = timed(loss.backward, device)
        parts["forward_s"].append(forward_s)
        parts["backward_s"].append(backward_s)
    median = {name: sorted(times[args.warmup :])[args.repeats // 2] for name, times in parts.items()}
    return {
        "head": args.head,
        "way": args.way,
        "parameters": sum(parameter.numel() for parameter in head.parameters()),
        **median,
        "step_s": sum(median.values()),
        "peak_gb": peak_bytes(device) / 1e9,
        "loss": loss.item(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor(),
        "torch": torch.__version__,
    }


def timed(do: Callable[[], Tensor | None], device: torch.device) -> tuple[Tensor, float]:
    """What `do` gives, and the seconds until the device had done it."""
    wait(device)
    begin = time.perf_counter()
    result = do()
    wait(device)
    return result, time.perf_counter() - begin  # type: ignore[return-value]


def wait(device: torch.device) -> None:
    """Wait for a GPU."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def peak_bytes(device: torch.device) -> int:
    """Most memory that was taken: of the GPU, or of this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> int:
    """Measure every setting and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, help="table to write (Markdown; the figures beside it as JSON)")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--sensors", type=int, default=306)
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--hidden", type=int, default=2048)
    parser.add_argument("--target-width", type=int, default=1024)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--warmup", type=int, default=1)
    parser.add_argument("--machine", default="", help="one line on the machine")
    parser.add_argument("--commit", default="", help="revision, where git is not at hand")
    parser.add_argument("--head", help=argparse.SUPPRESS)
    parser.add_argument("--way", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.head:
        print(json.dumps(measure(args)))
        return 0
    rows = []
    for head, way in SETTINGS:
        command = [sys.executable, *sys.argv, "--head", head, "--way", way]
        run = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ)
        rows.append(json.loads(run.stdout) if run.returncode == 0 else {"head": head, "way": way, "failed": run.stderr})
        print(as_line(rows[-1]), flush=True)
    if args.out:
        args.out.write_text(page(rows, args))
        args.out.with_suffix(".json").write_text(json.dumps(rows, indent=1) + "\n")
    return 0


def as_line(row: dict) -> str:
    """One row of the table."""
    if "failed" in row:
        return f"| {row['head']} | {row['way']} | | {row['failed'].strip().splitlines()[-1][:100]} | | | |"
    times = " | ".join(f"{1e3 * row[name]:.1f}" for name in ("forward_s", "backward_s", "step_s"))
    return f"| {row['head']} | {row['way']} | {row['parameters']:,} | {times} | {row['peak_gb']:.2f} |"


def page(rows: list[dict], args: argparse.Namespace) -> str:
    """The table with what it was measured on."""
    known = next((row for row in rows if "failed" not in row), {})
    revision = ["git", "rev-parse", "--short", "HEAD"]
    commit = args.commit or subprocess.run(revision, capture_output=True, text=True, check=False).stdout.strip()
    memory = "of the GPU" if args.device.startswith("cuda") else "of the process, torch itself among it"
    heading = [
        f"# Heads and loss on {known.get('device') or args.device}",
        "",
        f"{date.today()}, commit {commit or 'unknown'}, torch {known.get('torch', '?')}, {torch.get_num_threads()} "
        f"threads. {args.machine}".rstrip(),
        "",
        f"{args.sensors} sensors x {args.width} features, {TOKENS} tokens, {WORDS} words, targets of "
        f"{args.target_width}, {args.dtype}; milliseconds, the median of {args.repeats}; peak memory in GB {memory}.",
        "",
        f"    python benchmarks/word_heads.py --device {args.device} --sensors {args.sensors} --repeats {args.repeats} "
        f"--dtype {args.dtype} --out FILE",
        "",
        "| head | words | parameters | forward | backward | step | peak |",
        "|---|---|---|---|---|---|---|",
    ]
    return "\n".join([*heading, *map(as_line, rows), ""])


if __name__ == "__main__":
    sys.exit(main())
