"""Tables of a run: exact numbers, one row a step, columns that grow, and cutting back."""

import math

import pytest

pytest.importorskip("lightning.pytorch")

from hypothesis import given
from hypothesis import strategies as st

from megxl.errors import InputError
from megxl.training.tables import BEGINNING, Table, TableLogger, read_table


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_is_read_as_it_was(tmp_path_factory, number):
    table = Table(tmp_path_factory.mktemp("t") / "metrics.csv")
    table.add(1, {"loss": number})
    table.flush()
    assert read_table(table.path) == [{"step": 1, "loss": number}]


def test_what_is_logged_at_one_step_becomes_one_row(tmp_path):
    table = Table(tmp_path / "metrics.csv")
    table.add(10, {"loss": 2.5})
    table.add(10, {"rate": 0.1})
    table.add(20, {"loss": 2.25, "rate": None})
    assert read_table(table.path) == [{"step": 10, "loss": 2.5, "rate": 0.1}]
    table.flush()
    assert (tmp_path / "metrics.csv").read_text() == "step,loss,rate\n10,2.5,0.1\n20,2.25,\n"


def test_new_columns_leave_older_rows_as_they_are(tmp_path):
    table = Table(tmp_path / "metrics.csv")
    table.add(1, {"b": 1.0})
    table.add(2, {"a": 2.0, "b": 3.0})
    table.add(3, {"b": math.inf})
    table.flush()
    assert (tmp_path / "metrics.csv").read_text() == "step,b,a\n1,1.0,\n2,3.0,2.0\n3,inf,\n"


def test_a_table_is_continued_under_its_columns(tmp_path):
    for step, values in ((1, {"b": 1.0, "a": 2.0}), (2, {"a": 3.0, "b": 4.0})):
        table = Table(tmp_path / "metrics.csv")
        table.add(step, values)
        table.flush()
    assert (tmp_path / "metrics.csv").read_text() == "step,b,a\n1,1.0,2.0\n2,4.0,3.0\n"


@pytest.mark.parametrize(("step", "left"), [(BEGINNING, []), (0, []), (4, [2, 4]), (5, [2, 4]), (9, [2, 4, 6])])
def test_rows_after_a_step_are_cut_away(tmp_path, step, left):
    logger = TableLogger(tmp_path)
    for at in (2, 4, 6):
        logger.log_metrics({"loss": at, "validation_loss": -at}, at)
    logger.save()
    again = TableLogger(tmp_path)
    again.cut_back(step)
    assert [row["step"] for row in read_table(tmp_path / "metrics.csv")] == left
    assert read_table(tmp_path / "validation.csv") == [{"step": at, "loss": -at} for at in left]


@pytest.mark.parametrize("torn", ["6", "6,2.", "6,2.5,1", "\x00\x00\x00"])
def test_a_row_that_a_power_cut_tore_is_taken_away(tmp_path, torn):
    path = tmp_path / "metrics.csv"
    path.write_text("step,loss,rate\n4,3.5,0.1\n" + torn)
    assert read_table(path) == [{"step": 4, "loss": 3.5, "rate": 0.1}]
    table = Table(path)
    table.cut_back(100)
    table.add(8, {"loss": 1.0})
    table.flush()
    assert path.read_text() == "step,loss,rate\n4,3.5,0.1\n8,1.0,\n"


def test_another_table_is_refused(tmp_path):
    (tmp_path / "metrics.csv").write_text("time,loss\n1,2\n")
    with pytest.raises(InputError, match=r"metrics.csv .* first column is 'time'"):
        TableLogger(tmp_path)
