"""How far a preparation is: a bar with the time that remains on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from megxl.data.preparing import Watcher
from megxl.data.preparing.summary import counted

if TYPE_CHECKING:
    from megxl.data.preparing import Outcome, Plan

_SECONDS_BETWEEN_LINES = 10.0


class PlainLines(Watcher):
    """Lines on stderr: what there is to do, what failed, and how far it is every ten seconds and at the end."""

    def __init__(self) -> None:
        self._bytes_of: dict[str, int] = {}
        self._total = self._done = self._read = self._failed = 0
        self._started = self._last_line = time.perf_counter()

    def planned(self, plan: "Plan") -> None:
        """Say what there is to do."""
        self._bytes_of = {step.job.key: max(1, step.n_bytes) for step in plan.steps}
        self._total = len(plan.steps)
        self._started = self._last_line = time.perf_counter()
        why = ", ".join(f"{reason} ({count})" for reason, count in plan.reasons().items())
        current = counted(len(plan.current), "recording")
        self.say(f"{current} up to date, {self._total} to make" + (f": {why}" if why else ""))
        for key, reason in plan.damaged.items():
            self.say(f"{key} is damaged in the store ({reason}); --repair makes it again")

    def finished(self, outcome: "Outcome") -> None:
        """Count it, and print a line if one is due."""
        self._done += 1
        self._read += self._bytes_of.get(outcome.key, 0)
        if outcome.kind == "failed":
            self._failed += 1
            self.say(f"failed: {outcome.key}: {outcome.reason}")
        self.show()

    def waits(self, keys: Sequence[str]) -> None:
        """Say for what."""
        first = f"{keys[0]} and {len(keys) - 1} more" if len(keys) > 1 else keys[0]
        self.say(f"waiting for another process, which is making {first}")

    def show(self) -> None:
        """Print how far it is, now and then."""
        now = time.perf_counter()
        if self._done == self._total or now - self._last_line >= _SECONDS_BETWEEN_LINES:
            self._last_line = now
            failed = f", {self._failed} failed" if self._failed else ""
            self.say(f"prepared: {self._done} of {counted(self._total, 'recording')}{failed}{self._remaining(now)}")

    def say(self, text: str) -> None:
        """Print a line."""
        print(text, file=sys.stderr, flush=True)

    def _remaining(self, now: float) -> str:
        """Time to go, by the bytes that are read: recordings differ in length."""
        left = sum(self._bytes_of.values()) - self._read
        if not (left and self._read):
            return ""
        seconds = (now - self._started) * left / self._read
        return f", about {seconds / 60:.0f} min to go" if seconds >= 90 else f", about {seconds:.0f} s to go"


@contextmanager
def shown_preparation() -> Iterator[Watcher]:
    """Give a watcher that shows the best that stderr allows."""
    if not sys.stderr.isatty() or find_spec("rich") is None:
        yield PlainLines()
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[count]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), speed_estimate_period=600) as bars:
        yield Bar(bars)


class Bar(PlainLines):
    """One bar of rich; what is said stays above it."""

    def __init__(self, bars: Any) -> None:
        super().__init__()
        self._bars = bars
        self._task = bars.add_task("looking", total=None, count="")

    def looked_at(self, done: int, total: int) -> None:
        """Show how many recordings have been compared with the store."""
        self._bars.update(self._task, total=total, completed=done, count=f"{done} of {counted(total, 'recording')}")

    def planned(self, plan: "Plan") -> None:
        """Begin again, by bytes."""
        super().planned(plan)
        self._bars.reset(self._task, description="preparing", total=sum(self._bytes_of.values()) or 1)
        self.show()

    def show(self) -> None:
        """Move the bar."""
        failed = f", {self._failed} failed" if self._failed else ""
        count = f"{self._done} of {counted(self._total, 'recording')}{failed}"
        self._bars.update(self._task, completed=self._read, count=count)

    def say(self, text: str) -> None:
        """Print a line above the bar."""
        self._bars.console.print(text, markup=False, highlight=False)
