"""Curves of a training of a tokenizer are the columns of its tables."""

import numpy as np
import pytest

from megxl.reporting.tokenizer.curves import level_colour, plot_code_learning, plot_learning

METRICS = [{"step": n, "loss": 9.0 / n, "time": 0.5, "revived_level_1": n, "revived_level_2": 2 * n} for n in (2, 4, 6)]
VALIDATION = [
    {
        "step": n, "loss": 8.0 / n, "time": 0.4 / n, "spectral": 7.0 / n, "commitment": 0.01 * n, "r": 0.1 * n,
        "variance": 0.1 * n - 0.5, "usage_level_1": 0.2 * n, "usage_level_2": 0.1 * n, "perplexity_level_1": 3.0 * n,
        "perplexity_level_2": 2.0 * n,
    }
    for n in (1, 3, 5)
]  # fmt: skip


def drawn(axes) -> dict[str, list]:
    return {line.get_label(): np.asarray(line.get_xydata()).tolist() for line in axes.lines}


def column(rows, name) -> list:
    return [[row["step"], row[name]] for row in rows]


def test_loss_its_parts_and_what_comes_back():
    left, middle, right = plot_learning(METRICS, VALIDATION, "line").axes
    assert drawn(left) == {"training": column(METRICS, "loss"), "held out": column(VALIDATION, "loss")}
    assert drawn(middle) == {name: column(VALIDATION, name) for name in ("time", "spectral", "commitment")}
    assert drawn(right) == {"Pearson r": column(VALIDATION, "r"), "variance explained": column(VALIDATION, "variance")}
    assert right.get_ylim() == pytest.approx((-0.4, 1.0))
    assert middle.get_yscale() == "log" and left.get_yscale() == "linear"


def test_before_the_first_validation_there_is_the_training():
    left, middle, right = plot_learning(METRICS, [], "line").axes
    assert drawn(left) == {"training": column(METRICS, "loss")} and not right.lines
    assert drawn(middle) == {"time": column(METRICS, "time")} and "in training" in middle.get_title("left")


def test_codes_of_each_level():
    usage, perplexity, revived = plot_code_learning(METRICS, VALIDATION, "line").axes
    for axes, rows, name in ((usage, VALIDATION, "usage"), (perplexity, VALIDATION, "perplexity"),
                             (revived, METRICS, "revived")):  # fmt: skip
        assert drawn(axes) == {f"level {n}": column(rows, f"{name}_level_{n}") for n in (1, 2)}
    assert usage.get_ylim()[1] > 1.0 and "share" in usage.get_ylabel()


def test_nothing_is_drawn_of_codes_that_were_not_counted():
    assert plot_code_learning([{"step": 1, "loss": 1.0}], [], "line") is None


def test_levels_differ_in_grey():
    grey = [np.dot([0.3, 0.6, 0.1], [int(level_colour(n, 6)[i : i + 2], 16) for i in (1, 3, 5)]) for n in range(6)]
    assert min(np.diff(grey)) > 10
