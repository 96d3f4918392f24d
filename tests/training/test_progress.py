"""Progress: lines for a log file, a bar for a terminal."""

import io
import re

import pytest
from rich.console import Console

from megxl.training import progress
from megxl.training.insight import Insight
from megxl.training.progress import Progress, told_row, told_time, told_validation
from megxl.training.runs import write_json
from megxl.training.throughput import Throughput
from tests.training.small_batches import batch, item, loader, small_module, small_sizes, trainer

BASELINES = {"chance": 2.7726, "unigram": {"loss": 2.5}, "last_token": {"loss": 2.25}}


def shown(tmp_path, monkeypatch, *, terminal: bool, seconds_between: float = 0.0, steps: int = 6) -> str:
    monkeypatch.setattr(progress, "_SECONDS_BETWEEN_LINES", seconds_between)
    write_json(tmp_path / "baselines.json", BASELINES)
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=terminal, width=100, _environ={})
    speed = Throughput(small_sizes())
    insight = Insight(2, tmp_path / "baselines.json", speed)
    batches = [batch(item(number), item(number + 100)) for number in range(steps)]
    fit = trainer(max_epochs=1, val_check_interval=3, callbacks=[speed, insight, Progress(insight, console)])
    fit.fit(small_module(), loader(batches), loader(batches[:2]))
    return stream.getvalue()


def test_a_log_file_has_a_line_a_row_and_one_a_validation(tmp_path, monkeypatch):
    lines = shown(tmp_path, monkeypatch, terminal=False).splitlines()
    assert "last token 2.2500, unigram 2.5000, chance 2.7726" in lines[0]
    assert [line.partition(":")[0] for line in lines[1:]] == [f"step {n}/6" for n in (2, 3, 4, 6, 6)]
    training, validation = lines[1], lines[2]
    assert re.search(r"loss \d\.\d{4}, accuracy \d+\.\d\d%, .*tokens/s, waiting for data .*%, .* to go", training)
    assert re.search(r"validation loss \d\.\d{4} \(last token 2\.2500, unigram 2\.5000, chance", validation)
    assert "\x1b" not in "".join(lines)


def test_a_log_file_is_not_flooded(tmp_path, monkeypatch):
    lines = shown(tmp_path, monkeypatch, terminal=False, seconds_between=1000.0).splitlines()
    assert [line.partition(":")[0] for line in lines[1:]] == ["step 3/6", "step 6/6", "step 6/6"]


def test_a_terminal_has_a_bar_that_ends_full_with_validations_above(tmp_path, monkeypatch):
    text = shown(tmp_path, monkeypatch, terminal=True)
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)
    last = plain.replace("\r", "\n").strip().splitlines()[-1]
    assert last.startswith("step 6/6")
    assert plain.count("validation loss") == 2
    assert "\x1b[?25h" in text  # the cursor is back


def test_what_is_not_known_is_left_out():
    row = {"loss": 1.5, "accuracy": 0.25, "tokens_per_s": 1_234_567.0, "mfu": 0.412, "data_wait": 0.004}
    told = "loss 1.5000, accuracy 25.00%, 1.23M tokens/s, MFU 41.2%, waiting for data 0.4%, 5 min to go"
    assert told_row(row, 300) == told
    assert (
        told_row(row | {"mfu": None, "tokens_per_s": None, "data_wait": None}, None) == "loss 1.5000, accuracy 25.00%"
    )
    assert told_row({}, None) == ""
    assert told_validation({"validation_loss": 1.0, "validation_accuracy": 0.5}, {}) == (
        "validation loss 1.0000, accuracy 50.00%"
    )
    assert "no hidden token" in told_validation({"validation_loss": None, "validation_accuracy": None}, BASELINES)


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(3, "3 s"), (89, "89 s"), (91, "2 min"), (5399, "90 min"), (5401, "1 h 30 min"), (86400, "24 h 00 min")],
)
def test_durations_are_told_for_people(seconds, told):
    assert told_time(seconds) == told
