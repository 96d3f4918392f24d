"""The signal of a word in a page: what its bytes say, in which unit, at which places."""

from base64 import b64decode

import numpy as np
import pytest

from megxl.reporting.maps import project
from megxl.reporting.words.signals import DrawnArray, read_word, unit_of
from megxl.signals.sensors import ELECTRODE, GRADIOMETER, MAGNETOMETER, SensorArray
from megxl.store.store import Store
from tests.small import short_recording
from tests.training.words.small_words import make_word_store

FACTORS = {"fT": 1e15, "fT/cm": 1e13}


def neuromag() -> SensorArray:
    """Five triplets: a magnetometer and a pair of planar gradiometers each."""
    return SensorArray.from_info(short_recording(n_triplets=5).info)


def test_bytes_are_the_signal_without_the_mean_before_the_onset_in_the_unit_of_each_kind():
    array = neuromag()
    sizes_C1 = np.where(array.kinds_C == MAGNETOMETER, 1e-12, 1e-11)[:, None]
    signal_CT = sizes_C1 * np.random.default_rng(0).standard_normal((15, 40)) + 5e-11
    drawn, seen = DrawnArray(array, ()), []
    for kind, rows, packed in zip(drawn.kinds, drawn.rows, drawn.packed(signal_CT, 10), strict=True):
        values = np.frombuffer(b64decode(packed["data"]), dtype=np.int8).reshape(len(rows), 40) * packed["step"]
        expected = FACTORS[kind["unit"]] * (signal_CT[rows] - signal_CT[rows, :10].mean(axis=1, keepdims=True))
        np.testing.assert_allclose(values, expected, atol=np.abs(expected).max() / 250)
        assert kind["sensors"] == len(rows)
        seen += rows.tolist()
    assert sorted(seen) == list(range(15))


def test_a_pair_of_planar_gradiometers_is_one_place_without_a_sign():
    drawn, array = DrawnArray(neuromag(), ()), neuromag()
    magnetometers, gradiometers = drawn.kinds
    assert magnetometers["signed"] and not gradiometers["signed"]
    assert [len(place) for place in gradiometers["places"]] == [2] * 5
    xy_C2 = project(array.positions_C3)
    for kind, rows in zip(drawn.kinds, drawn.rows, strict=True):
        for place, xy in zip(kind["places"], kind["xy"], strict=True):
            np.testing.assert_allclose(xy_C2[rows[place]], [xy] * len(place), atol=2e-3)


def test_bad_sensors_are_not_drawn():
    array = neuromag()
    bad = array.names[1]
    drawn = DrawnArray(array, (bad,))
    assert all(array.names[row] != bad for rows in drawn.rows for row in rows)
    assert sum(kind["sensors"] for kind in drawn.kinds) == 14


@pytest.mark.parametrize(
    "title, kind, unit",
    [
        ("Magnetometers", MAGNETOMETER, "fT"),
        ("Axial gradiometers", GRADIOMETER, "fT"),  # they are recorded in tesla
        ("Planar gradiometers (mean of each pair)", GRADIOMETER, "fT/cm"),
        ("Electrodes", ELECTRODE, "µV"),
    ],
)
def test_units(title, kind, unit):
    assert unit_of(title, kind)[1] == unit


def test_a_flat_signal_has_bytes_too():
    drawn = DrawnArray(neuromag(), ())
    assert all(set(b64decode(one["data"])) == {0} for one in drawn.packed(np.zeros((15, 20)), 5))


def test_the_window_of_a_word_is_read_from_before_its_onset(tmp_path):
    recording = Store(make_word_store(tmp_path, subjects=1, sessions=1, words=20)).recordings()[0]
    signal_CT = read_word(recording, 2.0, -0.5, 3.0)
    np.testing.assert_array_equal(signal_CT, recording.read(75, 225))
    assert read_word(recording, 0.2, -0.5, 3.0) is None
    assert read_word(recording, recording.duration_s, -0.5, 3.0) is None
