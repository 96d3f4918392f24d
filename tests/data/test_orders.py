"""Orders of an epoch: known ones stay as they are, arrays are kept apart as far as possible."""

import json
from collections import Counter
from itertools import groupby

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from megxl.data.orders import epoch_order, fill_batches, published_recording_order

RECORDINGS = np.repeat(np.arange(5), [3, 1, 4, 2, 6])
KNOWN = [[10, 11, 12, 13, 14, 15, 8, 9, 0, 1, 2, 3, 4, 5, 6, 7], [10, 11, 12, 13, 14, 15, 4, 5, 6, 7, 0, 1, 2, 8, 9, 3]]


def test_known_orders_do_not_change():
    """Written down once: an order that changes would break the resumption of every run."""
    assert [epoch_order(RECORDINGS, "recording", 42, epoch) for epoch in (0, 1)] == KNOWN


def test_the_published_order_is_the_reference_s(shared):
    expected = json.loads((shared / "golden" / "data_reference.json").read_text())["expected"]["recording_sampler"]
    segments, seed = expected["segments_per_recording"], expected["seed"]
    recording_N = np.repeat(np.arange(len(segments)), segments)
    for epoch, order in expected["order"].items():
        assert published_recording_order(segments, seed, int(epoch)) == order
        assert epoch_order(recording_N, "published", seed, int(epoch)) == order


@given(
    recordings=st.lists(st.tuples(st.integers(1, 9), st.sampled_from([306, 270, 208])), min_size=1, max_size=8),
    seed=st.integers(0, 99),
    batch_size=st.integers(1, 5),
)
def test_arrays_are_mixed_only_in_what_is_left_over(recordings, seed, batch_size):
    items, sensors = zip(*recordings, strict=True)
    recording_N, sensors_N = np.repeat(np.arange(len(items)), items), np.repeat(sensors, items)
    full, short = fill_batches(epoch_order(recording_N, "recording", seed, 0), sensors_N, batch_size)
    counts = Counter(sensors_N.tolist())
    pure = [batch for batch in full if len(set(sensors_N[batch].tolist())) == 1]
    assert len(pure) >= sum(n // batch_size for n in counts.values())
    assert sorted(index for batch in [*full, short] for index in batch) == list(range(len(recording_N)))
    for count in counts:  # among items of one array, recordings stay together
        alike = [index for batch in full for index in batch if sensors_N[index] == count]
        visits = [recording for recording, _ in groupby(recording_N[alike].tolist())]
        assert len(visits) == len(set(visits))
