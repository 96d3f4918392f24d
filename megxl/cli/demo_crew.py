"""Carries out the steps of the demo: each in a process of its own, as many at once as there is room for.

A step that is done leaves a record, and is not done again; one that was interrupted goes on where it was.
"""

import contextlib
import json
import multiprocessing
import shlex
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from multiprocessing.connection import wait
from multiprocessing.context import BaseContext
from pathlib import Path
from signal import SIG_IGN, SIGINT, signal
from typing import Any, Protocol

from megxl.cli.demo_plan import Step
from megxl.data.preparing.pool import end_with_parent
from megxl.errors import InputError
from megxl.training.runs import write_json

LANES = 4
"""At most so many steps at once: each takes up to a gigabyte."""
GRACE_S = 30.0
"""How long a step that is told to stop may save what it has."""
_LOOK_S = 0.5
_BEGIN = "$ megxl "
"""Of the line of a log that a command begins with."""
_HEAVY = ("torch", "lightning.pytorch", "hydra", "mne", "transformers")
"""What most steps import: once for all of them, where processes can be forked."""


class Shown(Protocol):
    """What a person sees of it."""

    def begin(self, step: Step) -> None:
        """A step begins."""

    def news(self, step: Step, line: str) -> None:
        """The newest line that a step says; "": none yet."""

    def end(self, step: Step, seconds: float) -> None:
        """A step is done."""


@dataclass(frozen=True)
class Record:
    """What a finished step leaves."""

    commands: list[list[str]]
    seconds: float
    peak_bytes: int | None
    """Memory of its process at most, where the system tells."""


@dataclass(frozen=True)
class _Running:
    step: Step
    process: Any


def carry_out(steps: Sequence[Step], folder: Path, shown: Shown, processors: int) -> None:
    """Do what is not done yet.

    Parameters
    ----------
    steps : sequence of Step
    folder : Path
        Of records and logs.
    shown : Shown
    processors : int
        To share out.

    Raises
    ------
    InputError
        A step failed; says what it said.
    """
    folder.mkdir(exist_ok=True)
    done = {step.name for step in steps if is_done(step, folder)}
    waiting = [step for step in steps if step.name not in done]
    lanes = max(1, min(processors, LANES))
    context, running = _context(), list[_Running]()
    try:
        while waiting or running:
            for step in list(_startable(waiting, [one.step for one in running], done, lanes)):
                threads = processors if step.alone else max(1, processors // lanes)
                running.append(_started(context, step, folder, threads))
                waiting.remove(step)
                shown.begin(step)
            assert running, "steps that wait for each other"
            wait([one.process.sentinel for one in running], timeout=_LOOK_S)
            for one in running:
                shown.news(one.step, _last_line(log_of(one.step, folder)))
            for one in [one for one in running if one.process.exitcode is not None]:
                running.remove(one)
                kept = _finish(one, folder)
                done.add(one.step.name)
                shown.end(one.step, kept.seconds)
    finally:
        _dismiss(running)


def is_done(step: Step, folder: Path) -> bool:
    """Whether a step has left its record, and would do the same today."""
    found = record(step.name, folder)
    return found is not None and found.commands == [list(command) for command in step.commands]


def record(name: str, folder: Path) -> Record | None:
    """What a step has left."""
    path = _record_of(name, folder)
    return Record(**json.loads(path.read_text())) if path.is_file() else None


def log_of(step: Step, folder: Path) -> Path:
    """Where all that a step says is kept."""
    return folder / f"{step.name}.log"


def _record_of(name: str, folder: Path) -> Path:
    return folder / f"{name}.json"


def _startable(waiting: Sequence[Step], running: Sequence[Step], done: set[str], lanes: int) -> Iterator[Step]:
    """Steps whose needs are met, in order, as far as there is room."""
    room = 0 if any(step.alone for step in running) else lanes - len(running)
    for step in waiting:
        if done.issuperset(step.needs) and room >= (lanes if step.alone else 1):
            room -= lanes if step.alone else 1
            yield step


def _context() -> BaseContext:
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(_HEAVY))
    return context


def _started(context: Any, step: Step, folder: Path, threads: int) -> _Running:
    process = context.Process(target=_perform, args=(step, folder, threads), name=step.name)
    process.start()
    return _Running(step, process)


def _perform(step: Step, folder: Path, threads: int) -> None:
    """In the process of a step: give its commands one after the other, until one fails."""
    import torch

    from megxl.cli import main

    began_s = time.monotonic()

    signal(SIGINT, SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides
    threading.Thread(target=end_with_parent, args=(GRACE_S,), daemon=True).start()
    torch.set_num_threads(threads)
    with (
        log_of(step, folder).open("a", encoding="utf-8", buffering=1) as log,
        contextlib.redirect_stdout(log),
        contextlib.redirect_stderr(log),
    ):
        for command in step.commands:
            log.write(f"{_BEGIN}{shlex.join(command)}\n")
            try:
                code = main(command)
            except Exception:  # a crash belongs into the log, not across the screen
                traceback.print_exc()
                code = 1
            if code:
                sys.exit(code)
    commands = [list(command) for command in step.commands]
    kept = Record(commands, round(time.monotonic() - began_s, 1), _peak_bytes())
    write_json(_record_of(step.name, folder), asdict(kept))


def _peak_bytes() -> int | None:
    try:
        from resource import RUSAGE_SELF, getrusage
    except ModuleNotFoundError:  # on Windows
        return None
    return getrusage(RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _finish(one: _Running, folder: Path) -> Record:
    """What a step left that ended well."""
    one.process.join()
    kept = record(one.step.name, folder)
    if one.process.exitcode or kept is None:
        log = log_of(one.step, folder)
        raise InputError(
            f"The step '{one.step.title}' failed with exit code {one.process.exitcode}: "
            f"{_last_line(log) or 'it said nothing.'} All that it said is in {log}."
        )
    return kept


def _dismiss(running: Sequence[_Running]) -> None:
    """Tell what runs to save and end; what does not listen is killed, and goes on from its last checkpoint."""
    for one in running:
        one.process.terminate()
    until = time.monotonic() + GRACE_S
    for one in running:
        one.process.join(max(0.0, until - time.monotonic()))
        if one.process.is_alive():
            one.process.kill()
            one.process.join()


def _last_line(log: Path) -> str:
    """What the newest command said last."""
    if not log.is_file():
        return ""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 4096))
        text = file.read().decode(errors="replace")
    newest = text.rpartition(_BEGIN)[2].partition("\n")[2] if _BEGIN in text else text
    said = [line.strip() for line in newest.split("\n") if line.strip()]
    return said[-1].removeprefix("megxl: error: ") if said else ""
