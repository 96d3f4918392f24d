"""Training steps, each way of running them in a process of its own: speed, share of the peak, memory, waiting for data.

    PYTHONPATH=. python benchmarks/training.py --device cuda --out benchmarks/training_gpu.md     under ten minutes
    PYTHONPATH=. python benchmarks/training.py --device cpu --out benchmarks/training_cpu.md      full size, recomputed
    PYTHONPATH=. python benchmarks/training.py --trial --out trial.md        every way of a GPU, tiny, on a processor

Needs torch, numpy and safetensors; cases on the `lightning` path also Lightning. Windows come from files of random
codes and signals that loader processes read. Rows are written as they come; what does not fit in --budget-s is not run.
"""

import argparse
import json
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from datetime import date
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from benchmarks.training_cost import MODES, Step, count_step, step_flops
from megxl.model.benchmark import PEAK_BF16
from megxl.model.embedding import SensorTensors
from megxl.model.execution import attention_backend, compile_layers, recompute_activations
from megxl.model.masking import draw_mask, plan_mask
from megxl.model.megxl import MEGXL
from megxl.signals.normalization import BLOCK_S, scale_blocks
from megxl.tokenizer.biocodec import BioCodec

ROOT = Path(__file__).resolve().parents[1]
WINDOWS = 8
"""In a file; they are read again and again."""
PROFILED_STEPS = 3
LONGEST_S = 150.0
"""A single case may take so long on a GPU, compiling included."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """One way to train."""

    step: Step
    device: str = "cuda"
    compiled: bool = False
    attention: str | None = None
    online: bool = False
    """Whether codes are made from the signal in every step, not read."""
    path: Literal["model", "lightning"] = "model"
    """A bare loop, or `PretrainModule` under Lightning's Trainer."""
    dropout: float = 0.1
    cap_gb: float | None = None
    """Memory of the GPU that the process may have."""
    profile: bool = False
    workers: int = 4
    warmup: int = 5
    steps: int = 10

    @classmethod
    def from_json(cls, text: str) -> "Case":
        """Back from `json.dumps(asdict(case))`."""
        parts = json.loads(text)
        return cls(**parts | {"step": Step(**parts["step"])})


def cases_gpu() -> list[Case]:
    """What the table of a GPU holds, the most telling first."""
    plain = {
        (compiled, mode): Case(step=Step(recompute=mode), compiled=compiled)
        for compiled in (True, False)
        for mode in MODES
    }
    best = plain[True, "off"]
    return [
        replace(best, profile=True),
        replace(plain[True, "full"], cap_gb=24),
        replace(plain[False, "full"], cap_gb=24),
        replace(plain[True, "selective"], cap_gb=24),
        replace(plain[False, "off"], profile=True),
        *(case for way, case in plain.items() if way not in ((True, "off"), (False, "off"))),
        *(replace(case, online=True) for case in plain.values()),
        replace(best, path="lightning"),
        *(replace(plain[True, mode], step=Step(recompute=mode, batch=4)) for mode in MODES[1:]),
        replace(best, step=Step(batch=2)),
        *(replace(best, attention=kernel) for kernel in ("flash", "cudnn", "efficient")),
    ]


def cases_cpu() -> list[Case]:
    """Full size on a processor: everything recomputed, one step, with the published dropout and without."""
    step = Step(recompute="full", mixed=False, fused_attention=False)
    case = Case(step=step, device="cpu", path="lightning", workers=1, warmup=0, steps=1)
    undropped = replace(case, dropout=0.0, step=replace(step, fused_attention=True))
    return [undropped, case, replace(undropped, path="model")]


def trial(case: Case) -> Case:
    """The same way, tiny and on a processor."""
    step = replace(case.step, size="tiny", sensors=12, window_s=12.0)
    return replace(case, step=step, device="cpu", attention=None, workers=1, warmup=1, steps=2)


def write_windows(folder: Path, case: Case) -> None:
    """Write what the case reads, once: random codes (uint8), or signals (float32), of a few windows."""
    step, rng, path = case.step, np.random.default_rng(0), _windows_file(case, folder)
    if path.exists():
        return
    shape = (WINDOWS, step.sensors)
    if case.online:
        np.save(path, rng.standard_normal((*shape, step.work.samples), dtype=np.float32))
    else:
        np.save(path, rng.integers(step.config.codes, size=(*shape, step.tokens, step.config.levels), dtype=np.uint8))


