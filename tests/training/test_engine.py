"""Whole trainings: what a run holds at its end, how it fails, from where it may begin."""

import json
import shutil
from pathlib import Path

import pytest
import torch

pytest.importorskip("lightning.pytorch")

from megxl.errors import InputError
from megxl.model.megxl import MEGXL
from megxl.training import engine
from megxl.training.engine import pretrain
from megxl.training.runs import Run
from megxl.training.saving import Saver
from tests.training.small_run import differences, make_codec, make_store, small_config

SHORT = {"training__num_epochs": 2, "data__segment_length": 9.0, "checkpoint__every_n_train_steps": 5}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("engine")
    make_store(folder)
    make_codec(folder)
    return folder


@pytest.fixture(scope="module")
def told() -> list[str]:
    return []


@pytest.fixture(scope="module")
def run(folder, told) -> Run:
    return pretrain(small_config(folder, **SHORT, trainer__val_check_interval=100), tell=told.append)


def test_a_finished_run_holds_all_that_it_made(run, folder):
    wanted = {"config.yaml", "environment.json", "status.json", "split.json", "baselines.json", "metrics.csv"}
    assert wanted | {"validation.csv", "checkpoints", "model"} <= {path.name for path in run.path.iterdir()}
    assert Run.open(run.path).config == small_config(folder, **SHORT, trainer__val_check_interval=100)
    assert run.status == {"state": "finished", "step": 16, "epoch": 1}
    split = run.split()
    assert split is not None and len(split["armeni"]["train"]) == 4 and len(split["armeni"]["validation"]) == 1
    said = run.environment()
    assert said["seed"] == 1 and said["torch"] == torch.__version__ and json.dumps(said)
    assert [row["step"] for row in run.metrics()] == [3, 6, 9, 12, 15, 16]


def test_validation_comes_at_the_end_of_epochs_that_are_shorter_than_its_interval(run, told):
    assert [row["step"] for row in run.validation()] == [8, 16]
    assert any("val_check_interval = 100, but an epoch has 8 batches" in note for note in told)


def test_the_end_is_validated_whatever_the_interval(folder, tmp_path):
    changes = {**SHORT, "training__num_epochs": None, "training__max_steps": 7, "trainer__val_check_interval": 5}
    run = pretrain(small_config(folder, **changes, run=str(tmp_path / "run")))
    assert [row["step"] for row in run.validation()] == [5, 7]
    assert run.status["step"] == 7


def test_a_model_learns(run):
    guessers = run.baselines()
    assert guessers is not None
    losses = [row["loss"] for row in run.metrics()]
    assert losses[-1] < losses[0] - 0.2


def test_resuming_a_finished_run_changes_nothing(run, folder, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(run.path, copy)
    pretrain(small_config(folder, **SHORT, trainer__val_check_interval=100, run=str(copy), resume=True))
    assert differences(copy, run.path) == [] and Run.open(copy).status["state"] == "finished"


def test_a_finished_run_goes_on_for_more_epochs(run, folder, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(run.path, copy)
    changes = {**SHORT, "training__num_epochs": 3, "trainer__val_check_interval": 100}
    longer = pretrain(small_config(folder, **changes, run=str(copy), resume=True))
    assert longer.status["step"] == 24 and [row["step"] for row in longer.validation()] == [8, 16, 24]
    assert longer.metrics()[:6] == run.metrics()
    assert MEGXL.from_pretrained(longer.path / "model").provenance["steps"] == 24


def test_a_damaged_newest_checkpoint_is_named_and_the_one_before_leads_on(run, folder, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(run.path, copy)
    for name in ("last.ckpt", "step-00000016.ckpt"):
        path = copy / "checkpoints" / name
        path.write_bytes(path.read_bytes()[:5000])
    settings = {**SHORT, "trainer__val_check_interval": 100, "run": str(copy), "resume": True}
    with pytest.raises(InputError, match=r"step-00000016.ckpt cannot be read"):
        pretrain(small_config(folder, **settings))
    before = str(copy / "checkpoints" / "step-00000015.ckpt")
    named = {"checkpoint__resume": True, "checkpoint__resume_path": before}
    pretrain(small_config(folder, **settings, **named))
    assert differences(copy, run.path) == []


def test_an_error_is_kept_as_the_outcome(folder, tmp_path, monkeypatch):
    def no_space(*_, **__):
        raise InputError("There is no space left.")

    monkeypatch.setattr(Saver, "_save", no_space)
    path = tmp_path / "run"
    with pytest.raises(InputError, match="no space left"):
        pretrain(small_config(folder, **SHORT, run=str(path)))
    assert Run.open(path).status == {"state": "failed", "step": 0, "epoch": 0, "message": "There is no space left."}
    with Run.open(path).lock():
        pass


def test_nothing_is_made_where_the_checks_refuse(folder, tmp_path):
    with pytest.raises(InputError):
        pretrain(small_config(folder, run=str(tmp_path / "run"), model__tokenizer_ckpt=str(tmp_path / "none")))
    assert not (tmp_path / "run").exists()


def test_training_begins_with_the_weights_of_another_model(run, folder, tmp_path):
    config = small_config(folder, **SHORT, run=str(tmp_path / "run"), model__init_from=str(run.path / "model"))
    model = engine._model(config, engine.check_before_work(config))
    start = MEGXL.from_pretrained(run.path / "model")
    assert all(torch.equal(tensor, start.state_dict()[name]) for name, tensor in model.state_dict().items())


def test_weights_follow_the_seed(folder):
    models = []
    for seed in (1, 1, 2):
        config = small_config(folder, seed=seed)
        models.append(engine._model(config, engine.check_before_work(config)).head.weight)
    assert torch.equal(models[0], models[1]) and not torch.equal(models[0], models[2])


def test_the_engine_says_nothing_of_its_own(folder, tmp_path, capfd, recwarn):
    pretrain(small_config(folder, **SHORT, run=str(tmp_path / "run"), training__num_workers=1))
    out, err = capfd.readouterr()
    lines = [line for line in err.splitlines() if not line.startswith(("step ", "guessers'"))]
    assert out == "" and lines == [] and not recwarn.list
