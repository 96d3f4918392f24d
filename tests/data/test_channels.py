"""Canonical order: row n is one sensor everywhere; what is missing is zero and masked."""

import numpy as np
import pytest

from megxl.data.channels import arrange, canonical_order, sensor_labels
from megxl.errors import InputError
from megxl.signals.sensors import SensorArray
from megxl.store import Store
from tests.data.small import put


def array(names, kinds=None, shift=0.0) -> SensorArray:
    """Sensors whose position is told by the last number in their label."""
    numbers = np.array([float("".join(c for c in name.split("-")[0] if c.isdigit())) for name in names])
    return SensorArray(
        names=tuple(names),
        positions_C3=np.stack([numbers + shift, numbers**2, np.ones(len(names))], 1),
        orientations_C3=np.tile([0.0, 0.0, 1.0], (len(names), 1)),
        kinds_C=np.zeros(len(names)) if kinds is None else np.array(kinds),
    )


@pytest.fixture
def store(tmp_path) -> Store:
    store = Store.create(tmp_path / "store")
    put(store, "a", "sub-2", array=array(["MLC12-4304", "MLC 2-4304", "MLC11-4304"]))
    put(store, "a", "sub-10", array=array(["MLC11-1609", "MLC3-1609", "MLC12-1609"], shift=0.5))
    return store


def test_labels_are_those_of_the_sensor_not_of_the_file():
    assert sensor_labels(array(["MEG 0113", "MEG0112"])) == ["MEG0113", "MEG0112"]
    assert sensor_labels(array(["MLC 11-4304", "MLC12-4304"])) == ["MLC11", "MLC12"]
    assert sensor_labels(array(["MLC11-4304", "F3-A1"], kinds=[0, 2])) == ["MLC11", "F3-A1"]
    assert sensor_labels(array(["L1-X", "L1-Y"])) == ["L1-X", "L1-Y"]  # axes of one magnetometer
    assert sensor_labels(array(["L1-Z", "L2-Z"])) == ["L1-Z", "L2-Z"]  # in another recording it may have more
    assert sensor_labels(array(["F3-A1", "F4-A1"], kinds=[2, 2])) == ["F3-A1", "F4-A1"]


def test_the_same_sensors_give_the_same_order_however_they_come(store):
    recordings = store.recordings()
    names = canonical_order(recordings).sensors.names
    assert names == ("MLC2", "MLC3", "MLC11", "MLC12") == canonical_order(recordings[::-1]).sensors.names
    # where a sensor lies is told by the first recording by name that has it: sub-2 comes before sub-10
    assert canonical_order(recordings[::-1]).sensors.positions_C3[:, 0].tolist() == [2.0, 3.5, 11.0, 12.0]


def test_rows_go_to_their_places_and_missing_ones_are_zero_and_masked(store):
    order = canonical_order(store.recordings())
    first, second = store.recordings()
    for recording, present in ((first, [0, 2, 3]), (second, [1, 2, 3])):
        signal_CT, present_C = arrange(recording.read(), recording.sensors, order)
        assert np.flatnonzero(present_C).tolist() == present
        assert not signal_CT[~present_C].any()
        for row in present:
            own = sensor_labels(recording.sensors).index(order.sensors.names[row])
            np.testing.assert_array_equal(signal_CT[row], recording.read()[own])


def test_a_recording_keeps_its_own_geometry_and_borrows_what_it_lacks(store):
    recordings = store.recordings()
    placed = canonical_order(recordings).place(recordings[1].sensors)
    assert placed.sensors.positions_C3[:, 0].tolist() == [2.0, 3.5, 11.5, 12.5]


def test_a_list_of_names_chooses_and_orders(store):
    order = canonical_order(store.recordings(), ["MLC12", "MLC 3-9999"])
    assert order.sensors.names == ("MLC12", "MLC3")
    with pytest.raises(InputError, match="'MLC99'"):
        canonical_order(store.recordings(), ["MLC99"])


def test_what_cannot_be_ordered_is_refused(store):
    put(store, "b", "sub-1", array=array(["MLC 1", "MLC1"]))
    with pytest.raises(InputError, match=r"b/sub-1: the sensors 'MLC 1' and 'MLC1'"):
        canonical_order(store.recordings(corpus="b"))
    put(store, "a", "sub-3", array=array(["MLC2", "MLC5"], kinds=[1, 0]))
    with pytest.raises(InputError, match=r"'MLC2' is of another kind"):
        canonical_order(store.recordings(corpus="a"))
    with pytest.raises(InputError, match="another corpus"):
        canonical_order(store.recordings(corpus="a")[:1]).place(array(["X1", "X2"]))
