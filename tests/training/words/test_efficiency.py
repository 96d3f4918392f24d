"""Curves: means and intervals over seeds, and hours of one method in place of another's by closed forms."""

import math

import numpy as np
import pytest
import scipy.stats

from megxl.errors import InputError
from megxl.training.words.efficiency import Curve, Point, make_curves, reach
from megxl.training.words.finished import Row


def row(result: float, hours: float = 1.0, seed: int = 0, method: str = "a", amount: str | None = None) -> Row:
    return Row(method=method, amount=amount or f"{hours} h", hours=hours, seed=seed, metric="m", result=result,
               low=result - 0.05, high=result + 0.03, chance=0.2, task="t", folder="f")  # fmt: skip


def curve(method: str, **results: list[float]) -> Curve:
    """Of results by hours, as in h2=[0.3]."""
    rows = [
        row(result, float(hours[1:].replace("_", ".")), seed, method)
        for hours, some in results.items()
        for seed, result in enumerate(some)
    ]
    return make_curves(rows)[0]


def test_runs_of_one_amount_are_a_point_and_points_rise_by_hours():
    rows = [row(0.5, 2.0, 0), row(0.3, 0.9, 0, amount="1 h"), row(0.4, 1.1, 1, amount="1 h"), row(0.1, method="b")]
    first, second = make_curves(rows)
    assert (first.method, second.method) == ("a", "b")
    assert [(point.hours, point.results) for point in first.points] == [(1.0, (0.3, 0.4)), (2.0, (0.5,))]
    assert first.most.hours == 2.0


def test_the_interval_over_seeds_is_students():
    results = [0.3, 0.37, 0.42]
    point = Point.of([row(result, seed=seed) for seed, result in enumerate(results)])
    low, high = scipy.stats.t.interval(0.95, 2, loc=np.mean(results), scale=scipy.stats.sem(results))
    assert point.mean == pytest.approx(np.mean(results))
    assert (point.low, point.high) == (pytest.approx(low), pytest.approx(high))


def test_a_single_seed_has_the_interval_of_its_own_groups():
    point = Point.of([row(0.4)])
    assert (point.mean, point.low, point.high) == (0.4, pytest.approx(0.35), pytest.approx(0.43))


def test_hours_are_interpolated_over_their_logarithm():
    steep, flat = curve("a", h1=[0.2], h4=[0.4], h16=[0.6]), curve("b", h1=[0.1], h50=[0.5])
    found = reach(steep, flat)
    assert found.hours == pytest.approx(8.0)  # halfway from 4 to 16 by the logarithm
    assert (found.other_hours, found.result, found.low, found.high) == (50.0, 0.5, None, None)
    assert "8 h of a (one seed at some point, so without an interval) reach the 50.0% that 50 h of b" in found.sentence
    assert "1 h instead of 6.25 h" in found.sentence
    assert reach(steep, flat, flat.points[0].of([row(0.3, 3.0)])).hours == pytest.approx(2.0)


def test_the_first_rise_counts_where_a_curve_falls_again():
    bumpy, other = curve("a", h1=[0.2], h2=[0.6], h4=[0.3], h8=[0.7]), curve("b", h9=[0.4])
    assert reach(bumpy, other).hours == pytest.approx(2**0.5)


def test_the_bootstrap_draws_the_seeds_of_all_points():
    exact = curve("a", h1=[0.2, 0.2], h4=[0.4, 0.4])
    noisy = curve("b", h9=[0.25, 0.35])
    found = reach(exact, noisy)
    # the other's mean is 0.25, 0.3 or 0.35, with shares of a quarter, a half and a quarter
    expected = [math.exp((result - 0.2) / 0.2 * math.log(4)) for result in (0.25, 0.35)]
    assert (found.low, found.high) == tuple(pytest.approx(hours) for hours in expected)
    assert found == reach(exact, noisy) and "95% of resampled seeds: 1.41 to 2.83 h" in found.sentence


def test_bounds_beyond_what_was_tried_say_so():
    wide = curve("a", h1=[0.1, 0.5], h4=[0.3, 0.7])
    found = reach(wide, curve("b", h9=[0.4, 0.4]))
    assert (found.low, found.high) == (-math.inf, math.inf)
    assert "less than 1 to more than 4 h" in found.sentence


@pytest.mark.parametrize(
    ("result", "said"),
    [
        (0.7, "a and b do not cross: 4 h of the former reach 60.0%, less than the 70.0% that 9 h of the latter reach; "
              "train with more hours of the former"),
        (0.1, "a and b do not cross: 1 h of the former reach 20.0%, more than the 10.0% that 9 h of the latter reach; "
              "train with fewer hours of the former"),
    ],
)  # fmt: skip
def test_curves_that_do_not_cross_are_refused(result, said):
    with pytest.raises(InputError) as error:
        reach(curve("a", h1=[0.2], h4=[0.6], h8=[0.5]), curve("b", h9=[result]))
    assert said in str(error.value)
