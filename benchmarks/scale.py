"""Hours of recordings through the whole of the data: preparing, codes, one pass of the loader; time and memory of each.

    PYTHONPATH=. python benchmarks/scale.py --hours 50 --workers 2 --out benchmarks/scale.md
    PYTHONPATH=. python benchmarks/scale.py --hours 0.2 --minutes 4 --full-codec       a trial

The recordings are simulated as they are read (306 sensors, 250 Hz): they take no space, and the time to make them
counts as that of reading. Memory is what the process and its children hold for themselves, sampled twice a second; that
it stays the same is seen by comparing its highest value in the second quarter of each stage with that in the last.
"""

import argparse
import json
import platform
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import torch

from megxl.corpora.corpus import corpus_named
from megxl.corpora.simulation.writing import recipe_for, write_corpus
from megxl.data.code_grid import WindowGrid
from megxl.data.codes import write_codes
from megxl.data.modules import CorpusDataModule
from megxl.data.preparing import Request, prepare_corpus
from megxl.sizes import BioCodecConfig
from megxl.store.store import Store
from megxl.tokenizer.biocodec import BioCodec

PERIOD_S = 0.5
TINY = {"filters": 2, "width": 16, "lstm_layers": 1, "codes": 16}


@dataclass
class Stage:
    """One stage as it was measured."""

    name: str
    seconds: float = 0.0
    parent_mb: list[float] = field(default_factory=list)
    children_mb: list[float] = field(default_factory=list)
    done: str = ""

    def peaks(self, samples: list[float]) -> tuple[float, float, float]:
        """Highest value of all, of the second quarter, of the last quarter."""
        quarter = max(1, len(samples) // 4)
        parts = samples, samples[quarter : 2 * quarter], samples[-quarter:]
        return tuple(max(part, default=0.0) for part in parts)  # type: ignore[return-value]


def resident_mb(process: int) -> float:
    """Resident memory of a process without what it shares with files; 0 if it has ended."""
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return sum(int(line.split()[1]) for line in status.splitlines() if line.startswith("RssAnon")) / 1024


def descendants(process: int) -> list[int]:
    """All processes that this one has started, and they in turn."""
    try:
        threads = list(Path(f"/proc/{process}/task").iterdir())
        found = [int(number) for thread in threads for number in (thread / "children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []
    return found + [deeper for child in found for deeper in descendants(child)]


@contextmanager
def measured(name: str, stages: list[Stage]) -> Iterator[Stage]:
    """Measure what is done inside."""
    stage, ended = Stage(name), threading.Event()
    me = int(Path("/proc/self").resolve().name)

    def sample() -> None:
        while not ended.wait(PERIOD_S):
            stage.parent_mb.append(resident_mb(me))
            stage.children_mb.append(max((resident_mb(child) for child in descendants(me)), default=0.0))

    thread, started = threading.Thread(target=sample, daemon=True), time.perf_counter()
    thread.start()
    try:
        yield stage
    finally:
        stage.seconds = time.perf_counter() - started
        ended.set()
        thread.join()
        stages.append(stage)
        print(f"{stage.name}: {stage.seconds:.1f} s, {stage.done}", flush=True)


def size_mb(folder: Path, pattern: str) -> float:
    """Size of the files of a pattern below a folder."""
    return sum(path.stat().st_size for path in folder.rglob(pattern)) / 1e6


def measure(args: argparse.Namespace, place: Path) -> list[Stage]:
    """Run all stages in a folder."""
    stages: list[Stage] = []
    root, store_path = place / "root", place / "store"
    n_recordings = max(1, round(60 * args.hours / args.minutes))
    with measured("simulate recipes", stages) as stage:
        recipe = recipe_for("recipe", minutes=args.minutes)
        write_corpus(root, "recipe", recipe, subjects=1, sessions=n_recordings)
        stage.done = f"{n_recordings} recordings of {args.minutes:g} min, {size_mb(root, '*'):.1f} MB"
    with measured("prepare", stages) as stage:
        request = Request(corpus=corpus_named("simulated"), root=root, store=store_path, workers=args.workers)
        result = prepare_corpus(request)
        assert result.complete, result.failed[:3]
        stage.done = (
            f"{result.made_s / stage_seconds(result):.0f} times real time, {size_mb(store_path, '*.npy'):.0f} MB"
        )
    with measured("prepare again", stages) as stage:
        assert prepare_corpus(request).outcomes == []
        stage.done = "nothing to do"
    store = Store(store_path)
    if not args.no_codes:
        torch.manual_seed(0)
        codec = BioCodec(BioCodecConfig() if args.full_codec else BioCodecConfig(**TINY)).eval()
        with measured("codes", stages) as stage:
            report = write_codes(store, None, codec, WindowGrid(), device=args.device)
            assert not report.failed, report.failed
            stage.done = report.summary
    for workers in (0, 2):
        with measured(f"loader, {workers} workers", stages) as stage:
            stage.done = one_pass(store_path, workers)
    return stages


def stage_seconds(result) -> float:
    """Wall time of a preparation, by its own clock."""
    return max(result.seconds, 1e-9)


def one_pass(store: Path, workers: int) -> str:
    """Read every window once, normalised on the processor; say how fast."""
    module = CorpusDataModule(store, "simulated", {"validation": 0.0}, num_workers=workers, batch_size=1)
    module.setup()
    started, windows, first_s = time.perf_counter(), 0, 0.0
    for batch in module.train_dataloader():
        assert torch.isfinite(batch.signal_BCT).all()
        windows += len(batch.signal_BCT)
        first_s = first_s or time.perf_counter() - started
    seconds = time.perf_counter() - started
    return (
        f"{windows} windows of 150 s, {1000 * seconds / max(1, windows):.0f} ms each (the first after {first_s:.1f} s)"
    )


def table(args: argparse.Namespace, stages: list[Stage]) -> str:
    """All that was measured, as a page."""
    revision = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    lines = [
        f"# {args.hours:g} hours of simulated recordings through the data engine",
        "",
        f"{date.today()}, {platform.processor() or platform.machine()}, {torch.get_num_threads()} threads, commit "
        f"{revision}, {args.workers} workers. Memory in MB: highest (second quarter / last quarter).",
        "",
        "| stage | seconds | what | this process | largest child |",
        "|---|---|---|---|---|",
    ]
    for stage in stages:
        memory = [
            "{:.0f} ({:.0f} / {:.0f})".format(*stage.peaks(part)) for part in (stage.parent_mb, stage.children_mb)
        ]
        lines.append(f"| {stage.name} | {stage.seconds:.1f} | {stage.done} | {memory[0]} | {memory[1]} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, default=50.0)
    parser.add_argument("--minutes", type=float, default=60.0, help="length of one recording")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--full-codec", action="store_true", help="published size, with random weights")
    parser.add_argument("--no-codes", action="store_true")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, help="table (.md); all samples go beside it (.json)")
    parser.add_argument("--place", type=Path, help="folder for corpus and store, removed afterwards (7.4 MB a minute)")
    args = parser.parse_args()
    place = Path(tempfile.mkdtemp(prefix="megxl-scale-", dir=args.place))
    try:
        stages = measure(args, place)
    finally:
        shutil.rmtree(place)
    page = table(args, stages)
    print(page)
    if args.out is not None:
        args.out.write_text(page)
        args.out.with_suffix(".json").write_text(json.dumps([vars(stage) for stage in stages], indent=1))


if __name__ == "__main__":
    main()
