"""Make the table of codec and model speed: one call, under ten minutes on one GPU, torch alone.

    PYTHONPATH=. python benchmarks/model_table.py --device cuda --out benchmarks/model_gpu.md
    PYTHONPATH=. python benchmarks/model_table.py --device cpu --out benchmarks/model_cpu.md

Each setting runs in a process of its own, so that peak memory is its own and a failure costs one row. Rows are written
as they come; what does not fit in --budget-s is listed as not run.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

GPU = [
    # stage, dtype, compiled, attention kernel, recompute, batch
    ("tokenize", "float32", False, None, "off", 1),
    ("forward", "float32", False, None, "off", 1),
    ("forward", "bfloat16", False, None, "off", 1),
    ("forward", "bfloat16", True, None, "off", 1),
    ("train", "bfloat16", False, "flash", "off", 1),
    ("train", "bfloat16", False, "cudnn", "off", 1),
    ("train", "bfloat16", False, "efficient", "off", 1),
    ("train", "bfloat16", True, "flash", "off", 1),
    ("train", "bfloat16", True, "cudnn", "off", 1),
    ("train", "bfloat16", False, "flash", "selective", 1),
    ("train", "bfloat16", False, "flash", "full", 1),
    ("train", "bfloat16", True, "flash", "selective", 1),
    ("train", "bfloat16", True, "flash", "full", 1),
    ("train", "bfloat16", True, "flash", "off", 2),
]
CPU = [
    ("tokenize", "float32", False, None, "off", 1),
    ("forward", "float32", False, None, "off", 1),
]
COLUMNS = [
    "stage",
    "dtype",
    "compiled",
    "attention",
    "recompute",
    "batch",
    "median_s",
    "windows/s",
    "TFLOP/s",
    "of_GEMM",
    "MFU",
    "peak_GB",
]


def measure(setting: tuple, device: str, repeats: int, timeout_s: float) -> dict | str:
    """Run `megxl bench model` in a process of its own; the figures, or what went wrong."""
    stage, dtype, compiled, attention, recompute, batch = setting
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "row.json"
        command = [sys.executable, "-m", "megxl", "bench", "model", "--stages", stage, "--dtype", dtype]
        command += ["--device", device, "--recompute", recompute, "--batch", str(batch), "--repeats", str(repeats)]
        command += ["--warmup", "1" if device == "cpu" else "3", "--json", str(out)]
        command += ["--compile"] * compiled + (["--attention", attention] if attention else [])
        try:
            run = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False)
        except subprocess.TimeoutExpired:
            return "not finished in the time left"
        if run.returncode:
            lines = run.stderr.strip().splitlines()
            return lines[-1][:120] if lines else f"ended with {run.returncode}"
        return json.loads(out.read_text())[0]


def as_line(setting: tuple, result: dict | str) -> str:
    """One row of the table."""
    stage, dtype, compiled, attention, recompute, batch = setting
    start = f"| {stage} | {dtype} | {'yes' if compiled else 'no'} | {attention or 'auto'} | {recompute} | {batch} |"
    if isinstance(result, str):
        return f"{start} {result} | | | | | |"
    mfu = "-" if result["mfu"] is None else f"{result['mfu']:.1%}"
    return (
        f"{start} {result['median_s']:.3f} | {result['windows_per_s']:.3f} | {result['tflops']:.2f} | "
        f"{result['share_of_gemm']:.1%} | {mfu} | {result['peak_memory_gb']:.2f} |"
    )


def main() -> int:
    """Measure every setting and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--repeats", type=int, default=None, help="counted runs (default: 10 on a GPU, 3 on a CPU)")
    parser.add_argument("--budget-s", type=float, default=540.0)
    parser.add_argument("--machine", default="", help="one line on the machine")
    parser.add_argument("--commit", default="", help="revision, where git is not at hand")
    args = parser.parse_args()
    settings = CPU if args.device == "cpu" else GPU
    repeats = args.repeats or (3 if args.device == "cpu" else 10)
    commit = (
        args.commit
        or subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
        ).stdout.strip()
    )
    begin, lines, rows = time.monotonic(), [], []
    for setting in settings:
        left = args.budget_s - (time.monotonic() - begin)
        result = measure(setting, args.device, repeats, left) if left > 5 else "not run: out of time"
        lines.append(as_line(setting, result))
        rows.append(result)
        done = next((row for row in rows if isinstance(row, dict)), {})
        heading = [
            f"# Codec and model on {done.get('device_name', args.device)}",
            "",
            f"{date.today()}, commit {commit or 'unknown'}, torch {done.get('torch_version', '?')}. {args.machine}",
            "",
            "Published size (width 512, 8 layers), 306 sensors, 150 s, random weights. TFLOP by closed form,",
            "recomputing not counted. `of_GEMM`: share of the rate of a large matrix product in the same dtype, the",
            "better of one before and one after the runs in the same process",
            f"({done.get('gemm_tflops', 0):.3f} TFLOP/s in the first row). MFU: share of the vendor's bfloat16 peak.",
            "",
            f"    {sys.executable.rsplit('/', 1)[-1]} benchmarks/model_table.py --device {args.device} --out FILE",
            "",
            f"| {' | '.join(COLUMNS)} |",
            "|" + "---|" * len(COLUMNS),
        ]
        args.out.write_text("\n".join(heading + lines) + "\n")
        print(lines[-1], flush=True)
    args.out.with_suffix(".json").write_text(json.dumps(rows, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
