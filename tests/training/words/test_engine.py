"""Whole runs: what they hold at their end, that they learn what is in the signal and nothing else, how they fail."""

import json
import os
import shutil
import signal
from pathlib import Path

import pytest

pytest.importorskip("lightning.pytorch")
pytest.importorskip("wordllama")

import torch

from megxl.decoding.decoder_files import read_decoder
from megxl.decoding.predictions import read_predictions
from megxl.errors import InputError
from megxl.model.megxl import MEGXL
from megxl.training.runs import Run
from megxl.training.stopping import Stopped
from megxl.training.words import engine
from megxl.training.words.engine import decode_words
from megxl.training.words.module import WordsModule
from tests.training.words.small_words import make_backbone, make_word_store, words_config

QUICK = {"logging__tensorboard": False}
PROBE = {"command": "probe", "training__probe_lr": 1e-2, "model__head": "mlp", **QUICK}


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("engine")
    make_backbone(folder)
    return make_word_store(folder)


@pytest.fixture(scope="module")
def run(store) -> Run:
    return decode_words(words_config(store, **PROBE, training__num_epochs=3))


def test_a_finished_run_holds_all_that_it_made(run):
    wanted = {"config.yaml", "environment.json", "status.json", "split.json", "metrics.csv", "validation.csv"}
    wanted |= {"checkpoints", "model", "predictions", "results.json"}
    assert wanted <= {path.name for path in run.path.iterdir()}
    assert run.status == {"state": "finished", "step": 63, "epoch": 2}
    assert [path.name for path in run.checkpoints.iterdir()] == ["last.ckpt"]
    rows = run.validation()
    assert [row["step"] for row in rows] == [21, 42, 63] and rows[0]["selected"] == 1
    told = run.results()
    assert told["about"]["protocol"] == "strict" and told["about"]["hours"]["train"] > 0
    assert json.dumps(told)


def test_the_best_epoch_is_kept_and_its_predictions_are_those_of_the_kept_decoder(run):
    name, rows = run.results()["about"]["selection_metric"], run.validation()
    best = max(rows, key=lambda row: (row["selected"], row["step"]))
    chosen = read_decoder(run.path / "model").about["chosen"]
    assert chosen["epoch"] == best["epoch"] and chosen["value"] == best[name]
    rows = [row for row in rows if row["step"] <= best["step"]]
    assert best[name] == max(row[name] for row in rows), "the first validation is always better than none"
    assert run.results()["validation"]["metrics"][name]["value"] == pytest.approx(best[name], abs=1e-9)


def test_predictions_are_in_the_order_of_the_files(run):
    for part in ("validation", "test"):
        told = read_predictions(run.path / "predictions" / part)
        split = json.loads((run.path / "split.json").read_text())[part]
        groups = [f"{key}#{number}" for key, numbers in split.items() for number in numbers]
        assert list(dict.fromkeys(told.occurrences.groups)) == groups
        assert told.counts is not None and len(told.vocabulary) == len(told.counts)


