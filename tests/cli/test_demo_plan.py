"""The demo is nothing but commands: every one is a right one, and no recording is on two sides."""

from argparse import Namespace
from pathlib import Path

import pytest

from megxl.cli import _parser
from megxl.cli.demo_plan import FULL, QUICK, SHOWN, SNRS, Step, decoders, listener_name, plan, store_of

pytest.importorskip("hydra")

from megxl.training.configuring import compose
from megxl.training.sweep import SCHEMAS, given_by

FOLDERS = [Path("demo"), Path("/data/my demo's [first], a=b"), Path("C:\\demo")]


def parsed(command: tuple[str, ...]) -> Namespace:
    args, unknown = _parser(command[0]).parse_known_args(list(command))
    assert not unknown, unknown
    return args


def configurations(step: Step) -> list:
    composed = []
    for command in step.commands:
        args = parsed(command)
        if command[0] in SCHEMAS:
            schema, given = SCHEMAS[command[0]], given_by(command[0])
            composed.append(compose(args.config_name, args.overrides, schema=schema, given=given))
    return composed


@pytest.mark.parametrize("folder", FOLDERS, ids=str)
def test_every_command_is_understood_and_stays_in_the_folder(folder):
    for step in plan(folder, FULL, Path("own_raw.fif")):
        for config in configurations(step):
            said = config.to_dict()
            assert config.run_dir.is_relative_to(folder.absolute()) or config.run_dir.is_relative_to(folder)
            assert Path(said["data"]["cache_dir"]) in {store_of(folder, snr) for snr in SNRS}


@pytest.mark.parametrize("size", [FULL, QUICK])
def test_steps_come_after_what_they_need(size):
    before: set[str] = set()
    for step in plan(Path("demo"), size):
        assert before.issuperset(step.needs)
        before.add(step.name)
    assert {listener_name(snr) for snr in SNRS} < before and decoders(Path("demo")).keys() < before


@pytest.mark.parametrize("size", [FULL, QUICK])
def test_words_are_decoded_in_recordings_that_nothing_was_trained_on_before(size):
    steps = {step.name: step for step in plan(Path("demo"), size)}
    [codec], [model] = configurations(steps["codec"]), configurations(steps["pretrained"])
    silent = set(codec.to_dict()["datasets_config"][0]["sessions"])
    assert silent == set(model.to_dict()["datasets_config"][0]["sessions"]) and len(silent) == size.sessions - 8
    for name in decoders(Path("demo")):
        [words] = configurations(steps[name])
        sessions = set(words.to_dict()["data"]["all_sessions"])
        assert len(sessions) == 8 and sessions.isdisjoint(silent)
        assert SHOWN.split("_")[1] in sessions


def test_twin_and_control_differ_in_one_thing_alone():
    steps = {step.name: step for step in plan(Path("demo"), FULL)}
    tuned, scratch, noise = (
        set(steps[name].commands[0]) - {f"run=demo/decoders/{name}"} for name in ("fine-tuned", "from-scratch", "noise")
    )
    assert scratch - tuned == {"model.train_from_scratch=true"} and noise - tuned == {"control=noise"}
    assert tuned < scratch and tuned < noise
