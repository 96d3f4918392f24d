"""Two preparers on one store, killed at random moments: the store stays valid, and the next run completes it."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from megxl.data.preparing import Request, prepare_corpus
from megxl.store.store import Store
from tests.data.small_corpus import Small, bytes_of, make_small

N_RECORDINGS = 24
N_KILLS = int(os.environ.get("MEGXL_KILLS", "8"))


def contents(store: Path) -> dict[str, object]:
    """What entries hold, but for the times of files in their fingerprints."""
    return {name: content for name, content in bytes_of(store).items() if ".lock" not in name}


@pytest.mark.slow
def test_killed_at_any_moment_two_preparers_leave_a_valid_store_and_the_next_run_completes_it(tmp_path):
    root, rng = make_small(tmp_path / "root", subjects=N_RECORDINGS, seconds=4.0), random.Random(0)
    undisturbed = prepare_corpus(Request(corpus=Small(), root=root, store=tmp_path / "undisturbed", workers=0))
    assert undisturbed.complete
    place = tmp_path / "store"
    command = [sys.executable, "-m", "megxl", "prepare", "tests.data.small_corpus:Small", root, "--store", place]
    complete: dict[str, str] = {}
    in_the_middle = 0
    for _ in range(N_KILLS):
        if N_RECORDINGS - len(complete) < 8:  # there must be something to be killed at
            for key in rng.sample(sorted(complete), 16):
                Store(place).remove(key)
                del complete[key]
        pair = [subprocess.Popen([*command, "--workers", "1"], **quiet()) for _ in "ab"]
        # the moment is told in work done, not in seconds: machines differ, and starting up takes most of the time
        moment = commits(place) + rng.randint(1, (N_RECORDINGS - len(complete)) // 2)
        until = time.monotonic() + 60
        while commits(place) < moment and all(p.poll() is None for p in pair) and time.monotonic() < until:
            time.sleep(0.001)
        time.sleep(rng.uniform(0.0, 0.02))
        for process in pair:
            os.killpg(process.pid, signal.SIGKILL)  # with its workers, as a batch system does
        for process in pair:
            process.wait()
        store = Store(place)
        assert store.verify() == {}
        now = {recording.key: recording.signal_sha256 for recording in store.recordings()}
        assert complete.items() <= now.items()  # nothing is lost
        complete = now
        in_the_middle += len(now) < N_RECORDINGS
    assert in_the_middle > N_KILLS // 2  # else nothing was tried
    assert subprocess.run(command, **quiet()).returncode == 0
    assert contents(place) == contents(tmp_path / "undisturbed")
    assert not [path for path in place.rglob("*") if "partial" in path.name]


@pytest.mark.slow
def test_a_killed_parent_leaves_no_worker_and_no_lock(tmp_path):
    root, place = make_small(tmp_path / "root", subjects=12, seconds=4.0), tmp_path / "store"
    command = [sys.executable, "-m", "megxl", "prepare", "tests.data.small_corpus:Small", root, "--store", place]
    for _ in range(3):
        parent = subprocess.Popen([*command, "--workers", "2"], **quiet())
        before, until = commits(place), time.monotonic() + 60
        while commits(place) == before and time.monotonic() < until:
            time.sleep(0.005)
        workers = children(parent.pid)
        parent.kill()
        parent.wait()
        assert len(workers) >= 2
        while any(Path(f"/proc/{worker}").exists() for worker in workers):
            assert time.monotonic() < until
            time.sleep(0.02)
        assert Store(place).verify() == {}
        Store(place).remove(Store(place).keys()[0])
    assert subprocess.run(command, **quiet()).returncode == 0 and len(Store(place)) == 12


def quiet() -> dict:
    return {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "process_group": 0}


def commits(place: Path) -> int:
    """How many entries there are or are being written."""
    return len(list(place.glob("small/*/*"))) + len(list(place.glob("small/*/.*")))


def children(process: int) -> list[int]:
    return [int(number) for number in Path(f"/proc/{process}/task/{process}/children").read_text().split()]
