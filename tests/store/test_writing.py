"""`EntryWriter`: whole or not at all whatever ends it, nothing that is not finite, nobody's name."""

import datetime
import multiprocessing
import os
import random
import time
from pathlib import Path

import mne
import numpy as np
import pytest

from megxl.errors import InputError
from megxl.signals.preparation import prepare
from megxl.store import Busy, RecordingFacts, Store, fingerprint
from tests.small import short_recording
from tests.store.made import prepared, put, store_of

KEYS = [f"armeni/sub-{n}" for n in range(3)]


def _write_for_ever(path, seed):
    """Write recordings of ever new content, as a preparer would that never ends."""
    store, rng = Store(path), random.Random(seed)
    while True:
        try:
            put(store, rng.choice(KEYS), prepared(130, n_sensors=6, seed=rng.randrange(1000)))
        except Busy:
            continue


@pytest.mark.slow
def test_killed_writers_leave_a_valid_store_and_the_next_one_completes_it(tmp_path):
    store, context, rng = Store.create(tmp_path), multiprocessing.get_context("fork"), random.Random(0)
    leftovers = 0
    for attempt in range(30):
        before = set(store.keys())
        writers = [context.Process(target=_write_for_ever, args=(tmp_path, 2 * attempt + n)) for n in range(2)]
        for writer in writers:
            writer.start()
        time.sleep(rng.uniform(0.02, 0.2))
        for writer in writers:
            writer.kill()
        for writer in writers:
            writer.join()
        assert store.verify() == {}
        assert before <= set(store.keys())  # nothing that was there is lost
        leftovers += len(store.sweep())
        assert store.verify() == {} and before <= set(store.keys())
    assert leftovers > 0  # else no writer was hit while it wrote
    for key in KEYS:
        put(store, key, prepared(130, n_sensors=6))
    assert store.keys() == KEYS and store.verify() == {} and store.problems() == {}
    assert all(len(list(store.folder(key).iterdir())) == 2 for key in KEYS)


STEPS = ["megxl.store.writing.write_hidden", "megxl.store.writing.sync", "megxl.store.writing.commit"]


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("older", [False, True])
def test_a_writer_killed_at_a_step_leaves_the_older_entry_or_none(tmp_path, monkeypatch, step, older):
    store = store_of(tmp_path, *(["armeni/sub-1"] if older else []), seconds=2)
    monkeypatch.setattr(step, lambda *_: os._exit(9))
    child = multiprocessing.get_context("fork").Process(
        target=put, args=(store, "armeni/sub-1", prepared(3)), daemon=True
    )
    child.start()
    child.join()
    assert child.exitcode == 9
    monkeypatch.undo()
    for _ in range(2):
        assert store.verify() == {}
        assert [stored.duration_s for stored in store.recordings()] == ([2.0] if older else [])
        assert len(list(store.folder("armeni/sub-1").glob("*"))) == (0 if not older else 2) or store.sweep()
    put(store, "armeni/sub-1", prepared(3))
    assert [stored.duration_s for stored in store.recordings()] == [3.0] and store.problems() == {}


@pytest.mark.parametrize("n_removed", [0, 1, 2])
def test_a_sweep_that_is_killed_halfway_uncovers_no_entry(tmp_path, monkeypatch, n_removed):
    store = Store.create(tmp_path)
    folder = store.folder("armeni/sub-1")
    folder.mkdir(parents=True)
    for name in (".recording.json.partial", ".signal.npy.partial", "signal-0123456789abcdef.npy"):
        (folder / name).touch()
    unlink, removed = Path.unlink, []

    def unlink_some(path):
        if len(removed) == n_removed:
            raise KeyboardInterrupt
        removed.append(path)
        unlink(path)

    monkeypatch.setattr(Path, "unlink", unlink_some)
    with pytest.raises(KeyboardInterrupt):
        store.sweep()
    monkeypatch.undo()
    assert store.keys() == [] and store.verify() == {}
    assert len(store.sweep()) == 3 - n_removed and not folder.exists()


