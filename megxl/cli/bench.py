"""`megxl bench model`: how fast codec and model run on this machine."""

import argparse
import json
from pathlib import Path

_EXAMPLES = """\
examples:
  megxl bench model                                     the published size at 150 s, 306 sensors, on this machine
  megxl bench model --size tiny --seconds 30            something quick
  megxl bench model --device cuda --dtype bfloat16 --compile --stages forward train --json speed.json
"""


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "bench",
        description="Measure speed and memory on this machine.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    kinds = parser.add_subparsers(dest="what", required=True, metavar="WHAT")
    model = kinds.add_parser(
        "model",
        help="tokenize, forward pass, masked-prediction training step",
        description="Time tokenizing, the forward pass and a training step with random weights and data.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    model.add_argument("--size", default="med", help="preset: tiny, small, med (published), large")
    model.add_argument("--sensors", type=int, default=306, help="sensors (default: 306)")
    model.add_argument("--seconds", type=float, default=150.0, help="length of a window in s (default: 150)")
    model.add_argument("--batch", type=int, default=1, help="windows at once (default: 1)")
    model.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps (default: auto)")
    model.add_argument("--dtype", default=None, choices=["float32", "bfloat16"], help="default: bfloat16 on cuda")
    model.add_argument("--compile", action="store_true", help="compile the layers")
    model.add_argument("--attention", choices=["flash", "cudnn", "efficient", "math"], help="pin an attention kernel")
    model.add_argument(
        "--recompute", default="off", choices=["off", "selective", "full"], help="activation recomputing"
    )
    model.add_argument(
        "--stages",
        nargs="+",
        choices=["tokenize", "forward", "train"],
        help="what to time (default: all; on a CPU without train, which takes tens of GB at full size)",
    )
    model.add_argument("--repeats", type=int, default=5, help="counted runs (default: 5)")
    model.add_argument("--warmup", type=int, default=2, help="runs before them (default: 2)")
    model.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    model.add_argument("--overwrite", action="store_true", help="replace an older FILE")
    model.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Measure and print one line a stage."""
    from megxl.cli.loading import choose_device
    from megxl.errors import InputError
    from megxl.model.benchmark import Setting, Stage, measure
    from megxl.placing import free_to_write, placed

    device = choose_device(args.device)
    if args.repeats < 1 or args.warmup < 0:
        raise InputError("--repeats must be 1 or more, --warmup 0 or more.")
    stages: list[Stage] = args.stages or ["tokenize", "forward", *(["train"] if device.type != "cpu" else [])]
    settings = [
        Setting(
            stage=stage,
            size=args.size,
            sensors=args.sensors,
            window_s=args.seconds,
            batch=args.batch,
            device=str(device),
            dtype=args.dtype or ("bfloat16" if device.type == "cuda" else "float32"),
            compiled=args.compile,
            attention=args.attention,
            recompute=args.recompute,
        )
        for stage in stages
    ]
    rows = []
    if args.json:
        free_to_write(args.json, overwrite=args.overwrite)
    print(f"{'stage':9} {'median':>10} {'windows/s':>10} {'TFLOP/s':>8} {'of GEMM':>8} {'MFU':>6} {'peak GB':>8}")
    for setting in settings:
        result = measure(setting, repeats=args.repeats, warmup=args.warmup)
        mfu = "-" if result.mfu is None else f"{result.mfu:.1%}"
        print(
            f"{setting.stage:9} {result.median_s:9.3f}s {result.windows_per_s:10.3f} {result.tflops:8.3f} "
            f"{result.tflops / result.gemm_tflops:8.1%} {mfu:>6} {result.peak_memory_gb:8.2f}",
            flush=True,
        )
        rows.append(result.as_row())
    if args.json:
        with placed(args.json, folder=False) as part:
            part.write_text(json.dumps(rows, indent=2) + "\n")
        print(f"written: {args.json}")
    return 0
