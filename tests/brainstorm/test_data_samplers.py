from types import SimpleNamespace

import numpy as np
import pytest
import torch

from brainstorm.data.samplers import RecordingShuffleSampler, ranks
from megxl.data.orders import published_recording_order
from megxl.errors import InputError

COUNTS = [3, 1, 4, 2, 5]
DATASET = SimpleNamespace(segment_index=[(r, s) for r, count in enumerate(COUNTS) for s in range(count)])
RECORDINGS = [recording for recording, _ in DATASET.segment_index]


def recordings_of(indices: list[int]) -> list[int]:
    """Recordings in the order in which they come, each as often as it is begun."""
    come = [RECORDINGS[index] for index in indices]
    return [recording for n, recording in enumerate(come) if n == 0 or come[n - 1] != recording]


def test_the_order_of_a_seed_is_the_published_one():
    sampler = RecordingShuffleSampler(DATASET, 7)
    sampler.set_epoch(3)
    assert list(sampler) == published_recording_order(COUNTS, 7, 3) and len(sampler) == 15
    sampler.set_epoch(4)
    assert list(sampler) == published_recording_order(COUNTS, 7, 4)


def test_a_generator_draws_in_place_of_the_seed():
    sampler = RecordingShuffleSampler(DATASET, generator=torch.Generator().manual_seed(5))
    generator = torch.Generator().manual_seed(5)
    for _ in range(2):
        assert recordings_of(list(sampler)) == torch.randperm(5, generator=generator).tolist()


def test_without_a_seed_numpy_draws():
    np.random.seed(11)  # noqa: NPY002, the global one is what is asked for
    found = recordings_of(list(RecordingShuffleSampler(DATASET, seed=None)))
    assert found == np.random.RandomState(11).permutation(5).tolist()


@pytest.mark.parametrize("world_size", [2, 3, 4])
def test_each_device_gets_one_contiguous_part_of_the_same_order(world_size):
    parts = [list(RecordingShuffleSampler(DATASET, 7, rank=n, world_size=world_size)) for n in range(world_size)]
    joined, order = [index for part in parts for index in part], published_recording_order(COUNTS, 7, 0)
    assert len({len(part) for part in parts}) == 1 and joined[:15] == order
    assert joined[15:] == order[: len(joined) - 15] and len(joined) < 15 + world_size


def test_devices_that_would_draw_orders_of_their_own_are_refused():
    for options in ({"seed": None}, {"generator": torch.Generator()}):
        with pytest.raises(InputError, match="needs a seed that all share"):
            RecordingShuffleSampler(DATASET, **options, rank=1, world_size=2)


def test_a_trainer_that_would_wrap_the_sampler_is_refused():
    lightning = pytest.importorskip("lightning.pytorch")
    quiet = {"accelerator": "cpu", "devices": 2, "strategy": "ddp", "logger": False, "enable_checkpointing": False}
    assert ranks(None) == (0, 1)
    assert ranks(lightning.Trainer(**quiet, use_distributed_sampler=False)) == (0, 2)
    with pytest.raises(InputError, match=r"use_distributed_sampler=False"):
        ranks(lightning.Trainer(**quiet))