def test_an_error_in_the_writer_keeps_the_older_entry(tmp_path):
    store = store_of(tmp_path, "armeni/sub-1", seconds=2)
    with pytest.raises(InputError, match="cannot hold this"):
        put(store, "armeni/sub-1", prepared(3), words=[{"text": "a", "onset_s": float("nan")}])
    assert store.recording("armeni/sub-1").duration_s == 2.0 and store.verify() == {}
    assert len(list(store.folder("armeni/sub-1").iterdir())) == 2


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e39])
@pytest.mark.parametrize("sample", [0, 3001, 4999])
def test_what_is_not_finite_is_refused_by_sensor_and_time(tmp_path, value, sample):
    original = prepared(100)
    signal_CT = original.signal_CT.astype(np.float64)
    signal_CT[2, sample] = value
    store = Store.create(tmp_path)
    with (
        np.errstate(over="ignore"),
        pytest.raises(InputError, match=rf"'{original.sensors.names[2]}' holds NaN.* at {sample / 50:.3f} s"),
    ):
        put(store, "armeni/sub-1", prepared(100, signal_CT=signal_CT))
    assert store.keys() == [] and store.problems() == {}


def test_a_signal_that_does_not_fit_is_refused(tmp_path):
    store = Store.create(tmp_path)
    with pytest.raises(InputError, match=r"\(3, 50\) does not fit 4 sensors"):
        put(store, "armeni/sub-1", prepared(1, signal_CT=np.zeros((3, 50), dtype=np.float32)))
    with pytest.raises(InputError, match="has no samples"):
        put(store, "armeni/sub-1", prepared(0))
    with pytest.raises(InputError, match="belongs to the corpus 'mous'"):
        put(store, "armeni/sub-1", facts=RecordingFacts(corpus="mous", subject="sub-1"))
    with pytest.raises(InputError, match="source has the parts meg"):
        put(store, "armeni/sub-1", source={"meg": {}})


def test_a_full_disk_is_said_and_leaves_nothing(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    store = Store.create(tmp_path)
    monkeypatch.setattr("megxl.store.chunks.os.fsync", full)
    with pytest.raises(InputError, match=r"^The store cannot be written to \(No space left on device\)"):
        put(store, "armeni/sub-1", prepared(1))
    assert store.keys() == [] and store.problems() == {}


def test_codes_outlive_a_new_signal(tmp_path):
    store = store_of(tmp_path, "armeni/sub-1", seconds=1)
    codes = store.folder("armeni/sub-1") / "codes" / "grid.npy"
    codes.parent.mkdir()
    codes.write_bytes(b"codes")
    put(store, "armeni/sub-1", prepared(2))
    assert codes.read_bytes() == b"codes" and store.recording("armeni/sub-1").duration_s == 2.0


SECRETS = ["Zaphod", "Beeblebrox", "Trillian", "Magrathea", "1952-", "hospital_42", "heart-of-gold"]


def test_no_header_field_that_names_a_person_enters_the_store(tmp_path):
    """Also in the folders around the file; the corpus's own names of files and folders do."""
    root = tmp_path / "heart-of-gold"
    raw = short_recording(6.0)
    raw.set_meas_date(datetime.datetime(1952, 3, 11, tzinfo=datetime.UTC))
    raw.info["subject_info"] = {
        "id": 42,
        "his_id": "hospital_42",
        "last_name": "Beeblebrox",
        "first_name": "Zaphod",
        "birthday": datetime.date(1952, 1, 1),
    }
    raw.info["experimenter"], raw.info["description"] = "Trillian", "Zaphod Beeblebrox at Magrathea"
    raw.info["proj_name"] = "Magrathea"
    raw.info["device_info"] = {"type": "Magrathea", "serial": "hospital_42"}
    raw.info["helium_info"] = {"orig_file_guid": "hospital_42", "meas_date": raw.info["meas_date"]}
    root.mkdir()
    path = root / "sub-01_meg.fif"
    raw.save(path, verbose="ERROR")
    content = path.read_bytes()
    assert b"Beeblebrox" in content and b"Trillian" in content and b"Magrathea" in content
    read = mne.io.read_raw_fif(path, verbose="ERROR")
    store = Store.create(tmp_path / "store")
    source = {"signal": fingerprint([path], root), "words": {}}
    put(store, "camcan/sub-01", prepare(read, read.ch_names), source=source)
    everything = b"".join(
        str(place.relative_to(store.path)).encode() + (place.read_bytes() if place.is_file() else b"")
        for place in store.path.rglob("*")
    )
    assert b"sub-01_meg.fif" in everything  # it was looked for in the right place
    assert [secret for secret in SECRETS if secret.encode() in everything] == []
    assert str(tmp_path).encode() not in everything
