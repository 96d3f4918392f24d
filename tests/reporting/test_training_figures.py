"""Figures of a training draw the numbers they are given, where they say, with the guessers beside them."""

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from megxl.reporting.examination import SensorHits
from megxl.reporting.maps import project
from megxl.reporting.reconstruction_figures import code_ranks, example_sensors, plot_sensor_accuracy
from megxl.reporting.training_figures import draw_curve, last_value, plot_learning, plot_pace, plot_parts
from megxl.signals.coils import MAGNETOMETER
from megxl.signals.sensors import neuromag306

METRICS = [{"step": n, "loss": 5 - 0.01 * n, "accuracy": 0.001 * n, "learning_rate": 1e-4 * n} for n in range(2, 40, 2)]
VALIDATION = [
    {"step": n, "loss": 5.1 - 0.01 * n, "accuracy": 0.0009 * n, "loss_level_1": 4 + n, "loss_level_2": 3 + n}
    for n in (10, 20, 30)
]
BASELINES = {
    "chance": np.log(256),
    "unigram": {"loss": 4.95, "accuracy": 0.011, "loss_level_1": 33.0, "loss_level_2": 34.0},
    "last_token": {"loss": 4.85, "accuracy": 0.012, "loss_level_1": 31.0, "loss_level_2": 32.5},
}


def titled(figure: Figure, title: str) -> Axes:
    (axes,) = [axes for axes in figure.axes if title in axes.get_title("left") + axes.get_title()]
    return axes


def curves(axes: Axes, points: int) -> list[np.ndarray]:
    return [line.get_xydata() for line in axes.lines if len(line.get_xdata()) == points]


def levels_drawn(axes: Axes) -> list[float]:
    return sorted(line.get_ydata()[0] for line in axes.lines if len(line.get_xdata()) == 2)


def test_training_and_validation_are_drawn_beside_guessers_and_chance():
    figure = plot_learning(METRICS, VALIDATION, BASELINES, "a run")
    for title, name, lines in (
        ("Loss", "loss", [4.85, 4.95, np.log(256)]),
        ("Accuracy", "accuracy", [1 / 256, 0.011, 0.012]),
    ):
        axes = titled(figure, title)
        for rows in (METRICS, VALIDATION):
            (curve,) = curves(axes, len(rows))
            np.testing.assert_array_equal(curve, [(row["step"], row[name]) for row in rows])
        np.testing.assert_allclose(levels_drawn(axes), lines)
    told = [text.get_text() for text in figure.legends[0].get_texts()]
    assert told == ["training", "validation", "unigram guesser", "last-token guesser", "chance"]


def test_the_gain_is_what_the_loss_lies_below_each_guesser():
    axes = titled(plot_learning(METRICS, VALIDATION, BASELINES, "a run"), "Gain")
    drawn = curves(axes, 3)
    losses = np.array([row["loss"] for row in VALIDATION])
    np.testing.assert_allclose([curve[:, 1] for curve in drawn], [4.95 - losses, 4.85 - losses])


def test_first_losses_above_chance_do_not_flatten_the_rest():
    rows = [{"step": 1, "loss": 40.0}, *METRICS]
    axes = titled(plot_learning(rows, VALIDATION, BASELINES, "a run"), "Loss")
    assert np.log(256) < axes.get_ylim()[1] < 6


@pytest.mark.parametrize("rows", [[], [{"step": 3, "loss": 5.0}], [{"step": 3, "accuracy": 0.5}]])
def test_a_run_that_has_just_begun_can_be_drawn(rows):
    for baselines in (None, BASELINES):
        plot_learning(rows, [], baselines, "a run").canvas.draw()
        plot_learning([], rows, baselines, "a run").canvas.draw()


