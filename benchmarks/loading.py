"""How fast items come from a store: 150 s of 306 sensors as signal, normalised, and as codes; one core, files warm.

PYTHONPATH=. python benchmarks/loading.py --out benchmarks/loading.md
"""

import argparse
import json
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import torch

from megxl.corpora.corpus import corpus_named
from megxl.corpora.simulation.writing import recipe_for, write_corpus
from megxl.data.batch import collate
from megxl.data.cached_codes import open_codes
from megxl.data.code_grid import WindowGrid
from megxl.data.codes import write_codes
from megxl.data.dataset import WindowDataset
from megxl.data.group_dataset import WordGroupDataset
from megxl.data.groups import Grouping, word_groups
from megxl.data.preparing import Request, prepare_corpus
from megxl.data.windows import fixed_windows
from megxl.sizes import BioCodecConfig
from megxl.store import Store, StoredRecording
from megxl.tokenizer.biocodec import BioCodec

REPEATS = 20


def milliseconds(work: Callable[[int], object], items: int) -> list[float]:
    """Median, fastest and slowest of one call, over items in turn; the first round is not counted."""
    for item in range(items):
        work(item)
    times = []
    for turn in range(REPEATS):
        start = time.perf_counter()
        work(turn % items)
        times.append(1e3 * (time.perf_counter() - start))
    return [statistics.median(times), min(times), max(times)]


def prepared(folder: Path) -> list[StoredRecording]:
    """Ten simulated minutes of 306 sensors in a store."""
    write_corpus(folder / "corpus", "recipe", recipe_for("recipe", minutes=10.0), subjects=1, sessions=1)
    prepare_corpus(Request(corpus=corpus_named("simulated"), root=folder / "corpus", store=folder / "store", workers=0))
    return Store(folder / "store").recordings()


def measured(folder: Path) -> dict[str, list[float]]:
    """Each way to an item, in milliseconds."""
    recordings = prepared(folder)
    store = Store(folder / "store")
    windows = fixed_windows(recordings)
    # what codes hold does not change how they are read: a small codec makes them
    codec = BioCodec(BioCodecConfig(filters=4)).eval()
    write_codes(store, recordings, codec, WindowGrid())
    codes = open_codes(recordings, WindowGrid(), codec)
    signal = WindowDataset(windows, seed=0)
    coded = WindowDataset(windows, seed=0, codes=codes, signal=False)
    groups = WordGroupDataset(word_groups(recordings, Grouping()), seed=0)
    ids = {"simulated": 0}
    return {
        "window: signal": milliseconds(lambda item: signal[item], len(signal)),
        "window: signal, as a batch": milliseconds(lambda item: collate([signal[item]], ids), len(signal)),
        "window: signal, as a batch, normalised": milliseconds(
            lambda item: collate([signal[item]], ids).normalized(), len(signal)
        ),
        "window: codes": milliseconds(lambda item: coded[item], len(coded)),
        "window: codes, as a batch": milliseconds(lambda item: collate([coded[item]], ids), len(coded)),
        "50 words: signal": milliseconds(lambda item: groups[item], len(groups)),
        "50 words: signal, as a batch, normalised": milliseconds(
            lambda item: collate([groups[item]], ids).normalized(), len(groups)
        ),
    }


def main() -> None:
    """Measure, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, metavar="FILE.md", default=Path("benchmarks/loading.md"))
    out = parser.parse_args().out
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        times = measured(Path(folder))
    lines = [
        "# An item of 150 s and 306 sensors from the store",
        "",
        f"{date.today()}, {platform.machine()}, torch {torch.__version__}, one thread, files in the page cache. "
        f"Milliseconds, median of {REPEATS} (fastest - slowest). Published code, one core: 1,700 to 2,300 ms for a "
        "normalised item.",
        "",
        "| item | ms |",
        "|---|---|",
        *(f"| {name} | {median:.1f} ({least:.1f} - {most:.1f}) |" for name, (median, least, most) in times.items()),
        "",
    ]
    out.write_text("\n".join(lines))
    out.with_suffix(".json").write_text(json.dumps(times, indent=1) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
