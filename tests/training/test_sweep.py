"""Sweeps: which runs there are, that they are checked before the first one, and real ones that stop and go on."""

import csv
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from megxl.errors import InputError
from megxl.training.runs import Run
from megxl.training.sweep import Sweep, seconds_of_recording
from tests.training.small_run import command, environment, make_codec, make_store, pretrain_here, write_config

FEW = ["corpora=simulated", "model=tiny"]


def swept(*overrides: str, name="pretrain") -> Sweep:
    return Sweep.of(name, [*FEW, *overrides])


def table(folder: Path) -> list[dict[str, str]]:
    with (folder / "sweep.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_there_is_one_run_for_each_combination_in_the_order_of_the_keys(tmp_path):
    made = swept("data.segment_length=5,30", "seed=1,2,3", f"run={tmp_path}/s", "training.max_steps=7")
    found = [
        (one.config.data.segment_length, one.config.seed, one.config.training.max_steps) for one in made.combinations
    ]
    assert found == [(5, 1, 7), (5, 2, 7), (5, 3, 7), (30, 1, 7), (30, 2, 7), (30, 3, 7)]
    assert made.combinations[4].folder == tmp_path / "s" / "4_data.segment_length=30,seed=2"
    assert len({one.folder for one in made.combinations}) == 6


def test_groups_lists_ranges_and_quoted_values_are_values_too(tmp_path):
    words = ["corpora=camcan,omega", "model=tiny,small", "seed=range(1,3)", f"run={tmp_path}/s"]
    made = Sweep.of("pretrain", words)
    configs = [one.config for one in made.combinations[:4]]
    assert [(config.datasets_config[0].type, config.model.num_layers, config.seed) for config in configs] == [
        ("camcan", 2, 1), ("camcan", 2, 2), ("camcan", 4, 1), ("camcan", 4, 2)
    ]  # fmt: skip
    made = swept("trainer.devices=[0,1],[2]", "logging.wandb_entity='a, b',c", f"run={tmp_path}/s")
    assert [(one.config.trainer.devices, one.config.logging.wandb_entity) for one in made.combinations] == [
        ((0, 1), "a, b"), ((0, 1), "c"), ((2,), "a, b"), ((2,), "c")
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["seed=1"], "no key has several values"),
        (["seed=1,2", "run=a,b"], "run=a,b: a sweep has one run for all its runs."),
        (["seed=1,2", "resume=true,false"], "a sweep has one resume"),
        (["seed=interval(1,2)"], "give the values one by one"),
        (["seed=shuffle(1,2)"], "give the values one by one"),
        (["model.latent_dim=glob(*)"], "give the values one by one"),
        (["seed=1,x"], "seed = 'x'; allowed: a whole number."),
        (["training.batch_seconds=300", "data.segment_length=5,30,70"], "is no multiple of data.segment_length = 70"),
        (["training.lr=1,2"], "There is no key training.lr"),
        (["seed=range(0,2000)"], "-m: 2000 combinations; allowed: at most 1000"),
    ],
)
def test_all_combinations_are_checked_before_the_first_one_runs(overrides, said, tmp_path):
    place = [] if any("run=" in text for text in overrides) else [f"run={tmp_path}/s"]
    with pytest.raises(InputError) as error:
        swept(*place, *overrides)
    assert said in str(error.value) and not list(tmp_path.iterdir())


