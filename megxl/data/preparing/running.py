"""A whole corpus into a store: `prepare_corpus` plans, has recordings made in parallel, waits for others, sums up."""

import os
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path

from megxl.data.preparing.cluster import run_on_cluster
from megxl.data.preparing.plan import Plan, plan
from megxl.data.preparing.pool import Loss, run_in_processes
from megxl.data.preparing.request import Request
from megxl.data.preparing.result import Result
from megxl.data.preparing.summary import counted, take_stock
from megxl.data.preparing.task import Job, Outcome, make_recording
from megxl.errors import InputError
from megxl.store.entry import StoredRecording
from megxl.store.keys import Busy, Damaged
from megxl.store.store import Store

_POLL_S = 0.5


class Watcher:
    """Is told how a preparation goes; shows nothing by itself."""

    def looked_at(self, done: int, total: int) -> None:
        """Know how many recordings have been compared with the store."""

    def planned(self, plan: Plan) -> None:
        """Know what there is to do."""

    def finished(self, outcome: Outcome) -> None:
        """Know what became of a recording."""

    def waits(self, keys: Sequence[str]) -> None:
        """Know that nothing is left to do but what other processes are doing."""


def plan_corpus(request: Request, watcher: Watcher | None = None) -> Plan:
    """Say what `prepare_corpus` would do; nothing is written."""
    jobs = request.jobs()
    store = Store(request.store) if Path(request.store).exists() and any(Path(request.store).iterdir()) else None
    return _planned(request, jobs, store, watcher or Watcher())


def prepare_corpus(request: Request, watcher: Watcher | None = None) -> Result:
    """Bring a store up to date with a corpus: what is there is left alone, what is missing or has changed is made.

    It can be stopped at any moment, run again, and run several times at once on one store.

    Parameters
    ----------
    request : Request
        What and how.
    watcher : Watcher, optional
        Is told how it goes.

    Returns
    -------
    Result
        Recordings that could not be made are named there with the reason; the others are done.

    Raises
    ------
    InputError
        Nothing to prepare, no such selection, a store that cannot be made or written to.
    """
    watcher, started = watcher or Watcher(), time.perf_counter()
    jobs = request.jobs()
    store = Store.create(request.store)
    if not os.access(store.path, os.W_OK | os.X_OK):
        raise InputError(f"{request.store}: the store cannot be written to; choose another, or change its permissions.")
    todo = _planned(request, jobs, store, watcher)
    watcher.planned(todo)
    outcomes = []
    with closing(_outcomes([step.job for step in todo.steps], request, store, watcher)) as results:
        for outcome in results:
            outcomes.append(outcome)
            watcher.finished(outcome)
            if outcome.useless_to_go_on:
                done = counted(_count_made(outcomes), "recording")
                told = f"{outcome.key}: {outcome.reason} Done before: {done}; mend it and run the same again."
                raise InputError(told)
    return _summed_up(store, jobs, todo, outcomes, time.perf_counter() - started)


def _planned(request: Request, jobs: Sequence[Job], store: Store | None, watcher: Watcher) -> Plan:
    done = 0

    def advance(n: int) -> None:
        nonlocal done
        done += n
        watcher.looked_at(done, len(jobs))

    return plan(jobs, store, limit=request.limit, advance=advance)


def _outcomes(jobs: Sequence[Job], request: Request, store: Store, watcher: Watcher) -> Generator[Outcome, None, None]:
    """Have jobs done until none is in the hands of another process."""
    while jobs:
        others: list[Job] = []
        with closing(_results(jobs, request)) as results:
            for job, result in results:
                if isinstance(result, Loss):
                    yield Outcome(key=job.key, kind="failed", reason=result.reason)
                elif result.kind == "busy":
                    others.append(job)
                else:
                    yield result
        if others:
            watcher.waits([job.key for job in others])
            _wait_for(others, store)
        jobs = others


def _results(jobs: Sequence[Job], request: Request) -> Generator[tuple[Job, Outcome | Loss], None, None]:
    workers = min(len(jobs), _processors() if request.workers is None else request.workers)
    if request.dask is not None:
        return run_on_cluster(make_recording, jobs, request.dask, max(1, workers))
    if workers == 0:
        return ((job, make_recording(job)) for job in jobs)
    return run_in_processes(make_recording, jobs, workers)


def _processors() -> int:
    # what this process may use, not what the machine has: batch systems and containers give a part
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _wait_for(jobs: Sequence[Job], store: Store) -> None:
    """Wait until at least one of the recordings is no longer being written."""
    while True:
        for job in jobs:
            with suppress(Busy), store.writing(job.key):
                return
        time.sleep(_POLL_S)


def _summed_up(store: Store, jobs: Sequence[Job], todo: Plan, outcomes: list[Outcome], seconds: float) -> Result:
    made = {outcome.key for outcome in outcomes if outcome.kind == "made"}
    done = {outcome.key for outcome in outcomes if outcome.kind != "failed"}
    undone = {step.job.key: step.reason for step in todo.steps if step.job.key not in done} | todo.waiting
    keys, outdated, made_s, damaged = [], {}, 0.0, dict(todo.damaged)
    damaged |= {key: why.partition(": ")[2] for key, why in undone.items() if why.startswith("damaged")}

    def stored() -> Iterator[StoredRecording]:
        nonlocal made_s
        for key in (job.key for job in jobs if job.key in store and job.key not in damaged):
            try:
                recording = store.recording(key)
            except Damaged as damage:
                damaged[key] = damage.reason
                continue
            if key in undone:
                outdated[key] = undone[key]
                continue
            keys.append(key)
            made_s += recording.duration_s if key in made else 0.0
            yield recording

    holdings = take_stock(stored())
    return Result(
        plan=todo,
        outcomes=outcomes,
        holdings=holdings,
        damaged=damaged,
        made_s=made_s,
        seconds=seconds,
        keys=keys,
        outdated=outdated,
    )


def _count_made(outcomes: Iterable[Outcome]) -> int:
    return sum(outcome.kind == "made" for outcome in outcomes)
