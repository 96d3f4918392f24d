"""How a preparation went, for people and for programs: `Result`."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from megxl.data.preparing.plan import Plan
from megxl.data.preparing.summary import Holdings, counted, hours
from megxl.data.preparing.task import Outcome


@dataclass(kw_only=True)
class Result:
    """How a preparation went, and what the store holds of what was asked for."""

    plan: Plan
    outcomes: list[Outcome]
    holdings: Holdings
    damaged: dict[str, str]
    """Recordings that are damaged in the store: how."""
    made_s: float
    """Seconds of recordings that were made."""
    seconds: float
    """That it took."""
    keys: list[str]
    """Recordings of the request that the store holds as they should be."""
    outdated: dict[str, str]
    """Recordings that it holds as they were before, since they failed or were left for another time: what changed."""

    @property
    def failed(self) -> list[Outcome]:
        """Recordings that could not be made."""
        return [outcome for outcome in self.outcomes if outcome.kind == "failed"]

    @property
    def complete(self) -> bool:
        """Whether all that was asked for is in the store (but for what a limit left out)."""
        return not (self.failed or self.damaged)

    def rows(self) -> Iterator[tuple[str, str]]:
        """Name and value of each line of a table."""
        yield from self.preparation_rows()
        yield from self.holdings.rows()

    def preparation_rows(self) -> Iterator[tuple[str, str]]:
        """Say what was done, without what the store holds."""
        kinds = Counter(outcome.kind for outcome in self.outcomes)
        yield "current", f"{counted(len(self.plan.current), 'recording')} in the store already"
        if self.plan.steps:
            yield "to do", ", ".join(f"{reason} ({count})" for reason, count in self.plan.reasons().items())
        if kinds["made"]:
            factor = f", {self.made_s / self.seconds:.3g} times real time" if self.made_s else ""
            yield (
                "made",
                f"{counted(kinds['made'], 'recording')}: {hours(self.made_s)} in {hours(self.seconds)}{factor}",
            )
        if kinds["words"]:
            yield "words", f"of {counted(kinds['words'], 'recording')} read again"
        if kinds["elsewhere"]:
            yield "elsewhere", f"{counted(kinds['elsewhere'], 'recording')} made by another process meanwhile"
        if kinds["failed"]:
            yield "failed", counted(kinds["failed"], "recording")
        if self.damaged:
            yield "damaged", counted(len(self.damaged), "recording")
        if self.plan.waiting:
            yield "left", f"{counted(len(self.plan.waiting), 'recording')} for another time (--limit)"
        for why, count in Counter(reason.partition(":")[0] for reason in self.outdated.values()).items():
            yield "outdated", f"{counted(count, 'recording')} still in the store as before ({why}), not counted below"

    def to_json(self) -> dict[str, Any]:
        """Return plain numbers, lists and dictionaries."""
        return {
            "current": self.plan.current,
            "outcomes": [asdict(outcome) for outcome in self.outcomes],
            "damaged": self.damaged,
            "left": len(self.plan.waiting),
            "outdated": self.outdated,
            "made_s": self.made_s,
            "seconds": self.seconds,
            "holdings": self.holdings.to_json(),
        }
