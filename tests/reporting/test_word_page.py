"""The page about words: each figure draws the numbers it is given, where and in the units it says.

Letters: C sensors, K lags.
"""

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba

from megxl.errors import InputError
from megxl.reporting.maps import project
from megxl.reporting.style import ALARM
from megxl.reporting.word_locked import WordLocked, word_locked
from megxl.reporting.word_page import plot_word_locked, write_word_page
from megxl.signals.coils import MAGNETOMETER
from megxl.signals.sensors import SensorArray
from tests.reporting.planted import INFO, planted

# six chips of a magnetometer and two gradiometers: so few places are drawn as dots that have their values
SENSORS = SensorArray.from_info(INFO, INFO.ch_names[:18])
TIMES_S = np.arange(-25, 51) / 50
PEAK = 40  # 0.3 s
BAD = 4


def result() -> WordLocked:
    rng = np.random.default_rng(0)
    magnetic_C = SENSORS.kinds_C == MAGNETOMETER
    units_C = np.where(magnetic_C, 1e-13, 1e-11)
    average_CK = units_C[:, None] * rng.standard_normal((18, 76))
    average_CK[BAD] *= 1000
    good_C = np.arange(18) != BAD
    gfp_K = rng.uniform(1.0, 2.0, 76)
    gfp_K[PEAK], gfp_K[3] = 4.0, 5.0  # what comes before words is no response
    return WordLocked(
        key="files/sub-1",
        sensors=SENSORS,
        n_words=321,
        times_s=TIMES_S,
        average_CK=average_CK,
        good_C=good_C,
        gfp_K=gfp_K,
        chance=1.25,
        chance_high=1.75,
        delays_s=np.arange(-100, 101) / 50,
        scan=rng.uniform(0.5, 3.0, 201),
        delay_s=0.6,
        p=1e-4,
        verdict="shifted",
        sentence="Moved.",
    )


def axes_titled(figure, title: str) -> Axes:
    (axes,) = [axes for axes in figure.axes if title in axes.get_title("left") + axes.get_title()]
    return axes


def dots(axes: Axes) -> tuple[np.ndarray, np.ndarray]:
    (collection,) = axes.collections
    return np.asarray(collection.get_offsets()), np.asarray(collection.get_array())


def upright(axes: Axes) -> list[float]:
    return [line.get_xdata()[0] for line in axes.lines if len(set(line.get_xdata())) == 1]


def test_the_map_shows_the_magnetometers_at_the_peak():
    given = result()
    axes = axes_titled(plot_word_locked(given), "Magnetometers at 0.30 s")
    places, values = dots(axes)
    for row in np.flatnonzero(SENSORS.kinds_C == MAGNETOMETER):
        nearest = np.linalg.norm(places - project(SENSORS.positions_C3)[row], axis=1).argmin()
        assert values[nearest] == pytest.approx(1e15 * given.average_CK[row, PEAK], rel=1e-12)  # fT
    assert len(values) == 6


def test_a_pair_of_gradiometers_is_drawn_by_its_size():
    given = result()
    places, values = dots(axes_titled(plot_word_locked(given), "Planar gradiometers"))
    assert len(values) == 6
    # the channels of a chip end in 1 (magnetometer), 2 and 3
    for chip in {name[:-1] for name in SENSORS.names}:
        rows = [row for row, name in enumerate(SENSORS.names) if name[:-1] == chip and name[-1] in "23" and row != BAD]
        size = np.sqrt(np.mean(given.average_CK[rows, PEAK] ** 2))
        nearest = np.linalg.norm(places - project(SENSORS.positions_C3)[rows].mean(axis=0), axis=1).argmin()
        assert values[nearest] == pytest.approx(1e13 * size, rel=1e-12)  # fT/cm


def test_butterflies_are_parts_of_the_largest_of_each_kind():
    given = result()
    axes = axes_titled(plot_word_locked(given), "Mean of 321 words")
    curves = [line.get_ydata() for line in axes.lines if len(line.get_xdata()) == 76]
    assert len(curves) == 17  # without the bad one
    expected = []
    for kind in (0, 1):
        rows = np.flatnonzero((SENSORS.kinds_C == kind) & given.good_C)
        assert 5 <= len(rows) < 17
        expected += list(given.average_CK[rows] / np.abs(given.average_CK[rows]).max())
    np.testing.assert_allclose(curves, expected, rtol=1e-12)


def test_the_power_stands_against_chance():
    given = result()
    axes = axes_titled(plot_word_locked(given), "Against the same words elsewhere")
    (curve,) = [line for line in axes.lines if len(line.get_xdata()) == 76]
    np.testing.assert_array_equal(curve.get_xydata(), np.column_stack([TIMES_S, given.gfp_K]))
    assert sorted(upright(axes)) == [0.0, 0.3]
    (band,) = axes.patches
    assert band.get_extents().transformed(axes.transData.inverted()).y1 == pytest.approx(1.75)
    assert any(line.get_ydata()[0] == line.get_ydata()[-1] == 1.25 for line in axes.lines)


def test_the_scan_marks_the_shift_in_the_colour_of_the_verdict():
    given = result()
    axes = axes_titled(plot_word_locked(given), "With all words moved")
    (curve,) = [line for line in axes.lines if len(line.get_xdata()) == 201]
    np.testing.assert_array_equal(curve.get_xydata(), np.column_stack([given.delays_s, given.scan]))
    (mark,) = [line for line in axes.lines if len(set(line.get_xdata())) == 1]
    assert mark.get_xdata()[0] == 0.6 and to_rgba(mark.get_color()) == to_rgba(ALARM)


def test_a_kind_without_a_good_sensor_has_an_empty_map():
    given = replace(result(), good_C=SENSORS.kinds_C != MAGNETOMETER)
    axes = axes_titled(plot_word_locked(given), "Magnetometers")
    assert not axes.collections and not axes.images and not axes.axison


def test_many_places_are_interpolated(tmp_path):
    figure = plot_word_locked(word_locked(planted(tmp_path / "store")))
    assert any(axes.images for axes in figure.axes)


def test_the_page_shows_each_recording_and_what_was_refused(tmp_path):
    results = [result(), replace(result(), key="files/sub-2", verdict="aligned", sentence="As it <should>.")]
    page = write_word_page(tmp_path / "words.html", results, ["files/x has <no> words."])
    text = page.read_text()
    assert text.count("data:image/webp") >= 2 and "files/x has &lt;no&gt; words." in text
    assert "As it &lt;should&gt;." in text and "<should>" not in text
    row = text.partition('<th scope="row">files/sub-1</th>')[2].partition("</tr>")[0]
    assert ">shifted</td>" in row and "<td>321</td><td>0.30 s</td><td>Moved.</td>" in row
    with pytest.raises(InputError, match="--overwrite"):
        write_word_page(page, results)
