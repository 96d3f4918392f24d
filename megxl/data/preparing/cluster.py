"""The same work on many machines: tasks for a Dask cluster, or for processes that Dask starts on this one."""

import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack
from typing import Any

from megxl.data.preparing.pool import Loss, environment_kept, quieten
from megxl.errors import InputError

_one_at_a_time = threading.Lock()
"""Warnings of MNE are collected by process, not by thread, so a worker of many threads does one recording at a time."""


def run_on_cluster(
    work: Callable[[Any], Any], tasks: Sequence[Any], address: str, workers: int
) -> Generator[tuple[Any, "Any | Loss"], None, None]:
    """Do tasks on a Dask cluster and hand out their results as they come; close the iterator to stop.

    Parameters
    ----------
    work, tasks
        As in `megxl.data.preparing.pool.run_in_processes`; files must have the same paths on all machines.
    address : str
        Of the scheduler (``tcp://host:8786``, or a file in .json that it wrote); ``local``: processes of this machine.
    workers : int
        How many processes, if they are local.

    Raises
    ------
    InputError
        Dask is not installed, or nobody answers at the address.
    """
    try:
        from dask.distributed import as_completed
    except ModuleNotFoundError as error:
        raise InputError("--dask needs dask.distributed: pip install 'megxl[cluster]'.") from error
    with ExitStack() as stack:
        client = _client(stack, address, workers)
        task_of = {client.submit(_work_alone, work, task, pure=False): task for task in tasks}
        try:
            for future in as_completed(list(task_of)):
                error = future.exception()
                result = future.result() if error is None else Loss(reason=f"{type(error).__name__}: {error}")
                yield task_of[future], result
                future.release()
        finally:
            client.cancel(list(task_of))


def _client(stack: ExitStack, address: str, workers: int) -> Any:
    from dask.distributed import Client, LocalCluster

    if address == "local":
        # Dask sets the number of threads of its workers in this process, too, and of all that it starts later
        stack.enter_context(environment_kept())
        how: dict[str, Any] = {"n_workers": workers, "threads_per_worker": 1, "dashboard_address": None}
        return stack.enter_context(Client(stack.enter_context(LocalCluster(processes=True, **how))))
    where: dict[str, Any] = {"scheduler_file": address} if address.endswith(".json") else {"address": address}
    try:
        return stack.enter_context(Client(**where))
    except (OSError, TimeoutError, ValueError) as error:
        raise InputError(f"--dask {address}: no Dask scheduler answers there ({error}).") from error


def _work_alone(work: Callable[[Any], Any], task: Any) -> Any:
    with _one_at_a_time:
        quieten()
        return work(task)