def test_resuming_a_finished_run_changes_nothing(run, store, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(run.path, copy)
    decode_words(words_config(store, **PROBE, training__num_epochs=3, run=str(copy), resume=True))
    for name in ("validation.csv", "metrics.csv", "results.json", "model/head.safetensors"):
        assert (copy / name).read_bytes() == (run.path / name).read_bytes()


def test_a_training_that_ended_by_itself_stays_ended(store, tmp_path):
    ends = {**PROBE, "training__patience": 1, "training__min_delta": 1.0, "run": str(tmp_path / "run")}
    first = decode_words(words_config(store, **ends, training__num_epochs=9))
    assert [row["epoch"] for row in first.validation()] == [0, 1]
    again = decode_words(words_config(store, **ends, training__num_epochs=9, resume=True))
    assert [row["epoch"] for row in again.validation()] == [0, 1] and again.status["state"] == "finished"


def test_a_run_goes_on_from_the_checkpoint_of_another(run, store, tmp_path):
    told: list[str] = []
    longer = words_config(
        store, **PROBE, training__num_epochs=4, run=str(tmp_path / "run"),
        training__resume_checkpoint=str(run.checkpoints / "last.ckpt"),
    )  # fmt: skip
    other = decode_words(longer, tell=told.append)
    assert [row["step"] for row in other.validation()] == [84] and other.validation()[0]["selected"] == 1
    assert any("Going on after step 63" in note for note in told)
    assert any("not in this run" in note for note in told)


def test_weights_of_another_epoch_than_the_best_are_not_taken_for_it(run, store, tmp_path):
    copy, told = tmp_path / "run", []
    shutil.copytree(run.path, copy)
    table = json.loads((copy / "model" / "decoder.json").read_text())
    table["about"]["chosen"]["epoch"] += 1
    (copy / "model" / "decoder.json").write_text(json.dumps(table))
    again = words_config(store, **PROBE, training__num_epochs=4, run=str(copy), resume=True)
    assert decode_words(again, tell=told.append).validation()[-1]["selected"] == 1
    assert any("not in this run" in note for note in told)


def test_a_run_that_was_stopped_before_its_first_validation_misses_no_weights(store, tmp_path, monkeypatch):
    told: list[str] = []
    path, step = tmp_path / "run", WordsModule.training_step
    monkeypatch.setattr(
        WordsModule, "training_step", lambda self, *a: (os.kill(os.getpid(), signal.SIGTERM), step(self, *a))[1]
    )
    with pytest.raises(Stopped):
        decode_words(words_config(store, **PROBE, run=str(path)))
    monkeypatch.setattr(WordsModule, "training_step", step)
    assert not (path / "model").exists()
    decode_words(words_config(store, **PROBE, run=str(path), resume=True), tell=told.append)
    assert any("Going on after step 1" in note for note in told)
    assert not any("not in this run" in note for note in told)


def test_the_test_part_is_predicted_once_and_after_training(store, tmp_path, monkeypatch):
    seen: list[str] = []
    whole, fit = engine.predict, WordsModule.validation_step
    monkeypatch.setattr(
        engine, "predict", lambda d, data, part, *a, **k: (seen.append(part), whole(d, data, part, *a, **k))[1]
    )
    monkeypatch.setattr(WordsModule, "validation_step", lambda self, *a: (seen.append("epoch"), fit(self, *a))[1])
    decode_words(words_config(store, **PROBE, run=str(tmp_path / "run")))
    assert seen[-2:] == ["validation", "test"] and set(seen[:-2]) == {"epoch"}


@pytest.mark.parametrize("where", ["loss", "estimates"])
def test_numbers_that_are_not_finite_end_the_run_and_are_never_the_best(store, tmp_path, monkeypatch, where):
    whole = WordsModule.estimates

    def spoilt(self, batch):
        estimates_NE = whole(self, batch)
        return estimates_NE * (torch.nan if self.training == (where == "loss") else 1.0)

    monkeypatch.setattr(WordsModule, "estimates", spoilt)
    path = tmp_path / "run"
    with pytest.raises(InputError, match=r"not finite|NaN or infinite"):
        decode_words(words_config(store, **PROBE, run=str(path)))
    assert not (path / "model").exists() and Run.open(path).status["state"] == "failed"


def test_the_frequency_baseline_trains_nothing_and_knows_only_training_counts(store, tmp_path):
    run = decode_words(words_config(store, control="frequency_only", run=str(tmp_path / "run"), **QUICK))
    told = read_predictions(run.path / "predictions" / "test")
    assert not (run.path / "model").exists() and told.targets_VD is None
    assert (told.values_NX == torch.tensor(told.counts, dtype=torch.float32)).all()
    metric = run.results()["test"]["metrics"]["top3_accuracy_retrieval10"]
    assert metric["value"] == pytest.approx(metric["frequency"])


LEARNING = {
    "data__block_s": 40.0,
    "data__subsegment_duration": 1.0,
    "data__window_onset_offset": -0.2,
    "model__backbone": "convolution",
    "model__convolution_width": 16,
    "model__head": "linear",
    "training__batch_size": 4,
    "training__num_epochs": 4,
    "training__from_scratch_lr": 3e-3,
    "loss__kind": "clip",
    **QUICK,
}


@pytest.mark.slow
def test_words_in_the_signal_are_learnt_and_noise_is_not(tmp_path):
    store = make_word_store(tmp_path, subjects=1, sessions=2, words=300, strength=6.0)
    found = {}
    for control in ("none", "noise"):
        run = decode_words(words_config(store, **LEARNING, control=control, run=str(tmp_path / control)))
        found[control] = run.results()["validation"]["metrics"]["balanced_top3_accuracy_retrieval20"]
    assert found["none"]["low"] > 2 * found["none"]["chance"]
    assert found["noise"]["value"] < found["none"]["low"] and found["noise"]["low"] < 2 * found["noise"]["chance"]


@pytest.mark.slow
def test_a_fine_tuned_backbone_says_what_it_saw(store, tmp_path):
    run = decode_words(words_config(store, training__criss_cross_lr=1e-2, run=str(tmp_path / "run"), **QUICK))
    name = run.results()["about"]["selection_metric"]
    best = max((row for row in run.validation() if row["selected"]), key=lambda row: row["step"])
    assert run.results()["validation"]["metrics"][name]["value"] == pytest.approx(best[name], abs=1e-9)
    model, start = (
        MEGXL.from_pretrained(run.path / "model" / "backbone"),
        MEGXL.from_pretrained(store.parent / "backbone"),
    )
    split = run.split()
    assert split is not None
    seen = model.provenance.get("source", model.provenance)["recordings"]["armeni"]
    assert seen == {part: list(split[part]) for part in ("train", "validation")}
    moved = {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, start.state_dict()[name])}
    assert any(name.startswith("layers.") for name in moved)
    assert not any(name.startswith(("tokenizer.", "head.")) for name in moved)
    again = words_config(
        store, model__criss_cross_checkpoint=str(run.path / "model" / "backbone"), **PROBE, run=str(tmp_path / "probe")
    )
    with pytest.raises(InputError, match="seen in the pre-training"):
        decode_words(again)
