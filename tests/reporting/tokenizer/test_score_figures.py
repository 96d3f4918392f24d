"""Figures of scores show the numbers of judged.json, each where it belongs."""

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex

from megxl.reporting.maps import project
from megxl.reporting.style import INK
from megxl.reporting.tokenizer.score_figures import (
    plot_codes,
    plot_levels_and_disturbances,
    plot_scores,
    plot_sensors,
)
from tests.reporting.tokenizer.small_run import scores

BOTH = {"a": scores(), "other": scores(0.6, name="other")}


def dots(axes: Axes) -> dict[float, float]:
    """Height to value of what is drawn as a dot."""
    return {line.get_ydata()[0]: line.get_xdata()[0] for line in axes.lines if line.get_marker() == "o"}


def points(axes: Axes, hollow: bool = False) -> list[list[tuple[float, float]]]:
    """Curves with points, full or hollow."""
    curves = [line for line in axes.lines if len(line.get_xdata()) > 1 and line.get_marker() in "os"]
    return [
        list(zip(*map(np.ndarray.tolist, map(np.asarray, line.get_data())), strict=True))
        for line in curves
        if (line.get_markerfacecolor() == "white") is hollow
    ]


def test_tokenizers_stand_above_the_controls_of_the_first_with_their_intervals():
    every = plot_scores(BOTH, "line").axes
    names = [label.get_text() for label in every[0].get_yticklabels()]
    assert names == ["a", "other", "control: random weights", "control: codes shuffled in time"]
    assert dots(every[0]) == {0: 0.9, -1: 0.6, -2: 0.03, -3: 0.02}
    assert dots(every[1]) == {0: 7.6, -1: 7.6, -2: -36.0, -3: -31.0}
    assert dots(every[2]) == {0: 0.81, -1: 0.81, -2: -0.2, -3: -0.9}
    bars = [line.get_xdata() for line in every[0].lines if line.get_linewidth() == 3]
    np.testing.assert_allclose(bars, [[0.8, 1.0], [0.5, 0.7], [-0.07, 0.13], [-0.08, 0.12]])
    hollow = [line.get_ydata()[0] for line in every[0].lines if line.get_markerfacecolor() == "white"]
    assert hollow == [-2, -3]


def test_what_has_no_interval_or_no_number_is_drawn_without():
    one = scores(low=None)
    one["si_sdr_db"] = one["si_sdr_db"] | {"mean": None}
    every = plot_scores({"a": one}, "line").axes
    assert dots(every[0])[0] == 0.9 and not [line for line in every[0].lines if line.get_linewidth() == 3]
    assert 0 not in dots(every[1])


def test_codes_are_sorted_by_use_and_their_perplexity_is_of_the_counts():
    left, right = plot_codes(scores(), "line").axes
    np.testing.assert_allclose(left.lines[0].get_ydata(), np.array([30, 9, 5, np.nan]) / 44)
    np.testing.assert_allclose(left.lines[1].get_ydata(), 0.25)
    shares = np.array([30, 9, 5]) / 44
    assert [bar.get_height() for bar in right.patches] == pytest.approx([np.exp(-(shares * np.log(shares)).sum()), 4])


def test_levels_noise_and_gain_are_those_that_were_judged():
    left, middle, right = plot_levels_and_disturbances(BOTH, "line").axes
    assert points(left) == [[(1, 0.51), (2, 0.9)], [(1, 0.51), (2, 0.6)]]
    assert points(middle) == [[(20.0, 0.63), (10.0, 0.42), (0.0, 0.21)]] * 2
    assert points(middle, hollow=True)[0] == [(20.0, 0.8), (10.0, 0.8), (0.0, 0.8)]
    assert middle.get_xlim()[0] > middle.get_xlim()[1]  # noisier to the right
    assert [bar.get_width() for bar in right.patches] == [0.99] * 8
    labels = [label.get_text() for label in right.get_yticklabels()]
    assert labels[0] == "x 0.1\nbefore normalisation" and labels[-1] == "x 10\nafter normalisation"


def test_tokenizers_differ_by_more_than_colour():
    left = plot_levels_and_disturbances(BOTH, "line").axes[0]
    one, other = (line for line in left.lines if line.get_marker() in "os" and len(line.get_xdata()) > 1)
    assert one.get_marker() != other.get_marker()


def test_maps_show_the_sensors_that_were_looked_at_where_they_are(monkeypatch):
    drawn = []

    def note(axes, group, value_C, good_C, xy_C2, *, label):
        drawn.append((value_C, good_C, xy_C2, label))

    monkeypatch.setattr("megxl.reporting.tokenizer.score_figures.draw_group", note)
    sensors = scores()["sensors"][0]
    plot_sensors(sensors, "line")
    (r_C, good_C, xy_C2, r_label), (error_C, _, _, error_label) = drawn
    # the eleventh was never looked at, the last one is flat
    np.testing.assert_array_equal(good_C, [True] * 10 + [False])
    np.testing.assert_allclose(r_C[:10], np.array(sensors["r_C"][:10], dtype=float))
    np.testing.assert_allclose(error_C[:10], 100 * np.array(sensors["error_C"][:10], dtype=float))
    np.testing.assert_allclose(xy_C2, project(np.array(sensors["positions_C3"]))[[*range(10), 11]])
    assert r_label == "Pearson r" and "%" in error_label


def test_a_map_of_electrodes_can_be_drawn():
    figure = plot_sensors(scores()["sensors"][0], "line")
    assert "Electrodes, n = 10" in figure.axes[0].get_title()


def test_controls_are_in_ink():
    (line,) = [one for one in plot_scores({"a": scores()}, "line").axes[0].lines
               if one.get_marker() == "o" and one.get_ydata()[0] == -1]  # fmt: skip
    assert to_hex(line.get_color()) == INK
