"""`StoredRecording`: slices are what was written, damage of any kind is refused by name, no handle goes anywhere."""

import json
import os
import pickle
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from megxl.errors import InputError
from megxl.store import Damaged, Store
from tests.store.made import prepared, put, store_of

KEY = "armeni/sub-1"
SECONDS = 150.0


@pytest.fixture
def store(tmp_path):
    return store_of(tmp_path / "store", KEY, seconds=SECONDS)


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A recording of two and a half chunks that no test changes, and what was written."""
    store = store_of(tmp_path_factory.mktemp("kept") / "store", KEY, seconds=SECONDS)
    return store.recording(KEY), prepared(SECONDS).signal_CT


def signal_of(store):
    return next(store.folder(KEY).glob("signal-*.npy"))


def flip(path, byte, bit=0):
    """Change one bit and nothing about the file but its time."""
    content = bytearray(path.read_bytes())
    content[byte] ^= 1 << bit
    with path.open("r+b") as file:
        file.write(content)


def refused(store, reason):
    """Check that reading the whole of the recording names it, says why, and what to do."""
    with pytest.raises(Damaged, match=reason) as caught:
        store.recording(KEY).read()
    message = str(caught.value)
    assert message.startswith(f"{KEY} is damaged in the store: ")
    assert "`megxl prepare armeni ROOT --store STORE --repair` makes it again." in message
    assert set(store.verify()) == {KEY}
    return caught.value


def repaired(store):
    put(store, KEY, prepared(SECONDS))
    assert store.verify() == {} and store.problems() == {}
    assert len(list(store.folder(KEY).iterdir())) == 2


@given(st.integers(0, 7500), st.integers(0, 7500))
def test_a_slice_is_what_was_written(kept, a, b):
    stored, signal_CT = kept
    start, stop = sorted((a, b))
    fresh = pickle.loads(pickle.dumps(stored))  # so that checksums are looked at anew
    assert np.array_equal(fresh.read(start, stop), signal_CT[:, start:stop])


@pytest.mark.parametrize("around", [0, 3000, 6000, 7500])
def test_slices_at_the_edges_of_chunks(kept, around):
    stored, signal_CT = kept
    for start in range(max(0, around - 2), min(7500, around + 2) + 1):
        for stop in range(start, min(7500, around + 2) + 1):
            assert np.array_equal(stored.read(start, stop), signal_CT[:, start:stop])


@pytest.mark.parametrize(("start", "stop"), [(-1, 5), (5, 4), (0, 7501), (7501, None)])
def test_samples_that_are_not_there_are_refused(kept, start, stop):
    with pytest.raises(InputError, match="has the samples 0 to 7500"):
        kept[0].read(start, stop)


def test_what_is_read_is_ones_own(kept):
    stored, signal_CT = kept
    stored.read(0, 10)[:] = 0
    assert np.array_equal(stored.read(0, 10), signal_CT[:, :10])


@pytest.mark.parametrize("sample", [0, 2999, 3000, 7499])
def test_a_flipped_bit_is_refused_where_it_is_read_and_only_there(store, sample):
    offset = signal_of(store).stat().st_size - 4 * 4 * 7500
    flip(signal_of(store), offset + 16 * sample + 5)
    chunk = sample // 3000
    error = refused(store, f"has changed between {60 * chunk} and {60 * (chunk + 1)} s")
    assert error.key == KEY
    whole = store.recording(KEY)
    for other in {0, 1, 2} - {chunk}:
        assert whole.read(3000 * other, min(7500, 3000 * (other + 1))).size
    repaired(store)


def test_a_flipped_bit_in_the_header_of_the_signal_is_refused(store):
    for byte in (0, 7, 30, 127):
        flip(signal_of(store), byte)
        refused(store, "has changed between 0 and 60 s")
        flip(signal_of(store), byte)
    assert store.verify() == {}


def test_any_flipped_bit_in_recording_json_is_refused(store):
    path = store.folder(KEY) / "recording.json"
    n_bytes = path.stat().st_size
    for byte in [*range(0, 60), *range(60, n_bytes, 97), n_bytes - 1]:
        flip(path, byte, byte % 8)
        refused(store, r"recording\.json is cut short or was changed")
        flip(path, byte, byte % 8)
    assert store.verify() == {}


@pytest.mark.parametrize("n_bytes", [0, 1, 127, 128, 12_000, 120_000])
def test_a_signal_that_is_cut_short_is_refused(store, n_bytes):
    stored = store.recording(KEY)
    stored.read()
    os.truncate(signal_of(store), n_bytes)
    with pytest.raises(Damaged, match=rf"{KEY}.* has {n_bytes:,} bytes instead of 120,128"):
        stored.read(0, 1)  # was good when it was read first
    refused(store, f"has {n_bytes:,} bytes instead of 120,128")
    assert KEY in store.problems()
    repaired(store)


def test_a_signal_that_grew_is_refused(store):
    with signal_of(store).open("ab") as file:
        file.write(b"x")
    refused(store, "has 120,129 bytes instead of 120,128")


def test_recording_json_that_is_cut_short_is_refused(store):
    path = store.folder(KEY) / "recording.json"
    n_bytes = path.stat().st_size
    for length in (n_bytes - 1, n_bytes // 2, 20, 0):
        os.truncate(path, length)
        refused(store, "cut short or was changed")
    repaired(store)


def test_a_missing_signal_is_refused(store):
    signal_of(store).unlink()
    refused(store, r"signal-.*\.npy is missing")
    repaired(store)


def test_a_missing_recording_json_is_refused_not_forgotten(store):
    (store.folder(KEY) / "recording.json").unlink()
    assert store.keys() == [KEY] and store.problems() == {KEY: "recording.json is missing"}
    assert store.sweep() == []  # a damaged entry is nobody's leftover
    refused(store, r"recording\.json is missing")
    repaired(store)


def test_an_entry_without_both_files_but_with_codes_is_refused(store):
    (store.folder(KEY) / "codes").mkdir()
    signal_of(store).unlink()
    (store.folder(KEY) / "recording.json").unlink()
    refused(store, r"recording\.json is missing")


def test_an_entry_of_another_version_is_refused(store, monkeypatch):
    monkeypatch.setattr("megxl.store.record.VERSION", 2)
    put(store, KEY, prepared(1))
    monkeypatch.undo()
    refused(store, "has the version 2; this is version 1")


def test_an_entry_that_was_copied_to_another_name_is_refused(store):
    store.folder(KEY).rename(store.path / "armeni" / "sub-2")
    assert store.verify() == {"armeni/sub-2": f"recording.json belongs to {KEY}"}


def test_an_entry_replaced_under_an_open_reader_is_refused(store):
    stored = store.recording(KEY)
    stored.read(0, 10)
    put(store, KEY, prepared(SECONDS, seed=1))
    with pytest.raises(Damaged, match=rf"{KEY}.*made anew since this entry was opened"):
        stored.read(0, 10)
    assert np.array_equal(store.recording(KEY).read(), prepared(SECONDS, seed=1).signal_CT)


def test_an_entry_made_again_alike_stays_open(store):
    stored = store.recording(KEY)
    put(store, KEY, prepared(SECONDS))
    assert np.array_equal(stored.read(), prepared(SECONDS).signal_CT)


def test_a_change_after_the_first_look_is_seen(store):
    stored = store.recording(KEY)
    stored.read()
    flip(signal_of(store), 5000)
    with pytest.raises(Damaged, match="has changed between 0 and 60 s"):
        stored.read(0, 1)


def test_verify_sees_what_a_failing_disk_does_behind_our_back(store):
    stored, path = store.recording(KEY), signal_of(store)
    stored.read()
    times = path.stat().st_atime_ns, path.stat().st_mtime_ns
    flip(path, 5000)
    os.utime(path, ns=times)
    with pytest.raises(Damaged, match="has changed between 0 and 60 s"):
        stored.verify()


def test_a_chunk_is_checked_once(store, monkeypatch):
    checked = []
    monkeypatch.setattr("megxl.store.chunks._checksum", lambda content: checked.append(len(content)))
    stored = store.recording(KEY)
    with pytest.raises(Damaged):
        stored.read(0, 1)  # the checksum is None now: it was asked for
    monkeypatch.undo()
    stored.read()
    monkeypatch.setattr("megxl.store.chunks._checksum", lambda content: checked.append(len(content)))
    stored.read()
    pickle.loads(pickle.dumps(stored)).read()
    assert checked == [128 + 3000 * 16]


def open_descriptors():
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def test_no_descriptor_stays_open(store):
    stored = store.recording(KEY)
    before = open_descriptors()
    stored.read()
    with pytest.raises(InputError):
        stored.read(0, 10**9)
    assert open_descriptors() == before


def test_an_error_survives_a_pickle():
    error = pickle.loads(pickle.dumps(Damaged(KEY, "gone")))
    assert (error.key, error.reason, str(error)) == (KEY, "gone", str(Damaged(KEY, "gone")))


class Minutes(torch.utils.data.Dataset):
    """A second of each recording."""

    def __init__(self, store):
        self.recordings = store.recordings()

    def __len__(self):
        return len(self.recordings)

    def __getitem__(self, index):
        return torch.from_numpy(np.ascontiguousarray(self.recordings[index].read(25, 75)))


@pytest.mark.slow
@pytest.mark.parametrize("start", ["fork", "spawn", "forkserver"])
def test_loader_workers_read_however_they_are_started(tmp_path, start):
    store = store_of(tmp_path, *(f"armeni/sub-{n}" for n in range(12)), seconds=2)
    data = Minutes(store)
    expected = torch.stack([data[index] for index in range(len(data))])  # read in the parent before it forks
    loader = torch.utils.data.DataLoader(data, batch_size=3, num_workers=2, multiprocessing_context=start)
    for _ in range(2):
        assert torch.equal(torch.cat(list(loader)), expected)


_WITH_64_DESCRIPTORS = """
import resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
import torch
torch.multiprocessing.set_sharing_strategy("file_system")
from megxl.store import Store
from tests.store.test_entry import Minutes
data = Minutes(Store(sys.argv[1]))
for workers in (0, 2):
    loader = torch.utils.data.DataLoader(data, batch_size=10, num_workers=workers)
    assert sum(batch.shape[0] for batch in loader) == 500
"""


@pytest.mark.slow
def test_500_recordings_with_64_descriptors(tmp_path):
    store = Store.create(tmp_path)
    for n in range(500):
        put(store, f"armeni/sub-{n}", prepared(2, n_sensors=2, seed=n))
    command = [sys.executable, "-c", _WITH_64_DESCRIPTORS, tmp_path]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_reading_without_a_free_descriptor_is_no_damage(store):
    stored = store.recording(KEY)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        with pytest.raises(InputError, match=rf"{KEY}: signal-.* cannot be opened \(Too many open files\)") as caught:
            stored.read()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert not isinstance(caught.value, Damaged)


def test_recording_json_is_json(store):
    known = json.loads((store.folder(KEY) / "recording.json").read_text())
    assert known["key"] == KEY and known["signal"]["checksums"] and known["words"][0]["text"] == "None"
