"""Time and memory of preparing one recording: as published, by the method "mne", by the method "fast", merely reading.

    PYTHONPATH=. python benchmarks/preparation.py --recording RAW.fif --minutes 58 --out benchmarks/preparation.md

A short recording is repeated forward and backward up to the length asked for, and written as a FIF of 16-bit integers:
an hour of 306 sensors would be more than the 2 GB of one file, and MNE resamples each file of a recording alone.
Each way runs in a process of its own, one after the other, so that peak memory is its own; then the signals are
compared. The recording and the signals lie in a temporary folder.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from datetime import date
from importlib.metadata import version
from pathlib import Path

import mne
import numpy as np

from megxl.signals.preparation import Preparation, prepare
from megxl.signals.reading import choose_channels, open_recording
from megxl.signals.samples import in_time_order, picks_of

WAYS = {
    "reading": "merely reading, piece by piece",
    "published": "load_data, filter(n_jobs=-1), resample",
    "mne": 'method="mne"',
    "fast": 'method="fast"',
}


class Repeated(mne.io.BaseRaw):
    """A short recording forward and backward again and again; nothing of its length is ever in memory."""

    def __init__(self, raw: mne.io.BaseRaw, samples: int) -> None:
        once = np.asarray(raw.get_data())
        there_and_back = np.concatenate([once, once[:, ::-1]], axis=1)
        super().__init__(raw.info, False, [0], [samples - 1], [None], [{"signal": there_and_back}], verbose="ERROR")

    def _read_segment_file(self, data, idx, fi, start, stop, cals, mult) -> None:  # MNE's own signature
        signal = self._raw_extras[fi]["signal"]
        data[:] = signal[idx][:, np.arange(start, stop) % signal.shape[1]]


def write_recording(source: Path, path: Path, minutes: float, sfreq_hz: float) -> None:
    """Write so many minutes of the sensors of a short recording, declared to come at another rate."""
    raw = open_recording(source)
    raw.pick(choose_channels(raw)).load_data(verbose="ERROR")
    with raw.info._unlock():
        raw.info["sfreq"], raw.info["lowpass"] = sfreq_hz, min(raw.info["lowpass"], sfreq_hz / 2)
    Repeated(raw, round(minutes * 60 * sfreq_hz)).save(path, fmt="short", verbose="ERROR")


def by_way(way: str, path: Path) -> np.ndarray | None:
    """Prepare the recording one way."""
    if way == "published":
        raw = mne.io.read_raw_fif(path, preload=False, verbose="ERROR").load_data(verbose="ERROR")
        raw.filter(0.1, 40.0, n_jobs=-1, verbose="ERROR").resample(50.0, verbose="ERROR")
        return np.asarray(raw.get_data(), dtype=np.float32)
    raw = open_recording(path)
    names = choose_channels(raw)
    if way == "reading":
        for _ in in_time_order(raw, picks_of(raw.info, names)):
            pass
        return None
    return prepare(raw, names, Preparation(method="fast" if way == "fast" else "mne")).signal_CT


def run_here(way: str, path: Path, folder: Path) -> None:
    """Prepare in this process and write down what it took."""
    import scipy.fft
    import scipy.signal  # noqa: F401

    before_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    begin, cpu = time.perf_counter(), time.process_time()
    signal_CT = by_way(way, path)
    row = {"way": way, "wall_s": time.perf_counter() - begin, "cpu_s": time.process_time() - cpu}
    own, workers = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    row |= {"before_mb": before_mb, "peak_mb": own.ru_maxrss / 1024, "worker_peak_mb": workers.ru_maxrss / 1024}
    row["cpu_s"] += workers.ru_utime + workers.ru_stime
    if signal_CT is not None:
        np.save(folder / f"{way}.npy", signal_CT)
    (folder / f"{way}.json").write_text(json.dumps(row))


def measure(way: str, path: Path, folder: Path) -> dict:
    """Run one way in a process of its own."""
    command = [sys.executable, __file__, "--here", way, "--recording", str(path), "--out", str(folder)]
    subprocess.run(command, check=True)
    return json.loads((folder / f"{way}.json").read_text())


def difference(folder: Path, way: str, rate: int = 50) -> dict[str, float]:
    """Compare with the published way: root mean square of the difference over that of the signal, worst sensor."""
    expected_CT = np.load(folder / "published.npy", mmap_mode="r")
    found_CT = np.load(folder / f"{way}.npy", mmap_mode="r")
    parts = {"middle": slice(rate, -rate), "first_s": slice(0, rate), "last_s": slice(-rate, None)}
    worst = dict.fromkeys(parts, 0.0)
    for expected_T, found_T in zip(expected_CT, found_CT, strict=True):
        for part, samples in parts.items():
            true_T = expected_T[samples].astype(np.float64)
            error_T = found_T[samples] - true_T
            worst[part] = max(worst[part], float(np.sqrt((error_T**2).mean() / (true_T**2).mean())))
    return worst


def as_table(rows: list[dict], file: dict, commit: str) -> str:
    """Write the table."""
    by_name = {row["way"]: row for row in rows}
    read_s, published = by_name["reading"]["wall_s"], by_name.get("published")
    lines = [
        "# Preparation of one recording",
        "",
        f"{date.today()}, commit {commit or 'unknown'}, MNE {version('mne')}, {os.cpu_count()} cores. "
        f"{file['sensors']} sensors, {file['minutes']:g} min at {file['sfreq_hz']:g} Hz, FIF of {file['gb']:.1f} GB "
        "(16 bit), 0.1-40 Hz to 50 Hz.",
        "",
        "    PYTHONPATH=. python benchmarks/preparation.py --recording RAW.fif "
        f"--minutes {file['minutes']:g} --out FILE",
        "",
        "Wall clock without imports; peak of the whole process with them (workers of the published way not counted).",
        "Differences: root mean square over that of the published signal, the worst sensor.",
        "",
        "| way | wall s | CPU s | times reading | peak MB | gain in time, memory | middle | first s | last s |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        gain = "-"
        if published:
            gain = f"{published['wall_s'] / row['wall_s']:.1f}, {published['peak_mb'] / row['peak_mb']:.1f}"
        errors = [f"{row[part]:.1e}" if part in row else "-" for part in ("middle", "first_s", "last_s")]
        lines.append(
            f"| {WAYS[row['way']]} | {row['wall_s']:.1f} | {row['cpu_s']:.1f} | {row['wall_s'] / read_s:.1f} | "
            f"{row['peak_mb']:.0f} | {gain} | {' | '.join(errors)} |"
        )
    return "\n".join(lines) + "\n"


def main() -> int:
    """Make the recording, measure every way, write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recording", type=Path, required=True, help="a short recording to repeat")
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument(
        "--sfreq", type=float, default=1000.0, help="rate that the repeated samples are declared to have"
    )
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--here", choices=WAYS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.here:
        run_here(args.here, args.recording, args.out)
        return 0
    git = ["git", "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip()
    with tempfile.TemporaryDirectory(prefix="megxl-benchmark-") as name:
        folder = Path(name)
        path = folder / "long_raw.fif"
        write_recording(args.recording, path, args.minutes, args.sfreq)
        parts = [file for file in folder.iterdir() if file.suffix == ".fif"]
        file = {
            "sensors": len(choose_channels(open_recording(path))),
            "minutes": args.minutes,
            "sfreq_hz": args.sfreq,
            "gb": sum(part.stat().st_size for part in parts) / 1e9,
        }
        rows: list[dict] = []
        for way in dict.fromkeys(["reading", *args.ways]):
            rows.append(measure(way, path, folder))
            if way not in ("reading", "published") and (folder / "published.npy").exists():
                rows[-1] |= difference(folder, way)
            print(rows[-1], flush=True)
    args.out.write_text(as_table(rows, file, commit))
    args.out.with_suffix(".json").write_text(json.dumps({"recording": file, "rows": rows}, indent=1) + "\n")
    print(args.out.read_text())
    return 0


if __name__ == "__main__":
    sys.exit(main())
