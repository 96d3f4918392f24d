"""What a person sees while the demo works: live lines on a terminal, plain ones elsewhere."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

from megxl.cli.demo_crew import Shown
from megxl.cli.demo_plan import Step

_SECONDS_BETWEEN_LINES = 15.0


class PlainSteps:
    """Lines on stderr: one as a step begins and ends, and what it says every quarter of a minute."""

    def __init__(self, total: int, done: int) -> None:
        self._total, self._done = total, done
        self._told: dict[str, tuple[float, str]] = {}

    def begin(self, step: Step) -> None:
        """Say that a step begins."""
        self._told[step.name] = (time.monotonic(), "")
        _say(f"... {step.title}")

    def news(self, step: Step, line: str) -> None:
        """Say what a step says, if that is new and it is time."""
        now, (told_s, told) = time.monotonic(), self._told[step.name]
        if line not in ("", told) and now - told_s >= _SECONDS_BETWEEN_LINES:
            self._told[step.name] = (now, line)
            _say(f"    {step.name}: {line}")

    def end(self, step: Step, seconds: float) -> None:
        """Say that a step is done."""
        self._done += 1
        _say(f"{self._done:2d} of {self._total} done: {step.title} ({seconds:.0f} s)")


@contextmanager
def shown_steps(total: int, done: int) -> Iterator[Shown]:
    """Give something to tell of steps, and show it the best way that stderr allows.

    Parameters
    ----------
    total, done : int
        Steps in all, and those of an earlier attempt.
    """
    if not sys.stderr.isatty() or find_spec("rich") is None:
        yield PlainSteps(total, done)
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(bar_width=20), MofNCompleteColumn())
    with Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True)) as bars:
        whole = bars.add_task("[bold]the whole journey", total=total, completed=done)
        tasks = {}

        class LiveSteps:
            """A line that turns for each step that is at work, and one for all."""

            def begin(self, step: Step) -> None:
                tasks[step.name] = bars.add_task(escape(step.title), total=None)

            def news(self, step: Step, line: str) -> None:
                bars.update(tasks[step.name], description=f"{escape(step.title)}\n  [dim]{escape(line[:100])}")

            def end(self, step: Step, seconds: float) -> None:
                bars.remove_task(tasks[step.name])
                bars.console.print(f"[green]done[/] {escape(step.title)} [dim]({seconds:.0f} s)")
                bars.advance(whole)

        yield LiveSteps()


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
