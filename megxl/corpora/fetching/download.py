"""Files of a published corpus onto this disk: what is chosen and missing, several at once, written down in a manifest.

Who lists the files and hands out their bytes is a `Source` (see `origins`); everything else is the same for all.
"""

import shutil
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path

from megxl.corpora.fetching.manifest import Manifest
from megxl.corpora.fetching.one_file import Way, fetch_one
from megxl.corpora.fetching.remote import RemoteFile, Source
from megxl.corpora.fetching.selection import Choice
from megxl.errors import InputError

MOST_FAILURES = 5


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What there is to fetch, and what is there."""

    files: tuple[RemoteFile, ...]
    present: tuple[RemoteFile, ...]
    missing: tuple[RemoteFile, ...]

    @property
    def missing_bytes(self) -> int:
        """Bytes still to come, of files whose size is known."""
        return sum(file.size or 0 for file in self.missing)

    @property
    def total_bytes(self) -> int:
        """Bytes of all files whose size is known."""
        return sum(file.size or 0 for file in self.files)

    @property
    def unknown_sizes(self) -> int:
        """How many files do not say how large they are."""
        return sum(file.size is None for file in self.files)


@dataclass(kw_only=True)
class Fetched:
    """What became of a plan."""

    done: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)


def plan_fetch(source: Source, root: Path, choice: Choice) -> Plan:
    """List what a source has of a choice, and see what of it is here already, by the manifest.

    Raises
    ------
    InputError
        A source that cannot be asked, nothing that was chosen, a file that would lie outside of the root.
    """
    files = choice.of(source.list(choice.descend))
    for file in files:
        parts = file.path.split("/")
        if not all(parts) or {".", ".."} & set(parts) or "\\" in file.path or ":" in parts[0]:
            raise InputError(f"{source.name} lists a file that would lie outside of the corpus: {file.path!r}.")
    manifest = Manifest.of(root)
    present = tuple(file for file in files if manifest.holds(file))
    known = {file.path for file in present}
    return Plan(files=tuple(files), present=present, missing=tuple(file for file in files if file.path not in known))


def fetch(
    source: Source,
    plan: Plan,
    root: Path,
    manifest: Manifest,
    *,
    workers: int = 4,
    advance: Callable[[int], None] = lambda n_bytes: None,
    pause_s: float = 1.0,
) -> Fetched:
    """Fetch what is missing; several files at once, each under a hidden name until it is verified.

    Parameters
    ----------
    source, plan, root
        As for `plan_fetch`.
    manifest : Manifest
        Takes note of every file that is complete.
    workers : int
        Files at once.
    advance, pause_s
        As for `Way`.

    Returns
    -------
    Fetched
        Files that failed are in it with the reason; after `MOST_FAILURES` no others are tried.

    Raises
    ------
    InputError
        Not enough space.
    """
    root.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(root).free
    if free < plan.missing_bytes:
        raise InputError(f"{root} has {free:,} bytes of space, but {plan.missing_bytes:,} are to come: choose less.")
    way = Way(source=source, stop=threading.Event(), advance=advance, pause_s=pause_s)
    work = _Work(way, root, manifest)
    with manifest.kept(), ThreadPoolExecutor(workers) as pool:
        futures = [pool.submit(work.fetch, file) for file in plan.missing]
        try:
            for future in wait(futures, return_when=FIRST_EXCEPTION).done:
                future.result()
        except BaseException:
            way.stop.set()
            pool.shutdown(cancel_futures=True)
            raise
    return work.result


@dataclass
class _Work:
    """What the threads of one fetch share."""

    way: Way
    root: Path
    manifest: Manifest
    result: Fetched = field(default_factory=Fetched)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def fetch(self, file: RemoteFile) -> None:
        """Fetch a file and note what became of it."""
        if self.way.stop.is_set():
            return
        try:
            entry = fetch_one(self.way, file, self.root / file.path, self.manifest.files.get(file.path))
        except (InputError, OSError) as error:
            with self.lock:
                self.result.failed[file.path] = str(error)
                if len(self.result.failed) >= MOST_FAILURES:
                    self.way.stop.set()
            return
        with self.lock:
            if entry is not None:
                self.manifest.add(file.path, entry)
                self.result.done.append(file.path)


def by_subject(files: Sequence[RemoteFile]) -> dict[str, tuple[int, int]]:
    """Count files and known bytes of each subject; what belongs to nobody is under ""."""
    counts: dict[str, tuple[int, int]] = {}
    for file in files:
        n_files, n_bytes = counts.get(subject := Choice.subject_of(file.path) or "", (0, 0))
        counts[subject] = (n_files + 1, n_bytes + (file.size or 0))
    return counts
