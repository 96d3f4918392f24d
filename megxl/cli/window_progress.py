"""How many windows are done: a bar on a terminal, at most one line in ten seconds elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_SECONDS_BETWEEN_LINES = 10.0


@contextmanager
def window_progress(what: str, unit: str = "windows") -> Iterator[Callable[[int, int], None]]:
    """Give something to call with how many are done of how many."""
    from rich.console import Console
    from rich.progress import Progress

    last = time.perf_counter()

    def say(done: int, total: int) -> None:
        nonlocal last
        if time.perf_counter() - last >= _SECONDS_BETWEEN_LINES:
            last = time.perf_counter()
            print(f"{what}: {done} of {total} {unit}", file=sys.stderr, flush=True)

    if not sys.stderr.isatty():
        yield say
        return
    with Progress(console=Console(stderr=True)) as bars:
        task = bars.add_task(what, total=None)
        yield lambda done, total: bars.update(task, completed=done, total=total)
