"""Loggers: what was written after the step of a resumed checkpoint is gone; what is not installed is named."""

from importlib.util import find_spec

import pytest

from megxl.errors import InputError
from megxl.training.loggers import make_loggers, wandb_options
from megxl.training.tables import read_table
from tests.training.small_run import small_config

accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")


def write(config, path, resumed_step, rows) -> None:
    loggers = make_loggers(config, path, resumed_step)
    for step, loss in rows.items():
        for logger in loggers:
            logger.log_metrics({"loss": loss, "validation_loss": 10 * loss}, step)
            logger.save()
    for logger in loggers:
        logger.finalize("success")


def test_a_resumed_run_has_each_row_once(tmp_path):
    config = small_config(tmp_path, logging__tensorboard=True)
    write(config, tmp_path, None, {2: 0.5, 4: 0.25, 5: 1.0, 8: 2.0})
    write(config, tmp_path, 4, {6: 4.0, 8: 8.0, 10: 16.0})
    expected = {2: 0.5, 4: 0.25, 6: 4.0, 8: 8.0, 10: 16.0}
    assert {row["step"]: row["loss"] for row in read_table(tmp_path / "metrics.csv")} == expected
    assert {row["step"]: row["loss"] for row in read_table(tmp_path / "validation.csv")} == {
        step: 10 * loss for step, loss in expected.items()
    }
    events = accumulator.EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    for name, factor in (("loss", 1), ("validation_loss", 10)):
        told = [(event.step, event.value) for event in events.Scalars(name)]
        assert told == [(step, factor * loss) for step, loss in expected.items()]


def test_a_run_that_begins_has_no_older_rows(tmp_path):
    config = small_config(tmp_path)
    write(config, tmp_path, None, {2: 0.5})
    write(config, tmp_path, None, {3: 0.25})
    assert [row["step"] for row in read_table(tmp_path / "metrics.csv")] == [3]


def test_tensorboard_is_left_out_by_its_key(tmp_path):
    write(small_config(tmp_path, logging__tensorboard=False), tmp_path, None, {2: 0.5})
    assert not (tmp_path / "tensorboard").exists()


@pytest.mark.skipif(find_spec("wandb") is not None, reason="needs wandb not to be installed")
def test_weights_and_biases_asked_for_and_not_installed_is_refused_with_a_hint(tmp_path):
    with pytest.raises(InputError, match=r"logging\.wandb.*pip install wandb"):
        make_loggers(small_config(tmp_path, logging__wandb=True), tmp_path, None)


def test_a_resumed_run_goes_on_in_the_same_run_of_weights_and_biases(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    config = small_config(tmp_path, logging__wandb=True, logging__wandb_project="brain", logging__experiment_name="one")
    first, again, other = (wandb_options(config, tmp_path / name) for name in ("a", "a", "b"))
    assert first["id"] == again["id"] != other["id"]
    assert (first["project"], first["name"], first["resume"]) == ("brain", "one", "allow")
