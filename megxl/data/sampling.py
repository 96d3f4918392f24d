"""Which items make which batches, in which order: one recording after another, on every rank, and exact after a stop.

The order of an epoch is a pure function of (seed, epoch): `RecordingBatchSampler` gives each rank its part of it and
can be told where to go on. Letters: N items.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, get_args

from torch.utils.data import Sampler

from megxl.data.dataset import Draw, Layout
from megxl.data.orders import Order, epoch_order, fill_batches
from megxl.errors import InputError

Remainder = Literal["drop", "repeat", "keep"]
"""What becomes of items that fill no batch, or no equal number of batches on every rank: they are left out; they are
filled up with items from the beginning of the epoch; or they make a short last batch (and only ranks are levelled by
repeated batches). Items that come twice are marked (`Draw.repeated`)."""

_SAME = ("seed", "order", "batch_size", "remainder", "world_size", "data")


@dataclass(frozen=True, kw_only=True)
class EpochCount:
    """What an epoch holds, over all ranks.

    Parameters
    ----------
    items : int
        Different items there are.
    batches : int
        Of each rank.
    dropped, repeated : int
        Items that no rank sees, and how many are seen beyond the first time.
    """

    items: int
    batches: int
    dropped: int
    repeated: int

    @property
    def summary(self) -> str:
        """One sentence."""
        return (
            f"{self.items} items in {self.batches} batches on each rank; left out in an epoch: {self.dropped}, "
            f"repeated: {self.repeated}."
        )


class RecordingBatchSampler(Sampler[list[Draw]]):
    """Batches of consecutive items, recording by recording, for a `DataLoader`'s ``batch_sampler``.

    A batch holds items of one number of sensors where possible: each number of sensors fills its own batches, and only
    what is left of them at the end of the epoch shares batches. The batches of an epoch are cut into one contiguous
    part a rank, so that each rank reads recording after recording; neighbours share at most the recordings at their
    border. All ranks have equally many batches.

    Where to go on after a stop is counted in batches that were *trained on*, not in those that a loader's workers
    fetched ahead: the training loop calls `advance` after each step, or gives its own count to `state_dict`.

    Parameters
    ----------
    layout : Layout
        Of the dataset.
    batch_size : int
        Of one rank.
    seed : int
    order, remainder
        See `Order` and `Remainder`.
    rank, world_size : int

    Raises
    ------
    InputError
        An option out of its range, or fewer batches than ranks.
    """

    def __init__(
        self,
        layout: Layout,
        *,
        batch_size: int,
        seed: int,
        order: Order = "recording",
        remainder: Remainder = "repeat",
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        _check(batch_size, order, remainder, rank, world_size)
        self.layout = layout
        self.batch_size = batch_size
        self.seed = seed
        self.order: Order = order
        self.remainder: Remainder = remainder
        self.rank = rank
        self.world_size = world_size
        self.epoch = 0
        self.position = 0
        """Batches of this epoch that were trained on."""
        self.count = self._count()

    @property
    def sampler(self) -> "RecordingBatchSampler":
        """Lightning tells the epoch to ``batch_sampler.sampler``: that is this object."""
        return self

    def __len__(self) -> int:
        """Batches of a whole epoch on this rank, also where a part of it is over."""
        return self.count.batches

    def __iter__(self) -> Iterator[list[Draw]]:
        """Go through the epoch's batches from `position` on."""
        epoch = 0 if self.order == "file" else self.epoch
        seen: set[int] = set()
        draws: list[list[Draw]] = []
        for batch in self._all_batches(self.epoch):
            draws.append([])
            for index in batch:
                draws[-1].append(Draw(index, epoch, index in seen))
                seen.add(index)
        return iter(draws[self.rank * len(self) :][self.position : len(self)])

    def set_epoch(self, epoch: int) -> None:
        """Begin an epoch; the one that is under way goes on."""
        if epoch != self.epoch:
            self.epoch, self.position = epoch, 0

    def advance(self, batches: int = 1) -> None:
        """Count batches as trained on; after the last one of an epoch the next epoch begins."""
        self.epoch, self.position = self._normalized(self.epoch, self.position + batches)

    def state_dict(self, consumed: int | None = None) -> dict[str, Any]:
        """Say where to go on; the same on all ranks.

        Parameters
        ----------
        consumed : int, optional
            Batches of this epoch that were trained on, if the training loop counts them itself.
        """
        epoch, position = self._normalized(self.epoch, self.position if consumed is None else consumed)
        return {"epoch": epoch, "position": position, **self._identity()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where a state was taken.

        Raises
        ------
        InputError
            The state belongs to other data, another seed, batch size, number of ranks, order or remainder.
        """
        for name, mine in self._identity().items():
            if state.get(name) != mine:
                what = (
                    "was taken with other windows or recordings"
                    if name == "data"
                    else f"was taken with {name} = {state.get(name)!r}, this run has {mine!r}"
                )
                raise InputError(
                    f"The order of batches cannot go on where it stopped: the state {what}. Resume with the same data "
                    "and settings, or begin a new run from the weights alone."
                )
        self.epoch, self.position = self._normalized(int(state["epoch"]), int(state["position"]))

    def batches(self, epoch: int) -> list[list[int]]:
        """All batches of this rank in an epoch, as places of items."""
        start = self.rank * len(self)
        return self._all_batches(epoch)[start : start + len(self)]

    def stream(self, epoch: int) -> list[int]:
        """All items in the order of an epoch, before batches and ranks are made of them."""
        return epoch_order(self.layout.recording_N, self.order, self.seed, epoch)

    def _identity(self) -> dict[str, Any]:
        values = (self.seed, self.order, self.batch_size, self.remainder, self.world_size, self.layout.fingerprint)
        return dict(zip(_SAME, values, strict=True))

    def _normalized(self, epoch: int, position: int) -> tuple[int, int]:
        assert position >= 0
        return epoch + position // len(self), position % len(self)

    def _all_batches(self, epoch: int) -> list[list[int]]:
        """Batches of all ranks, one rank after the other, equally many of each."""
        batches, short = fill_batches(self.stream(epoch), self.layout.sensors_N, self.batch_size)
        if self.remainder == "drop":
            return batches[: len(batches) // self.world_size * self.world_size]
        if short:
            batches.append(short if self.remainder == "keep" else self._filled_up(short, epoch))
        lacking = -len(batches) % self.world_size
        return batches + [batches[n % len(batches)] for n in range(lacking)]

    def _filled_up(self, short: list[int], epoch: int) -> list[int]:
        """Fill a batch with items from the beginning of the epoch, of the same number of sensors."""
        sensors_N = self.layout.sensors_N
        alike = [index for index in self.stream(epoch) if sensors_N[index] == sensors_N[short[-1]]]
        return short + [alike[n % len(alike)] for n in range(self.batch_size - len(short))]

    def _count(self) -> EpochCount:
        # how many there are depends on how many items each number of sensors has, not on the epoch
        batches = self._all_batches(epoch=0)
        items, shown = len(self.layout.recording_N), [index for batch in batches for index in batch]
        different = len(set(shown))
        if not batches:
            raise InputError(
                f"{items} items make too few whole batches of {self.batch_size} for {self.world_size} rank(s): choose "
                "a smaller batch_size, or remainder='repeat'."
            )
        return EpochCount(
            items=items,
            batches=len(batches) // self.world_size,
            dropped=items - different,
            repeated=len(shown) - different,
        )


def _check(batch_size: int, order: str, remainder: str, rank: int, world_size: int) -> None:
    for name, value, allowed in (("order", order, get_args(Order)), ("remainder", remainder, get_args(Remainder))):
        if value not in allowed:
            raise InputError(f"{name} = {value!r}; allowed: {', '.join(map(repr, allowed))}.")
    if batch_size < 1:
        raise InputError(f"batch_size = {batch_size}; allowed: 1 and more.")
    if not 0 <= rank < world_size:
        raise InputError(f"rank = {rank} of {world_size}; allowed: 0 to {world_size - 1}.")
