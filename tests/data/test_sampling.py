"""Order of batches: every item once, recording after recording, the same after a stop, on any number of ranks."""

import json
from collections import Counter
from itertools import groupby

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from megxl.data.dataset import Draw, Layout
from megxl.data.sampling import RecordingBatchSampler
from megxl.errors import InputError


def layout(items, sensors=None, fingerprint="0123") -> Layout:
    """Recordings with this many items, and this many sensors."""
    sensors = sensors or [306] * len(items)
    return Layout(
        recording_N=np.repeat(np.arange(len(items)), items),
        sensors_N=np.repeat(np.array(sensors), items),
        fingerprint=fingerprint,
    )


@st.composite
def layouts(draw) -> Layout:
    items = draw(st.lists(st.integers(1, 9), min_size=1, max_size=8))
    return layout(items, [draw(st.sampled_from([306, 270, 208])) for _ in items])


def samplers(data: Layout, world_size: int, **options) -> list[RecordingBatchSampler]:
    known = {"batch_size": 1, "seed": 0, "world_size": world_size} | options
    return [RecordingBatchSampler(data, rank=rank, **known) for rank in range(world_size)]


def indices(batches) -> list[int]:
    return [draw.index for batch in batches for draw in batch]


ORDERS = st.sampled_from(["recording", "recording_shuffled", "window", "published", "file"])
SIZES = {"batch_size": st.integers(1, 5), "world_size": st.sampled_from([1, 2, 3]), "epoch": st.integers(0, 50)}


@given(data=layouts(), order=ORDERS, seed=st.integers(0, 99), **SIZES)
def test_all_ranks_together_see_every_item_once_and_repeats_are_counted(
    data, order, seed, batch_size, world_size, epoch
):
    ranks = samplers(data, world_size, batch_size=batch_size, order=order, seed=seed)
    for sampler in ranks:
        sampler.set_epoch(epoch)
    batches = [list(sampler) for sampler in ranks]
    seen = Counter(index for rank in batches for index in indices(rank))
    assert set(seen) == set(range(len(data.recording_N)))
    assert {len(batch) for rank in batches for batch in rank} == {batch_size}
    assert {len(rank) for rank in batches} == {len(ranks[0])} == {ranks[0].count.batches}
    assert ranks[0].count.repeated == seen.total() - len(seen)
    assert ranks[0].count.repeated < batch_size * world_size
    assert ranks[0].count.dropped == 0


@given(data=layouts(), order=ORDERS, seed=st.integers(0, 99), **SIZES)
def test_what_is_dropped_is_counted_and_nothing_comes_twice(data, order, seed, batch_size, world_size, epoch):
    items = len(data.recording_N)
    options = {"batch_size": batch_size, "order": order, "seed": seed, "remainder": "drop"}
    if items // batch_size < world_size:
        with pytest.raises(InputError, match="too few whole batches"):
            samplers(data, world_size, **options)
        return
    ranks = samplers(data, world_size, **options)
    seen = Counter(index for sampler in ranks for batch in sampler.batches(epoch) for index in batch)
    assert set(seen.values()) == {1}
    assert ranks[0].count.dropped == items - len(seen) < batch_size * world_size


@given(data=layouts(), batch_size=st.integers(1, 5))
def test_validation_sees_every_item_once_in_the_order_of_the_file(data, batch_size):
    sampler = samplers(data, 1, batch_size=batch_size, order="file", remainder="keep")[0]
    sampler.set_epoch(3)
    draws = [draw for batch in sampler for draw in batch]
    assert sorted(draw.index for draw in draws) == list(range(len(data.recording_N)))
    assert {draw.epoch for draw in draws} == {0}  # whatever chance does to an item, it does in every epoch
    if len(set(data.sensors_N)) == 1:
        assert [draw.index for draw in draws] == list(range(len(draws)))
        assert [len(batch) for batch in sampler][:-1] == [batch_size] * (len(sampler) - 1)


@given(
    items=st.lists(st.integers(1, 9), min_size=1, max_size=8),
    order=st.sampled_from(["recording", "published"]),
    seed=st.integers(0, 99),
    **SIZES,
)
def test_each_rank_reads_one_recording_until_its_part_of_it_is_done(items, order, seed, batch_size, world_size, epoch):
    data = layout(items)
    ranks = samplers(data, world_size, batch_size=batch_size, order=order, seed=seed)
    total, cuts = 0, 0
    for sampler in ranks:
        read = [index for batch in sampler.batches(epoch) for index in batch]
        fresh = read[: max(0, len(data.recording_N) - total)]  # what follows is repeated to level the ranks
        total += len(read)
        visits = [recording for recording, _ in groupby(data.recording_N[fresh].tolist())]
        assert len(visits) == len(set(visits))
        cuts += len(visits)
        for _, run in groupby(fresh, key=lambda index: data.recording_N[index]):
            run = list(run)
            assert run == list(range(run[0], run[0] + len(run)))
    assert cuts <= len(items) + world_size - 1  # a border between ranks cuts one recording at most


