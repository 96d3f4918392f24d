"""The curve of accuracy against hours shows its numbers, and is told apart without colours."""

import csv

import numpy as np
import pytest

from megxl.errors import InputError
from megxl.reporting.efficiency_figures import plot_efficiency, write_efficiency
from megxl.training.words.efficiency import make_curves
from megxl.training.words.finished import read_rows
from tests.training.words.finished_runs import METRIC, finish_curve

TUNED = {0.5: [0.30, 0.34], 2.0: [0.45, 0.49]}
OTHER = {0.5: [0.21, 0.22], 2.0: [0.30, 0.33]}


@pytest.fixture
def folders(tmp_path):
    return [
        finish_curve(tmp_path / "tuned", TUNED),
        finish_curve(tmp_path / "conv", OTHER, "model.backbone=convolution"),
    ]


def test_means_and_bounds_stand_at_their_hours_and_chance_beside_them(folders):
    curves = make_curves(read_rows(folders)[0])
    (axes,) = plot_efficiency(curves, METRIC, 0.2, "where").axes
    drawn = {bars.get_label(): bars for bars in axes.containers}
    assert list(drawn) == ["pre-trained, fine-tuned", "convolution, supervised"]
    for curve, results in zip(curves, (TUNED, OTHER), strict=True):
        line, _, (bars,) = drawn[curve.method].lines
        np.testing.assert_allclose(np.asarray(line.get_xdata(), float), [0.5, 2.0])
        np.testing.assert_allclose(np.asarray(line.get_ydata(), float), [np.mean(some) for some in results.values()])
        ends = np.array(bars.get_segments(), dtype=float)[:, :, 1]
        np.testing.assert_allclose(ends, [[point.low, point.high] for point in curve.points])
    (chance,) = [line for line in axes.lines if str(line.get_label()).startswith("chance")]
    assert chance.get_ydata()[0] == 0.2 and chance.get_linestyle() == "--" and axes.get_xscale() == "log"


def test_lines_differ_in_colour_marker_and_dashes(folders):
    (axes,) = plot_efficiency(make_curves(read_rows(folders)[0]), METRIC, 0.2, "where").axes
    one, other = (bars.lines[0] for bars in axes.containers)
    assert one.get_color() != other.get_color() and one.get_marker() != other.get_marker()
    assert one._unscaled_dash_pattern != other._unscaled_dash_pattern


@pytest.mark.parametrize(
    ("results", "said"),
    [
        ({1.0: [0.3, 0.4]}, "bars: 95 % of the mean over 2 seeds (Student's t)"),
        ({1.0: [0.3]}, "bars: 95 % over groups of the test part, one seed"),
        ({1.0: [0.3], 2.0: [0.3, 0.4], 3.0: [0.3, 0.4, 0.5]},
         "over 2 to 3 seeds (Student's t), over groups where there is one"),
    ],
)  # fmt: skip
def test_the_figure_says_what_its_bars_are(results, said, tmp_path):
    curves = make_curves(read_rows([finish_curve(tmp_path / "s", results)])[0])
    figure = plot_efficiency(curves, METRIC, 0.2, "where")
    assert said in figure.get_suptitle() and figure.get_suptitle().startswith("where; ")


@pytest.mark.parametrize(("ending", "begins"), [("png", b"\x89PNG"), ("pdf", b"%PDF"), ("svg", b"<?xml")])
def test_a_figure_and_a_table_are_written(folders, tmp_path, ending, begins):
    drawn = write_efficiency(folders, tmp_path / f"hours.{ending}")
    assert drawn.figure.read_bytes().startswith(begins) and len(drawn.rows) == 8 and len(drawn.curves) == 2
    with (tmp_path / "hours.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 8


def test_a_format_that_cannot_be_drawn_is_refused_and_leaves_nothing(folders, tmp_path):
    with pytest.raises(InputError, match=r"allowed: \.png, \.pdf, \.svg"):
        write_efficiency(folders, tmp_path / "hours.docx")
    assert not list(tmp_path.glob("hours*"))
