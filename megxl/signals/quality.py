"""What is wrong with a signal before anything is done to it: flat, not finite, saturated sensors.

Letters: C sensors, T samples.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

# a sensor counts as saturated when it stays at its maximum or minimum for more than this share of its samples
SATURATED_SHARE = 0.01


@dataclass(kw_only=True)
class QualityReport:
    """Sensors that a person should look at.

    Parameters
    ----------
    flat : list of str
        Sensors that never change.
    nonfinite : dict
        Name of a sensor: how many of its samples are NaN or infinite.
    first_nonfinite : dict
        Name of a sensor: index of its first such sample.
    saturated : dict
        Name of a sensor: share of its samples (0 to 1) that repeat its maximum or minimum.
    """

    flat: list[str] = field(default_factory=list)
    nonfinite: dict[str, int] = field(default_factory=dict)
    first_nonfinite: dict[str, int] = field(default_factory=dict)
    saturated: dict[str, float] = field(default_factory=dict)

    def extend(self, other: "QualityReport") -> None:
        """Add the report of other sensors of the same recording."""
        self.flat += other.flat
        self.nonfinite |= other.nonfinite
        self.first_nonfinite |= other.first_nonfinite
        self.saturated |= other.saturated

    @property
    def notes(self) -> list[str]:
        """One sentence a finding."""
        found = []
        if self.flat:
            what = (
                "1 sensor is flat and becomes"
                if len(self.flat) == 1
                else f"{len(self.flat)} sensors are flat and become"
            )
            found.append(f"{what} zero: {', '.join(self.flat)}.")
        if self.nonfinite:
            counts = ", ".join(f"{name} ({count})" for name, count in self.nonfinite.items())
            found.append(
                f"Sensors with NaN or infinite samples ({len(self.nonfinite)}; how many samples), set to zero "
                f"throughout: {counts}."
            )
        if self.saturated:
            shares = ", ".join(f"{name} ({share:.0%})" for name, share in self.saturated.items())
            found.append(f"Sensors that look saturated ({len(self.saturated)}; share of samples at a limit): {shares}.")
        return found


def inspect(signal_CT: np.ndarray, names: Sequence[str]) -> QualityReport:
    """Look for flat, non-finite and saturated sensors.

    Parameters
    ----------
    signal_CT : array, shape (C, T)
        As recorded, before any filter: a filter turns a flat line into rounding noise.
    names : sequence of str
        One name a row.

    Returns
    -------
    QualityReport
    """
    report = QualityReport()
    for name, signal_T in zip(names, signal_CT, strict=True):
        finite_T = np.isfinite(signal_T)
        if not finite_T.all():
            report.nonfinite[name] = int((~finite_T).sum())
            report.first_nonfinite[name] = int(np.argmin(finite_T))
            continue
        if signal_T.size and signal_T.min() == signal_T.max():
            report.flat.append(name)
            continue
        share = _saturated_share(signal_T)
        if share > SATURATED_SHARE:
            report.saturated[name] = share
    return report


def _saturated_share(signal_T: np.ndarray) -> float:
    """Share of samples that equal the sample before them and are the sensor's maximum or minimum.

    Runs, not single samples: a quiet sensor with few converter levels touches its extremes often, but does not stay.
    """
    at_limit_T = (signal_T == signal_T.max()) | (signal_T == signal_T.min())
    stays_T = at_limit_T[1:] & (signal_T[1:] == signal_T[:-1])
    return float(stays_T.sum() / max(1, signal_T.size))