def _windows_file(case: Case, folder: Path) -> Path:
    return folder / ("signal.npy" if case.online else "codes.npy")


class Windows(Dataset):
    """Windows out of one file, opened by the process that reads it."""

    def __init__(self, path: Path, count: int) -> None:
        self.path, self.count = path, count
        self._windows: np.ndarray | None = None

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, item: int) -> Tensor:
        windows = self._windows if self._windows is not None else np.load(self.path, mmap_mode="r")
        self._windows = windows
        return torch.from_numpy(np.array(windows[item % WINDOWS]))


class Clock:
    """Times of steps without making a GPU wait: events there, the wall clock elsewhere."""

    def __init__(self, device: torch.device) -> None:
        self.cuda = device.type == "cuda"
        self.marks: list[Any] = []

    def mark(self) -> None:
        """Between two steps."""
        if self.cuda:
            event = torch.cuda.Event(enable_timing=True)
            event.record()
        self.marks.append(event if self.cuda else time.perf_counter())

    def seconds(self) -> list[float]:
        """Of each step."""
        if self.cuda:
            torch.cuda.synchronize()
            return [a.elapsed_time(b) / 1e3 for a, b in pairwise(self.marks)]
        return [b - a for a, b in pairwise(self.marks)]


def run_case(case: Case, folder: Path) -> dict[str, Any]:
    """Train a few steps in this process; the figures."""
    device = torch.device(case.device)
    torch.set_float32_matmul_precision("high")
    torch.manual_seed(0)
    if case.cap_gb is not None and device.type == "cuda":
        share = case.cap_gb * 1e9 / torch.cuda.get_device_properties(device).total_memory
        torch.cuda.set_per_process_memory_fraction(share, device)
    if case.path == "lightning":
        # the bare loop runs where Lightning is not installed
        from benchmarks.training_lightning import train

        sensors = random_sensors(case.step, torch.device("cpu"))
        times, waited_s = train(case, loader(case, folder, device), sensors, Clock(device))
        profile = ""
    else:
        times, waited_s, profile = _train(case, folder, device)
    return _figures(case, device, times, waited_s) | {"profile": profile}


def _train(case: Case, folder: Path, device: torch.device) -> tuple[list[float], float, str]:
    """The bare loop: what the model alone can do. Times of the counted steps, seconds in the loader, the profile."""
    step = case.step
    config = replace(step.config, dropout=case.dropout)
    model = recompute_activations(MEGXL(config).to(device).train(), step.recompute)
    codec = BioCodec().fold_().to(device).eval() if case.online else None
    if case.compiled:
        compile_layers(model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=device.type == "cuda")
    sensors, plan = random_sensors(step, device), plan_mask(step.tokens, config)

    def one(inputs: Tensor, number: int) -> None:
        inputs = inputs.to(device, non_blocking=True)
        if codec is not None:
            inputs = codec.tokenize(scale_blocks(inputs, round(BLOCK_S * config.sfreq_hz)))
        generators = [torch.Generator().manual_seed(number * step.batch + item) for item in range(step.batch)]
        with torch.autocast(device.type, torch.bfloat16, enabled=step.mixed):
            loss = model.masked_prediction(inputs, sensors, draw_mask(plan, generators)).loss
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    with attention_backend(case.attention):
        return _timed(case, loader(case, folder, device), one, Clock(device))


def _timed(case: Case, batches: DataLoader, one: Any, clock: Clock) -> tuple[list[float], float, str]:
    waits: list[float] = []
    coming = waiting(iter(batches), waits)
    for number in range(case.warmup):
        one(next(coming), number)
    waits.clear()
    clock.mark()
    for number in range(case.steps):
        one(next(coming), number)
        clock.mark()
    times, waited_s = clock.seconds(), sum(waits)
    return times, waited_s, _profile(case, coming, one) if case.profile else ""


