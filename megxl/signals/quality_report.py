"""What a person should look at in a recording: findings about sensors, and the sentences that say them."""

from dataclasses import asdict, dataclass, field
from typing import Any

from megxl.errors import InputError

TOO_SMALL = "too small"


@dataclass(kw_only=True)
class QualityReport:
    """What a person should look at.

    Parameters
    ----------
    flat : list of str
        Sensors that never change.
    flat_s : dict
        Name of a sensor that changes now and then: in how many whole seconds it does not, while others do.
    nonfinite : dict
        Name of a sensor: how many of its samples are NaN or infinite.
    first_nonfinite : dict
        Name of a sensor: index of its first such sample.
    saturated : dict
        Name of a sensor: share of its samples (0 to 1) that repeat its maximum or minimum.
    jumpy : dict
        Name of a sensor: seconds after the first in which it steps much further, from one sample to the next, than
        it usually does, or than its like and its own mean step (flux jumps, lost contacts).
    jumpy_at_start : list of str
        Sensors that do so in the first second, as those do that had not settled yet.
    noisy, quiet : dict
        Name of a sensor: how many times what its like cover in the median second it covers itself.
    unit_suspects : dict
        Name of a sensor: the unit its numbers look like, where they cannot be SI units (or `TOO_SMALL` to be any).
    duplicates : list of list of str
        Sensors that hold the same samples, together.
    too_short_s : float, optional
        Length of the shortest stretch that is filtered by itself, if the filter is longer.
    """

    flat: list[str] = field(default_factory=list)
    flat_s: dict[str, int] = field(default_factory=dict)
    nonfinite: dict[str, int] = field(default_factory=dict)
    first_nonfinite: dict[str, int] = field(default_factory=dict)
    saturated: dict[str, float] = field(default_factory=dict)
    jumpy: dict[str, int] = field(default_factory=dict)
    jumpy_at_start: list[str] = field(default_factory=list)
    noisy: dict[str, float] = field(default_factory=dict)
    quiet: dict[str, float] = field(default_factory=dict)
    unit_suspects: dict[str, str] = field(default_factory=dict)
    duplicates: list[list[str]] = field(default_factory=list)
    too_short_s: float | None = None

    @property
    def notes(self) -> list[str]:
        """One sentence a finding about sensors."""
        found = []
        if self.flat:
            what = (
                "1 sensor is flat and becomes"
                if len(self.flat) == 1
                else f"{len(self.flat)} sensors are flat and become"
            )
            found.append(f"{what} zero: {', '.join(self.flat)}.")
        if self.nonfinite:
            found.append(
                f"Sensors with NaN or infinite samples ({len(self.nonfinite)}; how many samples), set to zero "
                f"throughout: {_listed(self.nonfinite)}."
            )
        shares = {name: f"{share:.1%}" for name, share in self.saturated.items()}
        for what, how_much, values in (
            ("rest for whole seconds", "how many", self.flat_s),
            ("look saturated", "share of samples at a limit", shares),
            ("jump", "in how many seconds", self.jumpy),
            ("are much noisier than their like", "how many times", self.noisy),
            ("are much quieter than their like", "how many times their signal", self.quiet),
        ):
            if values:
                found.append(f"Sensors that {what} ({len(values)}; {how_much}): {_listed(values)}.")
        if self.jumpy_at_start:
            names = ", ".join(self.jumpy_at_start)
            found.append(f"Sensors that jump in the first second ({len(self.jumpy_at_start)}): {names}.")
        for unit in dict.fromkeys(self.unit_suspects.values()):
            names = [name for name, its in self.unit_suspects.items() if its == unit]
            looks = "are too small for SI units" if unit == TOO_SMALL else f"look like {unit} instead of SI units"
            found.append(f"Sensors whose numbers {looks} ({len(names)}): {', '.join(names)}.")
        found += [f"Sensors that hold the same samples: {', '.join(group)}." for group in self.duplicates]
        return found

    def to_json(self) -> dict[str, Any]:
        """Return what `from_json` takes; fits into JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "QualityReport":
        """Make a report of what `to_json` gave.

        Raises
        ------
        InputError
            Fields that no report has.
        """
        unknown = sorted(set(values) - set(cls.__dataclass_fields__))
        if unknown:
            raise InputError(f"A quality report has no field {unknown[0]!r}; known: {', '.join(cls().to_json())}.")
        return cls(**values)


def _listed(values: dict[str, Any]) -> str:
    return ", ".join(f"{name} ({value})" for name, value in values.items())
