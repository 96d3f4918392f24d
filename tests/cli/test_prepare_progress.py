"""What is said on the way: how far it is by the bytes that were read, and each failure when it happens."""

import time
from pathlib import Path

import pytest

from megxl.cli.prepare_progress import PlainLines, shown_preparation
from megxl.data.preparing import Outcome, Plan, Request, Step
from tests.data.small_corpus import Small, make_small


@pytest.fixture
def plan(tmp_path):
    jobs = Request(corpus=Small(), root=make_small(tmp_path / "root"), store=Path("store")).jobs()
    return Plan(steps=[Step(job=job, reason="absent", n_bytes=n) for job, n in zip(jobs, (100, 300, 600), strict=True)])


def test_the_time_that_remains_goes_by_bytes(plan, capsys, monkeypatch):
    lines, now = PlainLines(), time.perf_counter()
    monkeypatch.setattr(time, "perf_counter", lambda: now)
    lines.planned(plan)
    now += 40
    lines.finished(Outcome(key=plan.steps[1].job.key, kind="made"))
    now += 5
    lines.finished(Outcome(key=plan.steps[0].job.key, kind="failed", reason="it is empty."))
    now += 1
    lines.finished(Outcome(key=plan.steps[2].job.key, kind="made"))
    said = capsys.readouterr().err.splitlines()
    assert said == [
        "0 recordings up to date, 3 to make: absent (3)",
        "prepared: 1 of 3 recordings, about 2 min to go",
        "failed: small/sub-01_task-rest: it is empty.",
        "prepared: 3 of 3 recordings, 1 failed",
    ]


def test_plain_lines_are_shown_where_there_is_no_terminal(capsys):
    with shown_preparation() as watcher:
        watcher.waits(["a/b", "a/c", "a/d"])
    assert capsys.readouterr().err == "waiting for another process, which is making a/b and 2 more\n"
