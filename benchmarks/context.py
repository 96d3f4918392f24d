"""Memory and time of a training step against the length of the window; each row in a process of its own.

    PYTHONPATH=. python benchmarks/context.py --device cpu --size small --sensors 32 --out benchmarks/context_cpu.md
    PYTHONPATH=. python benchmarks/context.py --device cuda --compile --out benchmarks/context_gpu.md
    PYTHONPATH=. python benchmarks/context.py --device cpu --size tiny --sensors 6 --seconds 5 10 --out trial.md

The time for a minute of recording says what longer context costs at equal data. A row that would want more than
--memory-gb by the count of `training_cost.py` is not run, and says so.
"""

import argparse
import json
import sys
import tempfile
import time
from datetime import date
from pathlib import Path
from typing import Any

from benchmarks.training import Case, expected_gb, measure, revision, write_windows
from benchmarks.training_cost import MODES, Step, kept_bytes, step_flops
from megxl.model.execution import Recompute
from megxl.sizes import PRESETS

COLUMNS = [
    "window_s",
    "tokens",
    "recompute",
    "TFLOP a minute",
    "kept_GB",
    "expected_GB",
    "peak_GB",
    "step_s",
    "s a minute",
]


def case_for(args: argparse.Namespace, window_s: float, recompute: Recompute) -> Case:
    """A length and a way."""
    on_gpu = args.device == "cuda"
    step = Step(
        size=args.size,
        sensors=args.sensors,
        window_s=window_s,
        recompute=recompute,
        mixed=on_gpu,
        fused_attention=on_gpu or args.dropout == 0,
    )
    warmup, steps = (3, 5) if on_gpu else (1, 2)
    return Case(
        step=step,
        device=args.device,
        compiled=args.compile,
        dropout=args.dropout,
        workers=1,
        warmup=warmup,
        steps=steps,
    )


def as_line(case: Case, result: dict[str, Any] | str) -> str:
    """One row of the table."""
    step, minutes = case.step, case.step.batch * case.step.window_s / 60
    # the closed form knows no attention weights in memory
    kept = f"{sum(kept_bytes(step).values()) / 1e9:.2f}" if step.fused_attention else "-"
    start = [
        f"{step.window_s:g}",
        str(step.tokens),
        step.recompute,
        f"{step_flops(step)['useful'] / minutes / 1e12:.3f}",
    ]
    start += [kept, f"{expected_gb(step):.2f}"]
    if isinstance(result, str):
        return f"| {' | '.join([*start, result, '', ''])} |"
    end = [f"{result['peak_gb']:.2f}", f"{result['step_s']:.3f}", f"{result['step_s'] / minutes:.2f}"]
    return f"| {' | '.join(start + end)} |"


def page(lines: list[str], args: argparse.Namespace) -> str:
    """The table."""
    config = PRESETS[args.size]
    return "\n".join(
        [
            f"# A training step against the length of the window, {args.device}",
            "",
            f"{date.today()}, commit {args.commit or revision()}. {args.machine}",
            "",
            f"Size `{args.size}` (width {config.width}, {config.layers} layers), {args.sensors} sensors, batch 1, "
            f"dropout {args.dropout:g}, {'bf16' if args.device == 'cuda' else 'float32'}, "
            f"{'compiled' if args.compile else 'not compiled'}.",
            "Peak: of tensors on a GPU, of the whole process (0.3 GB without any tensor) on a CPU; expected: of",
            "tensors, counted without running, not compiled. On a CPU attention with dropout keeps its weights, which",
            "grow with the square of the length.",
            "",
            f"    PYTHONPATH=. python benchmarks/context.py {' '.join(args.given)}",
            "",
            f"| {' | '.join(COLUMNS)} |",
            "|" + "---|" * len(COLUMNS),
            *lines,
            "",
        ]
    )


def parse(arguments: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--size", default="med", choices=list(PRESETS))
    parser.add_argument("--sensors", type=int, default=306)
    parser.add_argument("--seconds", type=float, nargs="+", default=[5.0, 30.0, 75.0, 150.0, 300.0, 600.0])
    parser.add_argument("--recompute", nargs="+", default=["off", "full"], choices=MODES)
    parser.add_argument("--dropout", type=float, default=0.1)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--memory-gb", type=float, help="default: 16, on a GPU 100")
    parser.add_argument("--budget-s", type=float, help="default: 3600, on a GPU 540")
    parser.add_argument("--out", type=Path, required=True, help="table (.md); all figures go beside it (.json)")
    parser.add_argument("--machine", default="", help="one line on the machine")
    parser.add_argument("--commit", default="", help="revision, where git is not at hand")
    args = parser.parse_args(arguments)
    args.given = arguments
    return args


def main(arguments: list[str] | None = None) -> int:
    """Measure every length and write the table."""
    args = parse(sys.argv[1:] if arguments is None else arguments)
    on_gpu = args.device == "cuda"
    most_gb, budget_s = args.memory_gb or (100.0 if on_gpu else 16.0), args.budget_s or (540.0 if on_gpu else 3600.0)
    begin, lines, rows = time.monotonic(), [], []
    for window_s in args.seconds:
        for recompute in args.recompute:
            case, left_s = case_for(args, window_s, recompute), budget_s - (time.monotonic() - begin)
            with tempfile.TemporaryDirectory() as name:
                if expected_gb(case.step) > most_gb:
                    result: dict[str, Any] | str = f"not run: over {most_gb:g} GB"
                elif left_s <= 5:
                    result = "not run: out of time"
                else:
                    write_windows(Path(name), case)
                    result = measure(case, Path(name), left_s)
            rows.append(result)
            lines.append(as_line(case, result))
            args.out.write_text(page(lines, args))
            args.out.with_suffix(".json").write_text(json.dumps(rows, indent=1) + "\n")
            print(lines[-1], flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
