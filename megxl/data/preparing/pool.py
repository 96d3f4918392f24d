"""Work in other processes, one task each at a time; a process that is killed takes nothing but itself along."""

import logging
import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import connection, get_context, parent_process
from multiprocessing.connection import Connection
from typing import Any

from megxl.errors import InputError

GRACE_S = 5.0
"""How long a process that is told to stop may clear up before it is killed."""
_READY = "ready"
_THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)


@dataclass(frozen=True, kw_only=True)
class Loss:
    """In place of a result: the process that was to give it has ended."""

    reason: str


def run_in_processes(
    work: Callable[[Any], Any], tasks: Sequence[Any], workers: int
) -> Generator[tuple[Any, "Any | Loss"], None, None]:
    """Do tasks in parallel and hand out their results as they come; close the iterator to stop.

    Processes are spawned, with one thread of arithmetic each. The task over which one dies (of memory, by a signal) is
    done again when all others are finished, with nothing beside it.

    Parameters
    ----------
    work : callable
        A function of a module; it turns what a task can raise into its result.
    tasks : sequence
        Picklable, as are the results.
    workers : int
        How many processes, at least 1.

    Yields
    ------
    task
        One of `tasks`.
    result
        What `work` gave for it, or a `Loss` if it killed its process twice.

    Raises
    ------
    InputError
        Processes that cannot be started.
    """
    again, ready = [], set()
    with closing(_results(work, tasks, workers, ready)) as results:
        for task, result in results:
            if isinstance(result, Loss):
                again.append(task)
            else:
                yield task, result
    for task in again:
        with closing(_results(work, [task], 1, ready)) as results:
            yield from results


def _results(
    work: Callable[[Any], Any], tasks: Sequence[Any], workers: int, ready: set[int | None]
) -> Generator[tuple[Any, "Any | Loss"], None, None]:
    """Do tasks once; `ready` collects the processes that have started well."""
    waiting = deque(tasks)
    crew: list[_Worker] = []
    try:
        while True:
            for worker in crew:
                if waiting and not worker.busy:
                    worker.give(waiting.popleft())
            while waiting and len(crew) < workers:
                crew.append(_Worker(work))
                crew[-1].give(waiting.popleft())
            busy = [worker.connection for worker in crew if worker.busy]
            if not busy:
                return
            heard = connection.wait(busy)
            for worker in [worker for worker in crew if worker.connection in heard]:
                try:
                    message = worker.connection.recv()
                except (EOFError, OSError):
                    crew.remove(worker)
                    yield worker.task, worker.buried(could_start=bool(ready))
                    continue
                if message == _READY:
                    ready.add(worker.process.pid)
                else:
                    worker.busy = False
                    yield worker.task, message
    finally:
        _dismiss(crew)


class _Worker:
    """A process as its parent sees it."""

    def __init__(self, work: Callable[[Any], Any]) -> None:
        context = get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, work), daemon=True)
        with _one_thread():
            self.process.start()
        theirs.close()
        self.task: Any = None
        self.busy = False

    def give(self, task: Any) -> None:
        self.task, self.busy = task, True
        with suppress(BrokenPipeError):  # it has died in the meantime: whoever listens to it will find out
            self.connection.send(task)

    def buried(self, *, could_start: bool) -> Loss:
        """Say how it ended; raise where none could ever start, which one that was killed does not show."""
        self.connection.close()
        self.process.join()
        if not could_start and (self.process.exitcode or 0) >= 0:
            raise InputError(
                f"The processes that prepare end with code {self.process.exitcode} as they start. A script must begin "
                "its work under `if __name__ == '__main__':`; workers=0 does without other processes."
            )
        return Loss(reason=_epitaph(self.process.exitcode))


def _epitaph(exit_code: int | None) -> str:
    if exit_code is None or exit_code >= 0:
        return f"its process ended with exit code {exit_code}, twice."
    name = signal.Signals(-exit_code).name
    memory = " The usual reason is want of memory." if name == "SIGKILL" else ""
    return f"its process was killed by {name}, twice, the second time with nothing beside it.{memory}"


def _dismiss(crew: Sequence[_Worker]) -> None:
    """End processes: those that wait go by themselves, the others are told to, and killed if they do not listen."""
    for worker in crew:
        worker.connection.close()
        if worker.busy:
            worker.process.terminate()
    until = time.monotonic() + GRACE_S
    for worker in crew:
        worker.process.join(max(0.0, until - time.monotonic()))
        if worker.process.is_alive():
            worker.process.kill()
            worker.process.join()
        worker.process.close()


@contextmanager
def _one_thread() -> Iterator[None]:
    """Let a process that is started here calculate with one thread: libraries read this when they are loaded."""
    with environment_kept():
        os.environ.update(dict.fromkeys(_THREADS, "1"))
        yield


@contextmanager
def environment_kept() -> Iterator[None]:
    """Leave the environment variables of this process as they were."""
    before = dict(os.environ)
    try:
        yield
    finally:
        for name in os.environ.keys() - before.keys():
            del os.environ[name]
        os.environ.update(before)


def _serve(parent: Connection, work: Callable[[Any], Any]) -> None:
    """Live as a worker: until the parent hangs up, or ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # clear up what is begun
    threading.Thread(target=end_with_parent, daemon=True).start()
    quieten()
    with suppress(EOFError, BrokenPipeError):
        parent.send(_READY)
        while True:
            parent.send(work(parent.recv()))


def quieten() -> None:
    """Keep MNE from printing in this process what stands in the notes; its errors are shown."""
    import mne

    for handler in mne.utils.logger.handlers:
        handler.setLevel(logging.ERROR)


def end_with_parent(grace_s: float = GRACE_S) -> None:
    """Live in a thread of a child: when the parent is gone, stop as on a SIGTERM, or be killed."""
    parent = parent_process()
    assert parent is not None
    connection.wait([parent.sentinel])
    os.kill(os.getpid(), signal.SIGTERM)  # in the main thread, which then clears up
    time.sleep(grace_s)
    os._exit(1)
