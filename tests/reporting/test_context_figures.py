"""Figures of context and attention show the numbers that they were given."""

import numpy as np
import pytest
from matplotlib.collections import LineCollection

from megxl.reporting.context_figures import plot_attention, plot_context


def score(context_s: float, loss: float, corpus: str = "all", sure: bool = True):
    row = {"corpus": corpus, "context_s": context_s, "given_s": context_s - 0.2, "chance_loss": 5.5}
    for name, value in (("loss", loss), ("accuracy", loss / 10)):
        row |= {
            name: value,
            f"{name}_low": value - 0.1 if sure else None,
            f"{name}_high": value + 0.2 if sure else None,
        }
    return row


def head(layer: int, axis: str, number: int, distance: float, share: float | None):
    return {"layer": layer, "axis": axis, "head": number, "distance": distance, "even_distance": 50.0,
            "entropy_share": share}  # fmt: skip


def test_means_stand_at_the_seconds_that_were_given_and_bounds_around_them():
    rows = [score(5, 4.0), score(30, 3.5), score(150, 3.0), score(5, 9.9, corpus="armeni")]
    rows = [row | {"unigram_loss": 4.4, "unigram_accuracy": 0.3} for row in rows]
    left, right = plot_context(rows, "whose").axes
    for axes, factor in ((left, 1.0), (right, 0.1)):
        (curve,) = [line for line in axes.lines if line.get_marker() == "o"]
        np.testing.assert_allclose(curve.get_xdata(), [4.8, 29.8, 149.8])
        np.testing.assert_allclose(curve.get_ydata(), factor * np.array([4.0, 3.5, 3.0]))
        (bounds,) = [part for part in axes.collections if isinstance(part, LineCollection)]
        expected = [[[row["given_s"], curve_y - 0.1], [row["given_s"], curve_y + 0.2]]
                    for row, curve_y in zip(rows, curve.get_ydata(), strict=False)]  # fmt: skip
        np.testing.assert_allclose(bounds.get_segments(), expected)
        assert [tick.get_text() for tick in axes.get_xticklabels()] == ["5", "30", "150"]
    levels = {line.get_label(): line.get_ydata()[0] for line in left.lines}
    assert levels["chance"] == 5.5 and levels["unigram guesser"] == 4.4 and "last-token guesser" not in levels


def test_what_has_no_interval_is_drawn_without_one():
    for axes in plot_context([score(5, 4.0, sure=False)], "whose", "a warning").axes:
        assert not axes.collections and [line for line in axes.lines if line.get_marker() == "o"]


@pytest.mark.parametrize("share", [0.5, None])
def test_every_head_is_a_point_and_every_layer_a_mean(share):
    rows = [
        head(layer, axis, number, layer + number, share)
        for layer in (1, 2, 3)
        for axis in ("time", "space")
        for number in (1, 2)
    ]
    figure = plot_attention(rows, "whose")
    time_distance, time_entropy, *_ = figure.axes
    points, means, even = time_distance.lines
    assert sorted(points.get_ydata()) == [2, 3, 3, 4, 4, 5]
    np.testing.assert_allclose(means.get_ydata(), [2.5, 3.5, 4.5])
    assert even.get_ydata()[0] == 50.0 and time_distance.get_ylim()[1] > 50
    assert len(time_entropy.lines[0].get_ydata()) == (0 if share is None else 6)
    figure.canvas.draw()
