"""Work in other processes: all of it is done, a killed process costs one task at most, and nobody is left behind."""

import os
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from megxl.data.preparing.pool import Loss, run_in_processes
from megxl.errors import InputError


def square(number: int) -> tuple[int, int]:
    return number**2, os.getpid()


def kill_oneself_once(place: Path) -> str:
    if place.name == "fatal" or (place.name == "once" and not place.exists()):
        place.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return place.name


class DiesAtTheFirstStart:
    """Work whose first process is killed before it is ready."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __setstate__(self, state: dict) -> None:
        vars(self).update(state)
        if not self.place.exists():
            self.place.touch()
            os.kill(os.getpid(), signal.SIGKILL)

    def __call__(self, number: int) -> int:
        return -number


def live_long(place: Path) -> None:
    try:
        place.write_text(str(os.getpid()))
        time.sleep(60)
    finally:
        place.with_suffix(".cleared").touch()


def threads(_: int) -> tuple[int, str]:
    import torch

    return torch.get_num_threads(), os.environ["OPENBLAS_NUM_THREADS"]


def until(condition, seconds: float = 20.0) -> None:
    started = time.monotonic()
    while not condition():
        assert time.monotonic() - started < seconds, "waited in vain"
        time.sleep(0.02)


def runs(process: int) -> bool:
    status = Path(f"/proc/{process}/status")
    return status.exists() and "State:\tZ" not in status.read_text()


def test_each_task_is_done_once_by_as_many_processes_as_asked_for():
    results = dict(run_in_processes(square, range(9), 2))
    assert {task: result[0] for task, result in results.items()} == {n: n * n for n in range(9)}
    assert len({result[1] for result in results.values()} - {os.getpid()}) == 2


def test_a_killed_process_costs_nothing_and_one_that_always_dies_is_named(tmp_path):
    tasks = [tmp_path / name for name in ("a", "fatal", "b", "once", "c", "d")]
    results = {task.name: result for task, result in run_in_processes(kill_oneself_once, tasks, 2)}
    death = results.pop("fatal")
    assert results == {name: name for name in ("a", "b", "once", "c", "d")}
    assert isinstance(death, Loss) and "killed by SIGKILL, twice" in death.reason


@pytest.mark.parametrize("workers", [1, 2])
def test_a_process_that_is_killed_as_it_starts_costs_nothing(tmp_path, workers):
    results = dict(run_in_processes(DiesAtTheFirstStart(tmp_path / "killed"), [1, 2, 3], workers))
    assert results == {1: -1, 2: -2, 3: -3} and (tmp_path / "killed").exists()


def test_who_stops_early_ends_the_processes_and_lets_them_clear_up(tmp_path):
    results = run_in_processes(live_long, [tmp_path / "a", tmp_path / "b"], 2)
    with closing(results), pytest.raises(KeyboardInterrupt):
        before = signal.getsignal(signal.SIGALRM)
        signal.signal(signal.SIGALRM, signal.default_int_handler)
        signal.alarm(4)
        try:
            next(results)
        finally:
            signal.alarm(0)
            signal.signal(signal.SIGALRM, before)
    begun = [tmp_path / name for name in ("a", "b") if (tmp_path / name).exists()]
    assert begun and all(place.with_suffix(".cleared").exists() for place in begun)
    assert not any(runs(int(place.read_text())) for place in begun)


def test_processes_end_with_a_parent_that_is_killed(tmp_path):
    script = (
        "from pathlib import Path\nfrom megxl.data.preparing.pool import run_in_processes\n"
        "from tests.data.test_preparing_pool import live_long\n"
        f"if __name__ == '__main__': list(run_in_processes(live_long, [Path({str(tmp_path / 'a')!r})], 1))"
    )
    (tmp_path / "script.py").write_text(script)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    parent = subprocess.Popen([sys.executable, tmp_path / "script.py"], env=environment)
    until(lambda: (tmp_path / "a").exists() and (tmp_path / "a").read_text())
    worker = int((tmp_path / "a").read_text())
    parent.kill()
    parent.wait()
    until(lambda: not runs(worker))
    assert (tmp_path / "a.cleared").exists()


def test_a_script_without_guard_is_told_what_is_missing(tmp_path):
    (tmp_path / "script.py").write_text(
        "from megxl.data.preparing.pool import run_in_processes\n"
        "from tests.data.test_preparing_pool import square\nlist(run_in_processes(square, [1], 1))"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, tmp_path / "script.py"], env=environment, capture_output=True, text=True)
    assert done.returncode and InputError.__name__ in done.stderr and "if __name__ == '__main__':" in done.stderr


def test_each_process_calculates_with_one_thread_and_the_parent_as_before(monkeypatch):
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "7")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert [result for _, result in run_in_processes(threads, [0], 1)] == [(1, "1")]
    assert os.environ["OPENBLAS_NUM_THREADS"] == "7" and "OMP_NUM_THREADS" not in os.environ