def test_a_launcher_of_several_processes_may_not_start_a_sweep(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(InputError, match="start it without torchrun or srun"):
        swept("seed=1,2")


def test_seconds_of_recording_are_those_of_all_windows_of_all_devices(tmp_path):
    several = "seed=1,2 training.max_steps=10 training.batch_size=3 data.segment_length=30 trainer.num_nodes=5"
    one = swept(*several.split(), "trainer.accumulate_grad_batches=4", "trainer.devices=[0,1]").combinations[0]
    seen = sum(30.0 for _ in range(10) for _ in range(4) for _ in range(3) for _ in range(2 * 5))
    assert seconds_of_recording(one.config) == seen
    assert seconds_of_recording(swept("seed=1,2").combinations[0].config) is None


def test_equal_data_needs_no_note_and_unequal_data_has_one():
    lengths = "data.segment_length=5,30,100,150"
    assert swept(lengths, "training.max_steps=10", "training.batch_seconds=300").notes == []
    assert "0.0139 to 0.417 h" in swept(lengths, "training.max_steps=10").notes[0]
    assert "of up to 150 s" in swept(lengths).notes[0]
    assert swept("seed=1,2").notes == []


@pytest.fixture
def folder(tmp_path):
    make_store(tmp_path, subjects=3, seconds=20.0)
    make_codec(tmp_path)
    write_config(tmp_path, training__warmup_steps=0, checkpoint__every_n_train_steps=2)
    return tmp_path


@pytest.mark.slow
def test_a_sweep_trains_each_run_and_leaves_out_finished_ones_when_it_goes_on(folder, capsys, monkeypatch):
    monkeypatch.chdir(folder)
    words = ("-m", "training.max_steps=2,3", 'run="it\'s here"')
    assert pretrain_here(folder, *words) == 0
    runs = [folder / "it's here" / f"{n}_training.max_steps={n + 2}" for n in (0, 1)]
    rows = table(folder / "it's here")
    assert [(row["training.max_steps"], row["state"], row["step"]) for row in rows] == [
        ("2", "finished", "2"), ("3", "finished", "3")
    ]  # fmt: skip
    for row, run in zip(rows, runs, strict=True):
        assert float(row["validation_loss"]) == Run.open(run).validation()[-1]["loss"]
        assert float(row["seconds_of_recording"]) == int(row["step"]) * 2 * 6.0
    assert "see different amounts of recording" in capsys.readouterr().err

    assert pretrain_here(folder, *words) == 2
    assert "exists already. Go on with the sweep (resume=auto)" in capsys.readouterr().err
    weights = (runs[0] / "model" / "model.safetensors").stat().st_mtime_ns
    assert pretrain_here(folder, *words, "resume=auto") == 0
    assert capsys.readouterr().err.count("finished already") == 2
    assert (runs[0] / "model" / "model.safetensors").stat().st_mtime_ns == weights


@pytest.mark.slow
def test_a_run_that_fails_does_not_end_the_sweep(folder, monkeypatch):
    monkeypatch.chdir(folder)
    # the first value passes all checks of the configuration and fails at the check of masks against windows
    assert pretrain_here(folder, "-m", "model.num_subsegments_to_mask=5,1", "training.max_steps=1", "run=s") == 1
    assert [row["state"] for row in table(folder / "s")] == ["not begun", "finished"]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_run_under_way_and_the_sweep_goes_on_later(folder, number):
    words = ("-m", "training.max_steps=3,3000", "run=s")
    process = subprocess.Popen(
        command(folder, *words), env=environment(), cwd=folder, stderr=subprocess.PIPE, text=True
    )
    second = folder / "s" / "1_training.max_steps=3000"
    deadline = time.monotonic() + 120
    while not (Run.exists(second) and Run.open(second).status["step"] > 0):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.2)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 128 + number and "resume=true" in said
    assert [row["state"] for row in table(folder / "s")] == ["finished", "stopped"]
    stopped = Run.open(second).status["step"]
    assert 0 < stopped < 3000
    assert not _processes_of(second)


def _processes_of(run: Path) -> list[int]:
    """Processes below the folder of the sweep whose command line names a run."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words, place = entry.read_bytes(), entry.with_name("cwd").readlink()
        except OSError:  # it has ended meanwhile
            continue
        # the same test may run elsewhere on the machine
        if os.fsencode(run.name) in words and run.is_relative_to(place) and entry.parent.name != str(os.getpid()):
            found.append(int(entry.parent.name))
    return found
