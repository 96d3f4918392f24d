"""Accuracy against hours of training: curves of finished runs, and how many hours of one method replace another's.

Letters: R resamples, P points of a curve.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.stats

from megxl.data.seeds import seed_of
from megxl.errors import InputError
from megxl.training.words.finished import Row

LEVEL = 0.95
RESAMPLES = 10_000


@dataclass(frozen=True, kw_only=True)
class Point:
    """Runs of one method and amount of data that differ in their seeds."""

    hours: float
    """Their mean."""
    results: tuple[float, ...]
    mean: float
    low: float
    """Of the interval of the mean over seeds by Student's t; of a single run, of its own over groups."""
    high: float

    @classmethod
    def of(cls, rows: Sequence[Row]) -> "Point":
        """Join runs."""
        results = tuple(row.result for row in rows)
        mean, low, high = float(np.mean(results)), rows[0].low, rows[0].high
        if len(rows) > 1:
            error = np.std(results, ddof=1) / np.sqrt(len(results))
            half = float(scipy.stats.t.ppf((1 + LEVEL) / 2, len(results) - 1) * error)
            low, high = mean - half, mean + half
        return cls(hours=float(np.mean([row.hours for row in rows])), results=results, mean=mean, low=low, high=high)


@dataclass(frozen=True, kw_only=True)
class Curve:
    """A method's points, by rising hours."""

    method: str
    points: tuple[Point, ...]

    @property
    def most(self) -> Point:
        """The point of most hours."""
        return self.points[-1]


@dataclass(frozen=True, kw_only=True)
class Reach:
    """How many hours of one method reach what another one reaches with more (or fewer)."""

    method: str
    hours: float
    other: str
    other_hours: float
    result: float
    """What both reach."""
    low: float | None
    """Of the bootstrap over seeds; -inf: below the fewest hours that were tried. None: a point has a single seed."""
    high: float | None
    """inf: more than the most hours that were tried."""
    tried: tuple[float, float]
    """Fewest and most hours of the method."""

    @property
    def sentence(self) -> str:
        """For a person."""
        bounds = "one seed at some point, so without an interval"
        if self.low is not None and self.high is not None:
            low = f"less than {self.tried[0]:.3g}" if self.low == -np.inf else f"{self.low:.3g}"
            high = f"more than {self.tried[1]:.3g}" if self.high == np.inf else f"{self.high:.3g}"
            bounds = f"{LEVEL:.0%} of resampled seeds: {low} to {high} h"
        return (
            f"{self.hours:.3g} h of {self.method} ({bounds}) reach the {self.result:.1%} that {self.other_hours:.3g} h "
            f"of {self.other} reach: 1 h instead of {self.other_hours / self.hours:.3g} h."
        )


def make_curves(rows: Sequence[Row]) -> list[Curve]:
    """Join runs to curves, in the order in which methods first occur."""
    curves = []
    for method in dict.fromkeys(row.method for row in rows):
        own = [row for row in rows if row.method == method]
        amounts = dict.fromkeys(row.amount for row in own)
        points = [Point.of([row for row in own if row.amount == amount]) for amount in amounts]
        curves.append(Curve(method=method, points=tuple(sorted(points, key=lambda point: point.hours))))
    return curves


def reach(curve: Curve, other: Curve, at: Point | None = None, *, resamples: int = RESAMPLES, seed: int = 0) -> Reach:
    """How many hours of one method do what another one does: results interpolated over the logarithm of hours.

    Parameters
    ----------
    curve, other : Curve
    at : Point, optional
        Of the other; by default that of most hours.
    resamples, seed : int
        Of the bootstrap, which draws the seeds of every point anew.

    Raises
    ------
    InputError
        The curve does not cross that result between its fewest and most hours.
    """
    at = at or other.most
    hours_P = np.array([point.hours for point in curve.points])
    means_1P = np.array([[point.mean for point in curve.points]])
    found = float(_crossings(hours_P, means_1P, np.array([at.mean]))[0])
    if not np.isfinite(found):
        word, end = ("more", curve.points[0]) if found < 0 else ("less", max(curve.points, key=lambda one: one.mean))
        raise InputError(
            f"{curve.method} and {other.method} do not cross: {end.hours:.3g} h of the former reach {end.mean:.1%}, "
            f"{word} than the {at.mean:.1%} that {at.hours:.3g} h of the latter reach; "
            f"train with {'fewer' if found < 0 else 'more'} hours of the former, or compare with another amount."
        )
    low = high = None
    if all(len(point.results) > 1 for point in (*curve.points, at)):
        rng = np.random.default_rng(seed_of("bootstrap", seed))
        means_RP = np.stack([_resampled(point, rng, resamples) for point in curve.points], axis=1)
        crossed_R = _crossings(hours_P, means_RP, _resampled(at, rng, resamples))
        # of ends that are infinite no value lies between
        low, high = map(float, np.quantile(crossed_R, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], method="nearest"))
    return Reach(
        method=curve.method,
        hours=found,
        other=other.method,
        other_hours=at.hours,
        result=at.mean,
        low=low,
        high=high,
        tried=(float(hours_P[0]), float(hours_P[-1])),
    )


def _resampled(point: Point, rng: np.random.Generator, resamples: int) -> np.ndarray:
    results = np.array(point.results)
    return results[rng.integers(len(results), size=(resamples, len(results)))].mean(1)


def _crossings(hours_P: np.ndarray, means_RP: np.ndarray, wanted_R: np.ndarray) -> np.ndarray:
    """Hours at which each curve first rises to a result; -inf: from the first on, inf: never."""
    found_R = np.full(len(means_RP), np.inf)
    logs_P = np.log(hours_P)
    for place in range(len(hours_P) - 1, 0, -1):
        before_R, after_R = means_RP[:, place - 1], means_RP[:, place]
        rises_R = (before_R < wanted_R) & (after_R >= wanted_R)
        share_R = np.divide(wanted_R - before_R, after_R - before_R, out=np.zeros_like(wanted_R), where=rises_R)
        there_R = np.exp(logs_P[place - 1] + share_R * (logs_P[place] - logs_P[place - 1]))
        found_R = np.where(rises_R, there_R, found_R)
    return np.where(means_RP[:, 0] >= wanted_R, -np.inf, found_R)
