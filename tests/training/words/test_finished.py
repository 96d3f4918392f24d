"""Rows of finished runs: their names, that only like is compared with like, that nothing is left out unsaid."""

import csv

import pytest

from megxl.errors import InputError
from megxl.training.configuring import compose
from megxl.training.runs import RESULTS, write_json
from megxl.training.words.config import WordsConfig
from megxl.training.words.finished import method_of, read_rows, write_rows
from tests.training.words.finished_runs import METRIC, finish, finish_curve


def test_a_run_whose_test_part_has_no_word_of_the_reported_set_is_refused(tmp_path):
    run = finish(tmp_path / "run", 0.4)
    told = run.results()
    del told["test"]["metrics"][METRIC]
    write_json(run.path / RESULTS, told)
    with pytest.raises(InputError, match=rf"has no {METRIC}: no word of its test part"):
        read_rows([run.path])


def test_a_row_tells_what_the_run_was_and_what_came_out(tmp_path):
    finish(tmp_path / "run", 0.4, "data.train_pct=0.13", "seed=7", hours=1.25)
    (row,), notes = read_rows([tmp_path / "run"])
    assert (row.method, row.amount, row.hours, row.seed) == ("pre-trained, fine-tuned", "0.13 of the groups", 1.25, 7)
    assert row.metric == METRIC
    assert (row.result, row.low, row.high, row.chance) == pytest.approx((0.4, 0.38, 0.42, 0.2))
    assert row.task == "armeni, protocol strict by block, split seed 42" and not notes


@pytest.mark.parametrize(
    ("command", "overrides", "name"),
    [
        ("finetune", [], "pre-trained, fine-tuned"),
        ("probe", [], "pre-trained, probed"),
        ("finetune", ["model.train_from_scratch=true"], "from scratch"),
        ("finetune", ["model.backbone=convolution"], "convolution, supervised"),
        ("probe", ["model.backbone=codec"], "codec features"),
        ("finetune", ["control=time_shuffle"], "control: time shuffle"),
        ("probe", ["control=random_backbone"], "control: random backbone"),
        ("finetune", ["model.head=sensors"], "pre-trained, fine-tuned, sensors head"),
        ("finetune", ["model.head=sequence", "model.sees=nothing"],
         "pre-trained, fine-tuned, sequence head that sees nothing"),
    ],
)  # fmt: skip
def test_methods_have_names(command, overrides, name):
    made = compose("finetune", ["corpus=armeni", *overrides], schema=WordsConfig, given={"command": command})
    assert method_of(made) == name


def test_the_runs_of_a_sweep_are_found_and_unfinished_ones_are_told(tmp_path):
    sweep = finish_curve(tmp_path / "sweep", {0.5: [0.3, 0.4], 2.0: [0.5]})
    (sweep / "0.5_1" / RESULTS).unlink()
    rows, notes = read_rows([sweep])
    assert [(row.hours, row.result) for row in rows] == [(0.5, 0.3), (2.0, 0.5)]
    assert notes == ["1 of 3 runs are not finished and left out (first: 0.5_1)."]


def test_a_single_group_has_no_bounds(tmp_path):
    finish(tmp_path / "run", 0.4, low=None, high=None)
    (row,), _ = read_rows([tmp_path / "run"])
    assert row.low == row.high == 0.4


def test_rows_are_written_as_a_table(tmp_path):
    rows, _ = read_rows([finish_curve(tmp_path / "sweep", {0.5: [0.3, 0.4]})])
    write_rows(rows, tmp_path / "rows.csv")
    with (tmp_path / "rows.csv").open(newline="") as file:
        found = list(csv.DictReader(file))
    assert [float(row["result"]) for row in found] == [0.3, 0.4] and found[0]["method"] == rows[0].method


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["data.split_seed=1"], "its task is 'armeni, protocol strict by block, split seed 1', not"),
        (["data.protocol=published", "seed=1"], "its task is 'armeni, protocol published', not"),
        ([], "are both 'pre-trained, fine-tuned' with 1 of the groups and seed 42"),
    ],
)
def test_what_cannot_be_compared_is_refused(overrides, said, tmp_path):
    finish(tmp_path / "a", 0.4)
    finish(tmp_path / "b", 0.4, *overrides)
    with pytest.raises(InputError) as error:
        read_rows([tmp_path / "a", tmp_path / "b"])
    assert said in str(error.value)


def test_a_folder_without_runs_or_without_results_is_refused(tmp_path):
    with pytest.raises(InputError, match="is no run and holds none"):
        read_rows([tmp_path])
    (finish(tmp_path / "a", 0.4).path / RESULTS).unlink()
    with pytest.raises(InputError, match=r"None of the 1 runs in .* has results yet"):
        read_rows([tmp_path])
