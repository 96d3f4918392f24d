"""`megxl pretrain`: its help, what it refuses before any work, and a real training."""

import re
import signal
import subprocess
import time

import pytest
import yaml

from megxl.cli import main
from megxl.cli.pretrain import _EXAMPLES
from megxl.training.config import PretrainConfig
from megxl.training.configuring import compose
from megxl.training.runs import Run
from tests.training.small_run import command, environment, make_codec, make_store, pretrain_here, write_config

PUBLISHED = "train_criss_cross_multi_50hz_med"


def test_without_arguments_it_prints_its_help(capsys):
    assert main(["pretrain"]) == 0
    said = capsys.readouterr().out
    assert "usage: megxl pretrain" in said and "examples:" in said and "resume=true" in said


COMPLETE = [line for line in _EXAMPLES.splitlines() if "megxl" in line and not re.search(r"\.\.\.|mine| -m ", line)]


@pytest.mark.parametrize("line", COMPLETE)
def test_the_examples_of_the_help_compose(line):
    words = [word for word in line.split("    ")[0].split()[2:] if "=" in word]
    flat = compose("pretrain", words).to_dict()
    for key, value in (word.split("=", 1) for word in words if word.startswith(("run=", "resume=", "seed="))):
        assert str(flat[key]).lower() == value  # it was taken, not passed over


def test_the_configuration_is_printed_as_hydra_would_and_reads_back(capsys):
    assert main(["pretrain", "seed=3", "--cfg", "job", "model=tiny"]) == 0
    printed = PretrainConfig.from_dict(yaml.safe_load(capsys.readouterr().out))
    assert printed == compose("pretrain", ["seed=3", "model=tiny"])
    assert main(["pretrain", "--config-name", PUBLISHED, "-c"]) == 0
    assert "/path/to/armeni" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words",
    [
        ["seed=3", "--config-name", PUBLISHED, "model=tiny"],
        ["--config-name=" + PUBLISHED, "seed=3", "model=tiny"],
        ["seed=3", "model=tiny", "-cn", PUBLISHED],
    ],
)
def test_overrides_may_stand_before_between_and_after_options(words, capsys):
    assert main(["pretrain", *words, "--cfg"]) == 0
    printed = PretrainConfig.from_dict(yaml.safe_load(capsys.readouterr().out))
    assert printed == compose(PUBLISHED, ["seed=3", "model=tiny"], complete=False)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["training.learning_rat=1"], "There is no key training.learning_rat; did you mean training.learning_rate?"),
        (["--config-name", PUBLISHED, "seed=1"], "datasets_config.0.data_root = '/path/to/smn4lang' is a placeholder"),
        (["--config-name", "nothing"], "There is no configuration 'nothing'"),
        (["--config", "nothing.yaml"], "There is no configuration 'nothing.yaml'"),
        (["seed=1,2"], "several values; give -m"),
        (["-m", "seed=1"], "no key has several values"),
        (["--epochs=3"], "unrecognized arguments: --epochs=3"),
        (["--config", "a.yaml", "--config-name", "pretrain"], "not allowed with argument"),
    ],
)
def test_mistakes_end_with_a_sentence_and_exit_code_2(words, said, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["pretrain", *words]) == 2
    shown = capsys.readouterr()
    assert said in shown.err and "Traceback" not in shown.err and not shown.out
    assert not list(tmp_path.iterdir())


@pytest.fixture
def folder(tmp_path):
    make_store(tmp_path, subjects=3, seconds=20.0)
    make_codec(tmp_path)
    write_config(tmp_path, training__warmup_steps=0)
    return tmp_path


@pytest.mark.slow
def test_a_training_leaves_a_run_and_says_where_it_is(folder, capsys):
    assert pretrain_here(folder, "training.max_steps=3") == 0
    said = capsys.readouterr().out
    run = Run.open(folder / "run")
    assert run.status["state"] == "finished" and run.status["step"] == 3
    assert "steps            3" in said and str(folder / "run" / "report.html") in said
    guessed = min((run.baselines() or {})[name]["loss"] for name in ("unigram", "last_token"))
    assert f"{run.validation()[-1]['loss']:.4f} (the better guesser: {guessed:.4f})" in said
    assert (folder / "run" / "report.html").is_file() and (folder / "run" / "model").is_dir()
    assert pretrain_here(folder, "training.max_steps=3") == 2 and "exists already" in capsys.readouterr().err


@pytest.mark.slow
def test_sigusr1_stops_it_with_its_own_exit_code_and_a_sentence(folder):
    process = subprocess.Popen(command(folder, "training.max_steps=3000"), env=environment(), cwd=folder,
                               stderr=subprocess.PIPE, text=True)  # fmt: skip
    deadline = time.monotonic() + 120
    while not (Run.exists(folder / "run") and Run.open(folder / "run").status["step"] > 0):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.2)
    process.send_signal(signal.SIGUSR1)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGUSR1 and "resume=true" in said.splitlines()[-1]
    assert Run.open(folder / "run").status["state"] == "stopped"
