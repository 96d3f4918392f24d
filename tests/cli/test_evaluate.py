"""`megxl evaluate`: what is printed and written, for a real run."""

import csv
import json
import shutil

import pytest

from megxl.cli import main

pytest.importorskip("lightning.pytorch")

from megxl.training.runs import Run
from tests.training.context_run import trained_run


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Run:
    return trained_run(tmp_path_factory.mktemp("trained"))


@pytest.fixture
def run(trained, tmp_path) -> Run:
    """A copy, to be written to."""
    shutil.copytree(trained.path, tmp_path / "run")
    return Run.open(tmp_path / "run")


def evaluate(run: Run, *words: str) -> int:
    return main(["evaluate", str(run.path), "--device", "cpu", *words])


def test_without_options_it_says_the_validation_beside_the_guessers_and_writes_nothing(run, capsys):
    before = sorted(run.path.rglob("*"))
    assert evaluate(run) == 0
    said = capsys.readouterr().out
    assert sorted(run.path.rglob("*")) == before
    last, guessers = run.validation()[-1], run.baselines()
    assert guessers is not None
    assert f"all     12 s                {last['loss']:.4f} [" in said
    assert f"mous    12 s                {last['mous_loss']:.4f} [" in said
    assert f"{last['loss_level_2']:.4f}, {last['accuracy_level_2']:.2%}" in said
    assert f"armeni  unigram guesser     {guessers['unigram']['armeni_loss']:.4f}" in said
    assert "chance              2.7726" in said and "beyond the longest" not in said
    assert "Intervals are over 4 recordings" in said and "not counted" not in said


def test_contexts_make_a_table_figures_and_a_picture(run, capsys, tmp_path):
    assert evaluate(run, "--context-s", "12,5", "--json", str(tmp_path / "all.json")) == 0
    said = capsys.readouterr().out
    with (run.path / "context.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["corpus"], row["context_s"], row["given_s"]) for row in rows[:2]] == [
        ("all", "5.0", "4.8"),
        ("all", "12.0", "12.0"),
    ]
    for row in rows:
        assert f"{float(row['loss']):.4f} [{float(row['loss_low']):.4f}, {float(row['loss_high']):.4f}]" in said
    kept = json.loads((run.path / "context.json").read_text())
    assert [row["loss"] for row in kept["rows"]] == [float(row["loss"]) for row in rows]
    assert kept["window_s"] == kept["trained_window_s"] == 12.0 and kept["windows"] == 20
    assert f"{kept['left_out']:.1%} of the hidden tokens are not counted" in said
    assert json.loads((tmp_path / "all.json").read_text()) == kept
    assert (run.path / "context.png").read_bytes()[:4] == b"\x89PNG"
    assert not list(run.path.glob(".*partial")) and not list(run.path.glob("attention*"))


def test_contexts_longer_than_those_of_training_are_said(run, capsys):
    assert evaluate(run, "--context-s", "5,30", "--windows", "3") == 0
    said = capsys.readouterr().out
    assert "note: Windows of 30 s are longer than the 12 s of training" in said
    assert "note: 3 of 8 windows" in said and "windows of 12 s." in said


def test_attention_alone_scores_nothing(run, capsys):
    assert evaluate(run, "--attention", "--windows", "2") == 0
    said = capsys.readouterr().out
    with (run.path / "attention.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["layer"], row["axis"], row["unit"], row["windows"]) for row in rows] == [
        ("1", "time", "s", "2"),
        ("1", "space", "m", "2"),
    ]
    assert f"{float(rows[0]['distance']):.1f}" in said and f"{float(rows[1]['entropy_share']):.1%}" in said
    assert "note: 2 of 20 windows" in said and "loss" not in said
    assert (run.path / "attention.png").is_file() and not (run.path / "context.csv").exists()


def test_another_model_is_measured_on_the_same_windows(run, capsys, tmp_path):
    first = min((run.path / "checkpoints").glob("step-*.ckpt"))
    assert evaluate(run, "--model", str(first), "--json", str(tmp_path / "first.json")) == 0
    other = json.loads((tmp_path / "first.json").read_text())
    assert evaluate(run, "--json", str(tmp_path / "newest.json")) == 0
    newest = json.loads((tmp_path / "newest.json").read_text())
    assert [row["tokens"] for row in other["rows"]] == [row["tokens"] for row in newest["rows"]]
    assert other["rows"][0]["loss"] != newest["rows"][0]["loss"]
    assert (other["model"]["steps"], newest["model"]["steps"]) == (4, 10)


def test_a_run_that_was_stopped_is_evaluated_as_far_as_it_is(run, capsys):
    shutil.rmtree(run.path / "model")
    assert evaluate(run) == 0
    assert f"{run.validation()[-1]['loss']:.4f}" in capsys.readouterr().out


def test_training_windows_have_no_guessers_beside_them(run, capsys):
    assert evaluate(run, "--split", "train", "--windows", "2") == 0
    said = capsys.readouterr().out
    assert "2 windows of 12 s, train" in said and "guesser" not in said and "chance" in said


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("--context-s 5,x", "give seconds with commas"),
        ("--context-s 5,61", "No validation recording of run is as long as 61 s, the longest has 60.0 s"),
        ("--context-s 0.1", "two tokens of 0.24 s"),
        ("--context-s 5,5", "must differ"),
        ("--context-s nan", "cannot be given"),
        ("--windows 0", "At least one window"),
        ("--model nowhere.ckpt", "nowhere.ckpt"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(run, capsys, words, sentence):
    assert evaluate(run, *words.split()) == 2
    said = capsys.readouterr().err
    assert sentence in said and "Traceback" not in said
    assert not list(run.path.glob("context*"))


def test_an_older_file_of_figures_is_kept_before_any_work(run, capsys, tmp_path):
    (tmp_path / "old.json").write_text("old")
    assert evaluate(run, "--json", str(tmp_path / "old.json")) == 2
    assert "exists already" in capsys.readouterr().err and (tmp_path / "old.json").read_text() == "old"


def test_what_is_no_run_is_refused(tmp_path, capsys):
    assert main(["evaluate", str(tmp_path / "none")]) == 2
    assert "none" in capsys.readouterr().err