def waiting(batches: Iterator[Tensor], waits: list[float]) -> Iterator[Tensor]:
    """Pass batches on; note how long each was waited for."""
    while True:
        begin = time.perf_counter()
        batch = next(batches, None)
        if batch is None:
            return
        waits.append(time.perf_counter() - begin)
        yield batch


def _profile(case: Case, coming: Iterator[Tensor], one: Any) -> str:
    """What takes the time, operation by operation."""
    cuda = case.device != "cpu"
    activities = [torch.profiler.ProfilerActivity.CPU] + [torch.profiler.ProfilerActivity.CUDA] * cuda
    with torch.profiler.profile(activities=activities) as profiler:
        for number in range(PROFILED_STEPS):
            one(next(coming), number)
        if cuda:
            torch.cuda.synchronize()
    order = "self_cuda_time_total" if cuda else "self_cpu_time_total"
    return profiler.key_averages().table(sort_by=order, row_limit=20, max_name_column_width=70)


def loader(case: Case, folder: Path, device: torch.device) -> DataLoader:
    """Batches as loader processes read them."""
    n_steps = case.warmup + case.steps + PROFILED_STEPS * case.profile
    windows = Windows(_windows_file(case, folder), n_steps * case.step.batch)
    return DataLoader(windows, batch_size=case.step.batch, num_workers=case.workers, pin_memory=device.type == "cuda")


def random_sensors(step: Step, device: torch.device) -> SensorTensors:
    """Sensors all over a ball."""
    shape = (step.batch, step.sensors)
    directions = torch.randn(*shape, 3, device=device)
    kinds = torch.randint(2, shape, device=device)
    positions = torch.randn(*shape, 3, device=device) / 3
    return SensorTensors(positions, directions / directions.norm(dim=-1, keepdim=True), kinds)


def _figures(case: Case, device: torch.device, times: list[float], waited_s: float) -> dict[str, Any]:
    cuda, work = device.type == "cuda", case.step
    name = torch.cuda.get_device_name(device) if cuda else platform.machine()
    median_s, useful = statistics.median(times), step_flops(work)["useful"]
    peak = next((rate for key, rate in PEAK_BF16.items() if key in name), None)
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return {
        "case": asdict(case),
        "step_s": median_s,
        "fastest_s": min(times),
        "slowest_s": max(times),
        "samples_per_s": work.batch / median_s,
        "tokens_per_s": work.rows / median_s,
        "tflops": useful / median_s / 1e12,
        "mfu": None if peak is None else useful / median_s / peak,
        "data_wait_share": waited_s / sum(times),
        "peak_gb": (torch.cuda.max_memory_allocated(device) if cuda else resident) / 1e9,
        "reserved_gb": torch.cuda.max_memory_reserved(device) / 1e9 if cuda else None,
        "device_name": name,
        "torch_version": torch.__version__,
    }


def measure(case: Case, folder: Path, timeout_s: float) -> dict[str, Any] | str:
    """Run a case in a process of its own; its figures, or what went wrong."""
    command = [sys.executable, "-m", "benchmarks.training", "--case", json.dumps(asdict(case)), "--folder", str(folder)]
    try:
        run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=timeout_s, check=False)
    except subprocess.TimeoutExpired:
        return f"not finished in {timeout_s:.0f} s"
    if run.returncode:
        lines = [line for line in run.stderr.splitlines() if "Error" in line] or [f"ended with {run.returncode}"]
        return "out of memory" if "OutOfMemoryError" in lines[-1] else lines[-1][:160].replace("|", "/")
    return json.loads(run.stdout.splitlines()[-1])


COLUMNS = "path,compiled,recompute,codes,attention,batch,dropout,cap_GB,step_s,windows/s,tokens/s,TFLOP/s,MFU,peak_GB"


def as_line(case: Case, result: dict[str, Any] | str) -> str:
    """One row of the table."""
    step = case.step
    codes, cap = "online" if case.online else "cached", "-" if case.cap_gb is None else f"{case.cap_gb:g}"
    start = [case.path, "yes" if case.compiled else "no", step.recompute, codes, case.attention or "auto"]
    start += [str(step.batch), f"{case.dropout:g}", cap]
    if isinstance(result, str):
        end = [result, *[""] * 7]
    else:
        end = [
            f"{result['step_s']:.4g}",
            f"{result['samples_per_s']:.4g}",
            f"{result['tokens_per_s']:,.0f}",
            f"{result['tflops']:.4g}",
            "-" if result["mfu"] is None else f"{result['mfu']:.1%}",
            f"{result['peak_gb']:.2f}",
            f"{expected_gb(step):.2f}",
            f"{result['data_wait_share']:.1%}",
        ]
    return f"| {' | '.join(start + end)} |"


