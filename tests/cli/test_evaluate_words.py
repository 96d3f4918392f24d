"""`megxl evaluate` of a run that names words: what is printed and written, from saved predictions alone."""

import json
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from megxl.cli import main
from megxl.decoding.predictions import write_predictions
from megxl.training.runs import Run
from megxl.training.words.config import WordsConfig
from megxl.training.words.results import run_results
from tests.decoding.predicting import by_loop, predict

SMALL = {"retrieval_set_sizes": [6, 9], "k": 3, "resamples": 200, "permutations": 50}
ABOUT = {"protocol": "published", "corpus": "armeni", "control": "none", "leaks": ["One text is in two parts."]}


def decoder(skill: float, seed: int = 0):
    labels = np.random.default_rng(3).integers(0, 12, 120)
    scores_NV = np.random.default_rng(seed).normal(size=(120, 12)) + skill * np.eye(12)[labels]
    return predict(scores_NV, labels, counts=range(12, 0, -1), about=ABOUT), scores_NV, labels


def make_run(path, test, evaluation=None, validation=None) -> Run:
    config = WordsConfig.from_dict(
        {"run": str(path), "data": {"dataset_type": "armeni"}, "evaluation": evaluation or SMALL}
    )
    run = Run.create(config, environment={})
    for part, predictions in (("test", test), ("validation", validation)):
        if predictions is not None:
            write_predictions(run.path / "predictions" / part, predictions)
    return run


@pytest.fixture
def run(tmp_path) -> Run:
    return make_run(tmp_path / "run", decoder(1.5)[0], validation=decoder(1.0)[0].part(range(60)))


def evaluate(run: Run, *words: str) -> int:
    return main(["evaluate", str(run.path), *words])


def written(run: Run) -> dict:
    return json.loads((run.path / "results.json").read_text())


@pytest.mark.parametrize("case", ["case0", "case1", "case2", "case3"])
def test_golden_metrics_come_out_of_a_run(shared, tmp_path, case):
    expected = json.loads((shared / "golden" / "data_reference.json").read_text())["expected"]["metrics"][case]
    with np.load(shared / "golden" / "data_reference.npz") as file:
        arrays = [torch.from_numpy(file[f"metrics/{case}/{name}"]) for name in ("pred", "labels", "vocab")]
    vectors, labels, targets = arrays
    few = {"resamples": 100, "permutations": 0}
    golden = make_run(tmp_path / "run", predict(vectors, labels.tolist(), targets, about=ABOUT), evaluation=few)
    assert evaluate(golden) == 0
    told, compared = written(golden), 0
    for name in expected.keys() & told["published"].keys():
        assert told["published"][name] == pytest.approx(expected[name], abs=1e-6), name
        compared += 1
    assert compared == 15
    for name in expected.keys() & told["test"]["metrics"].keys():
        assert told["test"]["metrics"][name]["value"] == pytest.approx(expected[name], abs=1e-6), name


def test_results_are_the_library_s_and_the_same_each_time(run, capsys):
    assert evaluate(run) == 0
    first = written(run)
    _, scores_NV, labels = decoder(1.5)
    for name, row in first["test"]["metrics"].items():
        expected = by_loop(scores_NV, labels, row["k"], row["candidates"], row["balanced"])
        assert row["value"] == pytest.approx(expected), name
    assert first["about"] == ABOUT and first["changed"] == {}
    parts = {"validation": decoder(1.0)[0].part(range(60)), "test": decoder(1.5)[0]}
    library = run_results(parts, run.config.evaluation, ABOUT)
    assert first == json.loads(json.dumps(library)) | {"changed": {}}
    content = (run.path / "results.json").read_bytes()
    assert evaluate(run) == 0 and (run.path / "results.json").read_bytes() == content
    said = capsys.readouterr().out
    row = first["test"]["metrics"]["balanced_top3_accuracy_retrieval6"]
    cells = [f"{row['value']:.2%} [{row['low']:.2%}, {row['high']:.2%}]", "50.00%", f"{row['frequency']:.2%}"]
    line = next(
        line for line in said[said.index("run: test") :].splitlines() if "balanced_top3_accuracy_retrieval6" in line
    )
    assert line.split("  ")[1] == "balanced_top3_accuracy_retrieval6" and all(cell in line for cell in cells)
    assert " * " in line and f"{row['p']:.4f}" in line
    assert "run: validation (armeni, published)" in said and "leak: One text is in two parts." in said
    assert "note: 60 of 120 words are no candidates" in said or "words are no candidates and do not count" in said


def test_neither_model_nor_training_is_loaded(run, monkeypatch):
    for package in ("lightning", "transformers", "wordllama", "megxl.model.megxl", "megxl.tokenizer.biocodec"):
        monkeypatch.setitem(sys.modules, package, None)
    assert evaluate(run) == 0