@given(data=layouts(), order=ORDERS, stop=st.integers(0, 10**6), more=st.integers(0, 3), **SIZES)
def test_a_resumed_run_sees_the_batches_that_an_unbroken_one_would(
    data, order, stop, more, batch_size, world_size, epoch
):
    options = {"batch_size": batch_size, "order": order, "seed": 4}
    for rank in range(world_size):
        unbroken, broken, resumed = (samplers(data, world_size, **options)[rank] for _ in range(3))
        for sampler in (unbroken, broken):
            sampler.set_epoch(epoch)
        whole = list(unbroken)
        done = stop % (len(whole) + 1)
        reading = iter(broken)
        for _ in range(min(len(whole), done + more)):  # workers fetch ahead of what is trained on
            next(reading)
        for _ in range(done):
            broken.advance()
        resumed.load_state_dict(json.loads(json.dumps(broken.state_dict())))
        unbroken.set_epoch(epoch + 1)
        rest = list(resumed)
        assert rest == (whole[done:] if done < len(whole) else list(unbroken))
        if done < len(whole):
            resumed.set_epoch(epoch)  # telling the epoch that is under way changes nothing
            assert list(resumed) == rest
        resumed.set_epoch(epoch + 1)
        assert list(resumed) == list(unbroken)


def test_a_state_may_count_what_the_training_loop_counted():
    sampler = samplers(layout([5, 4, 3]), 1, batch_size=2)[0]
    sampler.set_epoch(2)
    assert sampler.state_dict(consumed=4)["position"] == 4
    ended = sampler.state_dict(consumed=len(sampler))
    assert (ended["epoch"], ended["position"]) == (3, 0)


def test_the_length_is_that_of_the_whole_epoch_in_its_midst_too():
    sampler = samplers(layout([5, 4, 3]), 1, batch_size=2)[0]
    sampler.advance(4)
    assert len(sampler) == 6 and len(list(sampler)) == 2


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"batch_size": 3}, "batch_size = 2, this run has 3"),
        ({"seed": 1}, "seed = 0, this run has 1"),
        ({"order": "window"}, "order = 'recording', this run has 'window'"),
        ({"remainder": "drop"}, "remainder = 'repeat', this run has 'drop'"),
        ({"world_size": 2}, "world_size = 1, this run has 2"),
        ({"layout": layout([5, 4, 3], fingerprint="4567")}, "other windows or recordings"),
    ],
)
def test_a_state_of_another_run_is_refused(changed, words):
    options = {"layout": layout([5, 4, 3]), "batch_size": 2, "seed": 0}
    state = RecordingBatchSampler(**options).state_dict()
    with pytest.raises(InputError, match=words):
        RecordingBatchSampler(**(options | changed)).load_state_dict(state)


@pytest.mark.parametrize("order", ["recording", "recording_shuffled", "window", "published"])
def test_epochs_and_seeds_give_other_orders(order):
    data = layout([4] * 8)
    streams = {
        tuple(samplers(data, 1, order=order, seed=seed)[0].stream(epoch)) for seed in (0, 100) for epoch in (0, 1)
    }
    assert len(streams) == 4


def test_a_shuffled_recording_stays_together():
    stream = samplers(layout([6] * 5), 1, order="recording_shuffled")[0].stream(1)
    for start in range(0, 30, 6):
        part = stream[start : start + 6]
        assert len({index // 6 for index in part}) == 1
    assert any(stream[start : start + 6] != sorted(stream[start : start + 6]) for start in range(0, 30, 6))


def test_a_draw_carries_its_epoch():
    sampler = samplers(layout([2, 2]), 1, batch_size=2)[0]
    sampler.set_epoch(7)
    assert all(isinstance(draw, Draw) and draw.epoch == 7 for batch in sampler for draw in batch)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"batch_size": 0}, "batch_size = 0"),
        ({"order": "random"}, "order = 'random'; allowed: 'recording'"),
        ({"remainder": "lose"}, "remainder = 'lose'; allowed: 'drop'"),
        ({"rank": 2, "world_size": 2}, "rank = 2 of 2; allowed: 0 to 1"),
    ],
)
def test_options_out_of_range_are_refused(options, words):
    with pytest.raises(InputError, match=words):
        RecordingBatchSampler(layout([3]), **({"batch_size": 1, "seed": 0} | options))


def test_the_count_is_told_in_a_sentence():
    sampler = samplers(layout([5, 4]), 2, batch_size=2)[0]
    assert sampler.count.summary == "9 items in 3 batches on each rank; left out in an epoch: 0, repeated: 3."


@given(data=layouts(), order=ORDERS, remainder=st.sampled_from(["drop", "repeat", "keep"]), **SIZES)
def test_what_is_not_marked_as_repeated_is_every_item_once(data, order, remainder, batch_size, world_size, epoch):
    options = {"batch_size": batch_size, "order": order, "remainder": remainder}
    try:
        ranks = samplers(data, world_size, **options)
    except InputError:
        return  # fewer whole batches than ranks
    for sampler in ranks:
        sampler.set_epoch(epoch)
    draws = [draw for sampler in ranks for batch in sampler for draw in batch]
    first = [draw.index for draw in draws if not draw.repeated]
    assert len(first) == len(set(first)) == len(data.recording_N) - ranks[0].count.dropped
    assert len(draws) - len(first) == ranks[0].count.repeated