@cache
def expected_gb(step: Step) -> float:
    """Most bytes of tensors, counted without running (`training_cost`), of the uncompiled way."""
    return count_step(step).peak / 1e9


def page(lines: list[str], rows: list[dict[str, Any] | str], args: argparse.Namespace) -> str:
    """The table, and the profiles below it."""
    done = [row for row in rows if isinstance(row, dict)]
    first = done[0] if done else {"device_name": args.device, "torch_version": torch.__version__}
    columns = [*COLUMNS.split(","), "expected_GB", "data wait"]
    what = "--trial" if args.trial else f"--device {args.device}"
    text = [
        f"# Training steps on {first['device_name']}",
        "",
        f"{date.today()}, commit {args.commit or revision()}, torch {first['torch_version']}. {args.machine}",
        "",
        "Random weights, random codes and signals out of files. MFU: operations without recomputing and without the",
        "codec, by the vendor's bfloat16 peak. Peak: of tensors on a GPU, of the whole process on a CPU; expected: of",
        "tensors, counted without running ([training.md](training.md)), not compiled. Data wait: share of the time in",
        "which the loop was in the loader; work that a GPU still had in hand then is not taken off.",
        "",
        f"    PYTHONPATH=. python benchmarks/training.py {what} --out FILE",
        "",
        f"| {' | '.join(columns)} |",
        "|" + "---|" * len(columns),
        *lines,
    ]
    for row in done:
        if row["profile"]:
            way = "compiled" if row["case"]["compiled"] else "not compiled"
            text += ["", f"## Where the time goes, {way}, recompute {row['case']['step']['recompute']}", ""]
            text += ["```", row["profile"].rstrip(), "```"]
    return "\n".join(text) + "\n"


def revision() -> str:
    """The checkout's, where there is one."""
    run = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    return run.stdout.strip() or "unknown"


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--trial", action="store_true", help="every way of a GPU's table, tiny, on the CPU")
    parser.add_argument("--out", type=Path, help="table (.md); all figures go beside it (.json)")
    parser.add_argument("--only", type=int, nargs="+", help="numbers of the cases to run, from 0")
    parser.add_argument("--budget-s", type=float, help="stop after so many seconds (default: 540 on a GPU, 3600)")
    parser.add_argument("--machine", default="", help="one line on the machine")
    parser.add_argument("--commit", default="", help="revision, where git is not at hand")
    parser.add_argument("--case", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args(arguments)
    if args.case is None and args.out is None:
        parser.error("--out is missing")
    return args


def main(arguments: list[str] | None = None) -> int:
    """Measure every case and write the table."""
    args = parse(arguments)
    if args.case is not None:
        print(json.dumps(run_case(Case.from_json(args.case), args.folder)))
        return 0
    on_gpu = args.device == "cuda" and not args.trial
    cases = [trial(case) for case in cases_gpu()] if args.trial else cases_gpu() if on_gpu else cases_cpu()
    cases = cases if args.only is None else [cases[number] for number in args.only]
    budget_s = args.budget_s or (540.0 if on_gpu else 3600.0)
    begin, lines, rows = time.monotonic(), [], []
    with tempfile.TemporaryDirectory() as name:
        for case in cases:
            write_windows(Path(name), case)
            left_s = budget_s - (time.monotonic() - begin)
            longest_s = min(left_s, LONGEST_S) if on_gpu else left_s
            rows.append(measure(case, Path(name), longest_s) if left_s > 5 else "not run: out of time")
            lines.append(as_line(case, rows[-1]))
            args.out.write_text(page(lines, rows, args))
            args.out.with_suffix(".json").write_text(json.dumps(rows, indent=1) + "\n")
            print(lines[-1], flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
