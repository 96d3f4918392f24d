"""Published order of an epoch (alias of `megxl.data.orders`)."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import Sampler

from megxl.errors import InputError


class RecordingShuffleSampler(Sampler[int]):
    """Recordings in another order every epoch, the segments of each in the order of time.

    Parameters
    ----------
    dataset : a published dataset
    seed : int, optional
        The order is a pure function of it and the epoch; None: NumPy's global generator draws it.
    generator : torch.Generator, optional
        Draws the order in place of the seed.
    rank, world_size : int
        Of several devices each gets one contiguous part, equally long for all: what is lacking is repeated from the
        beginning. `megxl.data.sampling.RecordingBatchSampler` also goes on after a stop.

    Raises
    ------
    InputError
        Several devices without a seed: each would draw an order of its own.
    """

    def __init__(
        self,
        dataset: Any,
        seed: int | None = 42,
        *,
        generator: torch.Generator | None = None,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        if world_size > 1 and (seed is None or generator is not None):
            raise InputError("On several devices the order needs a seed that all share: give seed, and no generator.")
        blocks: dict[int, list[int]] = {}
        for index, (recording, _) in enumerate(dataset.segment_index):
            blocks.setdefault(recording, []).append(index)
        self.blocks = list(blocks.values())
        """Segments of each recording."""
        self.seed, self.generator = seed, generator
        self.rank, self.world_size = rank, world_size
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order comes next."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        order = [index for place in self._permutation() for index in self.blocks[place]]
        start = self.rank * len(self)
        return (order[place % len(order)] for place in range(start, start + len(self)))

    def __len__(self) -> int:
        return -(-sum(map(len, self.blocks)) // self.world_size)

    def _permutation(self) -> list[int]:
        generator = self.generator
        if generator is None:
            if self.seed is None:
                return np.random.permutation(len(self.blocks)).tolist()  # noqa: NPY002, the global one is asked for
            generator = torch.Generator().manual_seed(self.seed + self.epoch)
        return torch.randperm(len(self.blocks), generator=generator).tolist()


def ranks(trainer: Any) -> tuple[int, int]:
    """Rank and number of devices of a Trainer, for `RecordingShuffleSampler`; without one, a single device.

    Raises
    ------
    InputError
        Lightning would put its own sampler around it, which tears recordings apart.
    """
    if trainer is None or trainer.world_size == 1:
        return 0, 1
    # Lightning has no public word for it
    if getattr(trainer._accelerator_connector, "use_distributed_sampler", False):
        raise InputError(
            "On several devices the data module gives each its part: use Trainer(use_distributed_sampler=False)."
        )
    return trainer.global_rank, trainer.world_size


def stack(items: Sequence[dict]) -> tuple[torch.Tensor, ...]:
    """Signal, sensors, types and masks of items side by side."""
    names = ("meg", "sensor_xyzdir", "sensor_types", "sensor_mask")
    return tuple(torch.stack([item[name] for item in items]) for name in names)