def test_parts_stand_beside_what_guessers_score_on_them():
    names = {"loss_level_1": "level 1", "loss_level_2": "level 2"}
    figure = plot_parts(VALIDATION, BASELINES, names, "a run")
    left, right = figure.axes
    drawn = curves(left, 3)
    np.testing.assert_array_equal([curve[:, 1] for curve in drawn], [[14, 24, 34], [13, 23, 33]])
    (dots,) = right.collections
    np.testing.assert_array_equal(dots.get_offsets(), [(34, 0), (33, -1)])
    by_name = {line.get_label(): line.get_xydata().tolist() for line in right.lines}
    assert by_name == {
        "unigram guesser": [[33.0, 0], [34.0, -1]],
        "last-token guesser": [[31.0, 0], [32.5, -1]],
    }
    assert [label.get_text() for label in right.get_yticklabels()] == ["level 1", "level 2"]


def test_pace_shows_what_was_logged_and_nothing_else():
    assert plot_pace([{"step": 1, "loss": 1.0}], "a run") is None
    rows = [{"step": n, "learning_rate": 0.1 * n, "tokens_per_s": 5.0 * n, "data_wait": 0.01} for n in range(1, 9)]
    for extra, panels in (({}, 3), ({"mfu": 0.5, "gradient_norm": 2.0}, 5)):
        figure = plot_pace([row | extra for row in rows], "a run")
        shown = [axes for axes in figure.axes if axes.axison]
        assert len(shown) == panels and all(axes.lines for axes in shown)
    (axes,) = [axes for axes in figure.axes if axes.get_ylabel() == "tokens / s"]
    (curve,) = curves(axes, 8)
    np.testing.assert_array_equal(curve[:, 1], 5.0 * np.arange(1, 9))


def test_long_curves_are_smoothed_by_a_centred_mean_and_the_points_stay():
    value_N = np.random.default_rng(0).standard_normal(300)
    axes = Figure().subplots()
    draw_curve(axes, [{"step": n, "x": x} for n, x in enumerate(value_N)], "x", color="k", label="it")
    faint, smooth = axes.lines
    np.testing.assert_array_equal(faint.get_ydata(), value_N)
    assert smooth.get_label() == "it" and faint.get_label() != "it"
    width = 7
    for step, value in smooth.get_xydata()[[0, 50, -1]]:
        assert value == pytest.approx(value_N[int(step) - width // 2 : int(step) + width // 2 + 1].mean())


def test_the_last_value_is_the_newest_that_there_is():
    rows = [{"step": 1, "a": 1.0}, {"step": 2, "a": 2.0}, {"step": 3}]
    assert last_value(rows, "a") == 2.0 and np.isnan(last_value(rows, "b"))


def test_like_codes_have_like_colours():
    direction_D, along_V = np.array([3.0, 4.0, 0.0]), np.array([0.5, -2.0, 9.0, 1.0])
    vectors_VD = along_V[:, None] * direction_D + 0.01 * np.random.default_rng(0).standard_normal((4, 3))
    ranks = code_ranks(vectors_VD).tolist()
    assert ranks in ([1, 0, 3, 2], [2, 3, 0, 1])


def test_examples_are_spread_over_good_sensors_by_kind():
    kinds_C, good_C = np.array([0, 1] * 10), np.arange(20) != 0
    rows = example_sensors(good_C, kinds_C, 4)
    assert rows.tolist() == [2, 14, 7, 19]
    assert example_sensors(np.arange(20) == 3, kinds_C).tolist() == [3]


def test_the_map_has_each_sensor_s_accuracy_at_its_place():
    array = neuromag306().select(neuromag306().names[:18])
    tokens_C, rng = np.full(18, 50), np.random.default_rng(0)
    tokens_C[2] = 0
    hits = SensorHits(array=array, hits_CQ=rng.integers(1, 50, (18, 3)), tokens_C=tokens_C)
    axes = titled(plot_sensor_accuracy(hits, "a run"), "Magnetometers")
    (dots,) = axes.collections
    places, values = np.asarray(dots.get_offsets()), np.asarray(dots.get_array())
    rows = [row for row in np.flatnonzero(array.kinds_C == MAGNETOMETER) if tokens_C[row]]
    assert len(values) == len(rows)
    for row in rows:
        nearest = np.linalg.norm(places - project(array.positions_C3)[row], axis=1).argmin()
        assert values[nearest] == pytest.approx(100 * np.mean(hits.hits_CQ[row] / 50))
