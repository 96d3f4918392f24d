"""Steps are done once, in order, as far as there is room; what fails says why and stops the rest."""

import json
from pathlib import Path

import pytest

from megxl.cli.demo_crew import _last_line, _startable, carry_out, is_done, log_of, record
from megxl.cli.demo_plan import Step
from megxl.errors import InputError


class Told:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.begun, self.ended, self.lines = list[str](), list[str](), list[str]()

    def begin(self, step: Step) -> None:
        self.begun.append(step.name)

    def news(self, step: Step, line: str) -> None:
        self.lines.append(line)

    def end(self, step: Step, seconds: float) -> None:
        assert seconds > 0
        self.ended.append(step.name)


def simulate(folder: Path, name: str, *needs: str, minutes: str = "0.1", alone: bool = False) -> Step:
    command = ("simulate", str(folder / name), "--corpus", "recipe", "--minutes", minutes, "--overwrite")
    return Step(name=name, title=f"{name} is made", commands=(command,), needs=needs, alone=alone)


def names(steps) -> list[str]:
    return [step.name for step in steps]


@pytest.mark.parametrize(
    ("waiting", "running", "done", "lanes", "start"),
    [
        ("abc", "", "", 2, "ab"),
        ("abc", "d", "", 2, "a"),
        ("abc", "de", "", 2, ""),
        ("Abc", "", "", 2, "A"),
        ("Abc", "d", "", 2, "b"),
        ("abc", "D", "", 2, ""),
        ("aBc", "", "", 2, "ac"),
        ("xab", "", "", 2, "ab"),
        ("xab", "", "y", 2, "xa"),
        ("Ab", "", "", 1, "A"),
    ],
)
def test_what_begins_next(waiting, running, done, lanes, start):
    def step(letter: str) -> Step:  # a capital works alone; x needs y
        needs = ("y",) if letter == "x" else ()
        return Step(name=letter, title="", commands=(), needs=needs, alone=letter.isupper())

    begun = _startable(list(map(step, waiting)), list(map(step, running)), set(done), lanes)
    assert "".join(names(begun)) == start


@pytest.mark.slow
def test_steps_are_done_once_and_again_where_their_commands_change(tmp_path):
    steps = [simulate(tmp_path, "one"), simulate(tmp_path, "two", "one"), simulate(tmp_path, "three", "one")]
    told = Told()
    carry_out(steps, tmp_path / "steps", told, 2)
    assert told.begun[0] == told.ended[0] == "one" and set(told.ended) == {"one", "two", "three"}
    assert all((tmp_path / name / "ground_truth").is_dir() for name in told.ended)
    kept = record("two", tmp_path / "steps")
    assert kept is not None and (kept.peak_bytes or 1e9) > 1e7
    log = log_of(steps[1], tmp_path / "steps").read_text()
    assert log.startswith("$ megxl simulate ") and "1 (0.00 h, 306 sensors)" in log
    told = Told()
    carry_out([*steps[:2], simulate(tmp_path, "three", minutes="0.2")], tmp_path / "steps", told, 2)
    assert told.begun == ["three"]


@pytest.mark.slow
def test_a_step_that_fails_says_why_and_stops_the_rest(tmp_path):
    command = ("info", str(tmp_path / "nothing.fif"))
    bad = Step(name="bad", title="something goes wrong", commands=(command,), needs=("good",))
    long = simulate(tmp_path, "long", minutes="1400")
    endless = Step(name=long.name, title=long.title, commands=(long.commands[0],) * 40)
    steps = [simulate(tmp_path, "good"), bad, endless, simulate(tmp_path, "later", "bad")]
    with pytest.raises(InputError, match=r"'something goes wrong' failed with exit code 2: .*nothing\.fif") as caught:
        carry_out(steps, tmp_path / "steps", Told(), 3)
    assert str(log_of(bad, tmp_path / "steps")) in str(caught.value)
    assert [is_done(step, tmp_path / "steps") for step in steps] == [True, False, False, False]
    assert not (tmp_path / "later").exists() and not list(tmp_path.glob(".*partial"))


def test_a_record_of_other_commands_does_not_count(tmp_path):
    step = simulate(tmp_path, "one")
    kept = {"commands": [list(step.commands[0])], "seconds": 1.0, "peak_bytes": None}
    (tmp_path / "one.json").write_text(json.dumps(kept))
    assert is_done(step, tmp_path)
    assert not is_done(simulate(tmp_path, "one", minutes="0.2"), tmp_path)


def test_only_what_the_newest_command_says_is_news(tmp_path):
    log = tmp_path / "one.log"
    assert _last_line(log) == ""
    log.write_text("$ megxl info a\nmegxl: stopped\n$ megxl info b\n")
    assert _last_line(log) == ""
    log.write_text(log.read_text() + "step 1\nmegxl: error: there is no b.\n\n")
    assert _last_line(log) == "there is no b."
