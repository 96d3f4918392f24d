"""Rows of recordings: the right sensors, the bad and the missing masked, never NaN."""

import numpy as np
import pytest
import torch

from megxl.data.rows import RowReader
from megxl.errors import InputError
from megxl.store import Store
from tests.data.small import put, sensors


@pytest.fixture
def store(tmp_path) -> Store:
    """Two recordings of six sensors: one lacks two and is upside down, with a bad one, the other lacks two others."""
    store = Store.create(tmp_path / "store")
    names = sensors(6).names
    put(store, "a", "sub-1", array=sensors(6).select(names[:4][::-1]), bads=(names[2],))
    put(store, "a", "sub-2", array=sensors(6).select(names[2:]))
    return store


@pytest.mark.parametrize(("bads", "good"), [("mask", [True, False, True, True]), ("keep", None)])
def test_bad_sensors_are_masked_or_kept(store, bads, good):
    rows = RowReader(store.recordings(), bads=bads)
    array, mask_C = rows.sensors(0)
    assert array == store.recording("a/sub-1").sensors
    assert (None if mask_C is None else mask_C.tolist()) == good
    np.testing.assert_array_equal(rows.signal(0, 10, 200), store.recording("a/sub-1").read(10, 200))
    assert rows.sensors(1)[1] is None and rows.n_sensors(0) == 4


def test_canonical_rows_are_the_same_sensors_in_all_recordings(store):
    rows = RowReader(store.recordings(), channels="canonical")
    for recording, masked in ((0, [2, 4, 5]), (1, [0, 1])):
        stored = rows.recordings[recording]
        array, mask_C = rows.sensors(recording)
        signal_CT = rows.signal(recording, 100, 300)
        assert rows.n_sensors(recording) == 6
        assert array.names == tuple("".join(name.split()) for name in sensors(6).names)
        assert torch.nonzero(~mask_C).flatten().tolist() == masked
        for row, name in enumerate(sensors(6).names):
            own = stored.sensors.names.index(name) if name in stored.sensors.names else None
            expected_T = np.zeros(200) if own is None else stored.read(100, 300)[own]
            np.testing.assert_array_equal(signal_CT[row], expected_T)


class Codes:
    """Codes that tell which row they are of."""

    def read(self, recording, start, stop):
        return np.broadcast_to(np.arange(1, 5)[:, None, None], (4, (stop - start) // 10, 2)).astype(np.uint8)


def test_codes_are_arranged_like_the_signal(store):
    codes_CTQ = RowReader(store.recordings(), channels="canonical").codes(Codes(), 0, 0, 100)
    assert codes_CTQ.shape == (6, 10, 2) and codes_CTQ[:, 3, 1].tolist() == [4, 3, 2, 1, 0, 0]


def test_numbers_that_are_not_finite_never_leave_the_store(store, monkeypatch):
    rows = RowReader(store.recordings())
    signal_CT = rows.recordings[0].read().copy()
    signal_CT[3, 260] = np.nan
    monkeypatch.setattr(type(rows.recordings[0]), "read", lambda self, start, stop: signal_CT[:, start:stop])
    assert rows.signal(0, 0, 260).isfinite().all() and rows.signal(0, 261, 400).isfinite().all()
    with pytest.raises(InputError, match=r"a/sub-1 .* between 4\.0 s and 8\.0 s"):
        rows.signal(0, 200, 400)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"bads": "drop"}, "'mask', 'keep'"),
        ({"channels": "sorted"}, "'file', 'canonical'"),
        ({"channels": {}}, "No channel order is given for a"),
    ],
)
def test_options_that_cannot_be_are_refused(store, options, words):
    with pytest.raises(InputError, match=words):
        RowReader(store.recordings(), **options)