def test_options_change_what_is_measured_and_are_written_down(run, tmp_path, capsys):
    kept = tmp_path / "all.json"
    assert evaluate(run, "--k", "2", "--sizes", "5,8", "--resamples", "150", "--permutations", "0",
                    "--json", str(kept)) == 0  # fmt: skip
    told = written(run)
    assert json.loads(kept.read_text()) == told
    assert told["test"]["reported_metric"] == "balanced_top2_accuracy_retrieval5"
    assert told["test"]["selection_metric"] == "balanced_top3_accuracy_retrieval9"  # what chose the weights stays
    assert told["test"]["options"] == {"sizes": [5, 8], "k": 2, "resamples": 150, "permutations": 0}
    assert told["changed"]["evaluation.k"] == {"run": 3, "now": 2} and len(told["changed"]) == 4
    changed = "changed: evaluation.k = 2 (run: 3); evaluation.retrieval_set_sizes = [5, 8] (run: [6, 9]);"
    assert changed in capsys.readouterr().out
    assert evaluate(run, "--json", str(kept)) == 2
    assert "exists already" in capsys.readouterr().err
    assert evaluate(run, "--json", str(kept), "--overwrite") == 0 and written(run)["changed"] == {}


def test_what_else_a_run_wrote_to_its_results_stays(run):
    (run.path / "results.json").write_text(json.dumps({"about": {"seed": 7}, "other": 1, "test": {}}))
    assert evaluate(run) == 0
    told = written(run)
    assert (told["about"], told["other"]) == ({"seed": 7}, 1) and told["test"]["metrics"]


def test_beside_another_run_the_differences_have_intervals(run, tmp_path, capsys):
    other = make_run(tmp_path / "other", decoder(0.0, seed=1)[0])
    assert evaluate(run, "--beside", str(other.path), str(run.path), "--json", str(tmp_path / "all.json")) == 0
    said = capsys.readouterr().out
    better, same = json.loads((tmp_path / "all.json").read_text())["beside"]
    row = better["metrics"]["balanced_top3_accuracy_retrieval6"]
    values = [by_loop(*decoder(skill, seed)[1:], 3, 6, True) for skill, seed in ((1.5, 0), (0.0, 1))]
    assert [row["value"], row["other"]] == pytest.approx(values)
    assert (
        row["difference"] == pytest.approx(values[0] - values[1]) and 0 < row["low"] < row["difference"] < row["high"]
    )
    assert all((row["low"], row["high"]) == (0, 0) for row in same["metrics"].values())
    assert f"{row['difference']:+.2%} [{row['low']:+.2%}, {row['high']:+.2%}]" in said
    assert "beside" not in written(run) and not (other.path / "results.json").exists()


def test_other_test_words_are_refused_before_anything_is_written(run, tmp_path, capsys):
    other = make_run(tmp_path / "other", decoder(1.0)[0].part(range(115)))
    assert evaluate(run, "--beside", str(other.path)) == 2
    said = capsys.readouterr().err
    assert f"--beside {other.path}: The runs were not tested on the same words: 115 of 120 places" in said
    assert not (run.path / "results.json").exists()


def test_a_control_that_moved_words_can_stand_beside_and_is_said(run, tmp_path, capsys):
    test = decoder(1.0)[0]
    words = [*test.occurrences.words[1:], test.occurrences.words[0]]
    moved = replace(test, occurrences=replace(test.occurrences, words=words))
    assert evaluate(run, "--beside", str(make_run(tmp_path / "moved", moved).path)) == 0
    assert "words are others in the second run" in capsys.readouterr().out


def test_a_run_without_predictions_is_told_where_it_is(tmp_path, capsys):
    assert evaluate(make_run(tmp_path / "run", None)) == 2
    assert "has no predictions of its test yet" in capsys.readouterr().err


def test_predictions_that_are_not_finite_are_refused(run, capsys):
    from safetensors.torch import load_file, save_file

    from megxl.decoding.predictions import TABLE, TENSORS, _sha256

    folder = run.path / "predictions" / "test"
    tensors = load_file(folder / TENSORS)
    tensors["values"][7, 2] = torch.nan
    save_file(tensors, folder / TENSORS)
    table = json.loads((folder / TABLE).read_text()) | {"tensors_sha256": _sha256(folder / TENSORS)}
    (folder / TABLE).write_text(json.dumps(table))
    assert evaluate(run) == 2
    assert "1 of 120 predictions hold NaN" in capsys.readouterr().err
    assert not (run.path / "results.json").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--context-s", "5"], "--context-s is for runs of pretrain, and"),
        (["--attention"], "--attention is for runs of pretrain"),
        (["--k", "12"], "evaluation.k = 12"),
        (["--sizes", "5,x"], "--sizes 5,x: give numbers of words"),
        (["--resamples", "3"], "evaluation.resamples = 3"),
    ],
)
def test_options_that_do_not_fit_get_a_sentence(run, capsys, words, said):
    assert evaluate(run, *words) == 2
    assert said in capsys.readouterr().err
