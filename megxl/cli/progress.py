"""How far a long command is: a bar with tokens a second on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

_UNITS = {"preparing": "channels", "embedding": "windows", "decoding": "word groups"}
_SECONDS_BETWEEN_LINES = 10.0


class StageClock:
    """Takes the time of each stage; as a `megxl.extraction.Progress` it shows nothing."""

    def __init__(self) -> None:
        self._started: dict[str, float] = {}
        self._ended: dict[str, float] = {}
        self.tokens = 0

    def __call__(self, stage: str, done: int, total: int, tokens: int) -> None:
        """Note that `done` of `total` steps of a stage are done."""
        now = time.perf_counter()
        self._started.setdefault(stage, now)
        self._ended[stage] = now
        self.tokens = tokens
        self.show(stage, done, total)

    def show(self, stage: str, done: int, total: int) -> None:
        """Let a person see it."""

    def seconds(self, stage: str) -> float:
        """Seconds since the first news of a stage, up to the latest."""
        return self._ended.get(stage, 0.0) - self._started.get(stage, 0.0)

    @property
    def tokens_per_s(self) -> float:
        """Tokens embedded a second, so far; 0 before the first window is done."""
        seconds = self.seconds("embedding")
        return self.tokens / seconds if seconds > 0 else 0.0

    def summary(self) -> str:
        """Say how long it took."""
        preparing_s, embedding_s = self.seconds("preparing"), self.seconds("embedding")
        return f"{preparing_s:.1f} s preparing, {embedding_s:.1f} s embedding, {self.rate()}"

    def rate(self) -> str:
        """Tokens a second, for people."""
        return f"{self.tokens_per_s:,.0f} tokens/s" if self.tokens_per_s else ""


class PlainLines(StageClock):
    """Lines on stderr: at most one in ten seconds, and one at the end of each stage."""

    def __init__(self) -> None:
        super().__init__()
        self._last_line = time.perf_counter()

    def show(self, stage: str, done: int, total: int) -> None:
        """Print a line if one is due."""
        now = time.perf_counter()
        if done == total or now - self._last_line >= _SECONDS_BETWEEN_LINES:
            self._last_line = now
            print(f"{stage}: {done} of {total} {_UNITS[stage]} {self.rate()}".rstrip(), file=sys.stderr, flush=True)


@contextmanager
def shown_progress() -> Iterator[StageClock]:
    """Give something to call with progress, and show it the best way that stderr allows."""
    if not sys.stderr.isatty() or find_spec("rich") is None:
        yield PlainLines()
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description:<9}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[unit]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[rate]}"),
    )
    with Progress(*columns, console=Console(stderr=True)) as bars:
        tasks = {}

        class Bars(StageClock):
            """One bar a stage."""

            def show(self, stage: str, done: int, total: int) -> None:
                if stage not in tasks:
                    tasks[stage] = bars.add_task(stage, total=total, unit=_UNITS[stage], rate="")
                bars.update(tasks[stage], completed=done, rate=self.rate())

        yield Bars()
