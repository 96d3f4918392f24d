"""`Store`: what it lists, when an entry is stale, what it calls wrong, what it removes."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from megxl.errors import InputError
from megxl.store import Busy, Damaged, RecordingFacts, Store, fingerprint
from megxl.store.chunks import SignalFile
from tests.store.made import WORDS, prepared, put, store_of


def test_an_entry_comes_back_as_it_was_put_in(tmp_path):
    store = Store.create(tmp_path / "store")
    original = prepared(seconds=130.5, bads=("MEG0113",))
    facts = RecordingFacts(corpus="armeni", subject="sub-001", session="ses-001", task="compr", run="run-1")
    put(store, "armeni/sub-001_run-1", original, facts=facts, licence="CC0", word_notes=["1 row had no onset."])
    stored = Store(tmp_path / "store").recording("armeni/sub-001_run-1")
    assert np.array_equal(stored.read(), original.signal_CT) and stored.read().dtype == np.float32
    assert stored.sensors == original.sensors and stored.bads == ("MEG0113",)
    assert (stored.corpus, stored.id, stored.subject) == ("armeni", "sub-001_run-1", "sub-001")
    assert (stored.session, stored.task, stored.run) == ("ses-001", "compr", "run-1")
    assert (stored.sfreq_hz, stored.n_samples, stored.duration_s) == (50.0, 6525, 130.5)
    assert stored.words == WORDS and stored.word_notes == ["1 row had no onset."] and stored.notes == ["A note."]
    assert stored.licence == "CC0" and stored.provenance == {"format": "FIF"}
    assert stored.preparation == {"low_hz": 0.1, "high_hz": 40.0, "mne": "1.0"}
    assert stored.quality == original.quality.to_json()


def test_the_signal_is_a_plain_npy_file_time_major(tmp_path):
    original = prepared(seconds=61)
    stored = put(Store.create(tmp_path), "omega/sub-1", original)
    assert np.array_equal(np.load(stored.folder / stored.signal.facts.file), original.signal_CT.T)
    assert stored.signal.facts.file == f"signal-{stored.signal_sha256[:16]}.npy"
    output = subprocess.run(["sha256sum", stored.folder / stored.signal.facts.file], capture_output=True, text=True)
    assert output.stdout.split()[0] == stored.signal_sha256


def test_keys_are_in_natural_order_and_of_one_corpus(tmp_path):
    store = store_of(tmp_path, "mous/run-10", "mous/run-2", "armeni/sub-10_run-1", "armeni/sub-9_run-1", seconds=1)
    assert store.keys() == ["armeni/sub-9_run-1", "armeni/sub-10_run-1", "mous/run-2", "mous/run-10"]
    assert store.keys("mous") == ["mous/run-2", "mous/run-10"] and store.keys("camcan") == []
    assert len(store) == 4 and "mous/run-2" in store and "mous/run-3" not in store
    assert [recording.key for recording in store.recordings(corpus="mous")] == store.keys("mous")


@pytest.mark.parametrize("key", ["armeni", "../x/y", "a/../b", "a/.b", "/etc/passwd", "a/b/c", "a/", "a\\b/c", "a/b\n"])
def test_a_key_cannot_lead_out_of_the_store(tmp_path, key):
    store = Store.create(tmp_path)
    with pytest.raises(InputError, match="is no name of a stored recording"), store.writing(key):
        pytest.fail("must not be opened")


def test_what_is_no_store_is_refused(tmp_path):
    with pytest.raises(InputError, match="is no store"):
        Store(tmp_path)
    (tmp_path / "holiday.jpg").touch()
    with pytest.raises(InputError, match="holds something else"):
        Store.create(tmp_path)
    with pytest.raises(InputError, match="no store can be made there"):
        Store.create(tmp_path / "holiday.jpg" / "store")


@pytest.mark.parametrize("content", ["", "[]", '{"format": "megxl-store"}', "\x00\x01"])
def test_a_garbled_mark_is_refused(tmp_path, content):
    Store.create(tmp_path)
    (tmp_path / "store.json").write_text(content)
    with pytest.raises(InputError, match=r"store\.json is damaged"):
        Store(tmp_path)


def test_a_store_of_another_version_is_refused(tmp_path):
    Store.create(tmp_path)
    (tmp_path / "store.json").write_text('{"format": "megxl-store", "version": 99}')
    with pytest.raises(InputError, match="version 99; this package reads version 1"):
        Store(tmp_path)


def _create_and_write(path, name, barrier):
    barrier.wait()
    put(Store.create(path), f"armeni/{name}", prepared(seconds=1))


def test_many_may_make_one_store_at_once(tmp_path):
    context = multiprocessing.get_context("fork")
    for attempt in range(10):
        barrier, path = context.Barrier(4), tmp_path / str(attempt)
        workers = [context.Process(target=_create_and_write, args=(path, f"sub-{n}", barrier)) for n in range(4)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        assert [worker.exitcode for worker in workers] == [0] * 4
        store = Store(path)
        assert len(store) == 4 and store.verify() == {} and store.problems() == {}


@pytest.fixture
def sourced(tmp_path):
    """A store with one recording of two source files and one table of words."""
    root = tmp_path / "corpus"
    (root / "a.ds").mkdir(parents=True)
    for name in ("a.ds/a.meg4", "a.ds/a.res4", "a_events.tsv"):
        (root / name).write_text(name)
    store = Store.create(tmp_path / "store")
    source = {"signal": fingerprint([root / "a.ds"], root), "words": fingerprint([root / "a_events.tsv"], root)}
    put(store, "mous/a", prepared(seconds=1), source=source, preparation={"version": 3})

    def why(**preparation):
        wanted = {"version": 3, "low_hz": 0.1} | preparation
        return store.stale("mous/a", source=[root / "a.ds"], root=root, preparation=wanted)

    return store, root, why


def test_a_current_entry_is_not_stale(sourced):
    store, root, why = sourced
    assert why() is None and why(low_hz=0.1, high_hz=40) is None
    assert store.stale_words("mous/a", source=[root / "a_events.tsv"], root=root) is None


def test_stale_says_which_setting_changed(sourced):
    _, _, why = sourced
    assert why(high_hz=30.0) == "the settings changed: high_hz was 40.0, is 30.0"
    assert why(version=4) == "the settings changed: version was 3, is 4"
    assert why(method="fast") == "the settings changed: method is fast, and was not recorded"


def test_stale_says_which_source_changed_and_words_do_not_touch_the_signal(sourced):
    store, root, why = sourced
    (root / "a_events.tsv").write_text("other words")
    assert why() is None
    assert store.stale_words("mous/a", source=[root / "a_events.tsv"], root=root) == (
        "the words changed: a_events.tsv has changed"
    )
    (root / "a.ds" / "a.meg4").write_text("longer than before")
    assert why() == "the source changed: a.ds/a.meg4 has changed"


def test_an_absent_or_damaged_entry_is_stale(sourced):
    store, root, why = sourced
    assert store.stale("mous/b", source=[], root=root, preparation={}) == "absent"
    file = next(store.folder("mous/a").glob("signal-*"))
    os.truncate(file, 500)
    assert why().startswith(f"damaged: {file.name} has 500 bytes instead of")
    (store.folder("mous/a") / "recording.json").unlink()
    assert why() == "damaged: recording.json is missing"


def test_an_absent_recording_is_named(tmp_path):
    store = store_of(tmp_path / "my_store", "armeni/sub-1", seconds=1)
    with pytest.raises(InputError, match="my_store has no recording 'armeni/sub-2'; it has 1"):
        store.recording("armeni/sub-2")


def test_a_removed_entry_is_gone_and_can_be_made_again(tmp_path):
    store = store_of(tmp_path, "armeni/sub-1", "armeni/sub-2", seconds=1)
    (store.folder("armeni/sub-1") / "codes").mkdir()
    store.remove("armeni/sub-1")
    assert store.keys() == ["armeni/sub-2"] and [path.name for path in (tmp_path / "armeni").iterdir()] == ["sub-2"]
    with pytest.raises(InputError, match="no recording 'armeni/sub-1'"):
        store.remove("armeni/sub-1")
    put(store, "armeni/sub-1")
    assert store.verify() == {}


def test_verify_is_not_deceived_by_an_entry_that_is_made_anew_meanwhile(tmp_path, monkeypatch):
    store = store_of(tmp_path, "armeni/sub-1", seconds=1)
    verify = SignalFile.verify

    def verify_late(file):
        monkeypatch.undo()
        put(store, "armeni/sub-1", prepared(2))
        verify(file)

    monkeypatch.setattr(SignalFile, "verify", verify_late)
    assert store.verify() == {} and store.recording("armeni/sub-1").duration_s == 2.0


def test_a_busy_entry_is_neither_written_removed_nor_swept_by_another(tmp_path):
    store = store_of(tmp_path, "armeni/sub-1", seconds=1)
    with store.writing("armeni/sub-1"):
        (store.folder("armeni/sub-1") / ".signal.npy.partial").touch()
        with pytest.raises(Busy, match="armeni/sub-1 is being written"), store.writing("armeni/sub-1"):
            pytest.fail("must not be opened")
        with pytest.raises(Busy):
            store.remove("armeni/sub-1")
        assert store.sweep() == []
        with store.writing("armeni/sub-2"):
            pass
    assert store.sweep() == [] and store.keys() == ["armeni/sub-1"]


def _hold_fork_and_wait(store, pipe):
    with store.writing("armeni/sub-1"):
        multiprocessing.get_context("fork").Process(target=_say_who_and_wait, args=(pipe,)).start()
        time.sleep(60)


def _say_who_and_wait(pipe):
    pipe.send(os.getpid())
    time.sleep(60)


def test_the_child_of_a_killed_writer_does_not_keep_its_lock(tmp_path):
    store, context = Store.create(tmp_path), multiprocessing.get_context("fork")
    here, there = context.Pipe()
    writer = context.Process(target=_hold_fork_and_wait, args=(store, there))
    writer.start()
    child = here.recv()
    try:
        with pytest.raises(Busy), store.writing("armeni/sub-1"):
            pytest.fail("must not be opened")
        writer.kill()
        writer.join()
        with store.writing("armeni/sub-1"):
            pass
    finally:
        os.kill(child, signal.SIGKILL)


def test_sweep_clears_a_store_of_leftovers(tmp_path):
    store = store_of(tmp_path, "armeni/sub-1", seconds=1)
    folder, codes = store.folder("armeni/sub-1"), store.folder("armeni/sub-1") / "codes"
    codes.mkdir()
    (codes / "windows.npy").touch()
    before = sorted(folder.rglob("*"))
    (folder / "signal-0123456789abcdef.npy").touch()
    (folder / ".signal.npy.partial").touch()
    aside = tmp_path / "armeni" / ".sub-9.01234567.removed"
    aside.mkdir()
    assert len(store.sweep()) == 3
    assert sorted(folder.rglob("*")) == before and not aside.exists() and store.verify() == {}


def test_problems_names_every_odd_place(tmp_path):
    store = store_of(tmp_path, "armeni/sub-1", "armeni/sub-2", seconds=1)
    (tmp_path / "README").touch()
    (tmp_path / "armeni" / "notes.txt").touch()
    (tmp_path / "armeni" / "sub-3").mkdir()
    store.folder("armeni/sub-2").rename(tmp_path / "armeni" / "sub-20")
    assert store.problems() == {
        "README": "is no folder of a corpus",
        "armeni/notes.txt": "is no folder of a recording",
        "armeni/sub-3": "holds no recording: it is being written, or its writer was stopped",
        "armeni/sub-20": "recording.json belongs to armeni/sub-2",
    }
    assert store.keys() == ["armeni/sub-1", "armeni/sub-20"]


def test_words_are_replaced_without_touching_the_signal(sourced):
    store, root, why = sourced
    before = store.recording("mous/a")
    modified = (before.folder / before.signal.facts.file).stat()
    (root / "a_events.tsv").write_text("other words")
    events = [root / "a_events.tsv"]
    with store.writing("mous/a") as writer:
        writer.rewrite(words=[{"text": "new", "onset_s": 2.0}], source={"words": fingerprint(events, root)})
    after = store.recording("mous/a")
    assert after.words == [{"text": "new", "onset_s": 2.0}] and after.notes == before.notes
    assert (before.folder / before.signal.facts.file).stat() == modified
    assert np.array_equal(after.read(), before.read())
    assert why() is None and store.stale_words("mous/a", source=events, root=root) is None


def test_words_cannot_be_written_to_an_absent_entry(tmp_path):
    store = Store.create(tmp_path)
    with pytest.raises(Damaged, match="armeni/x"), store.writing("armeni/x") as writer:
        writer.rewrite(words=[])
    assert store.keys() == [] and store.problems() == {}


def test_a_store_can_be_read_without_permission_to_write(tmp_path):
    store = store_of(tmp_path / "store", "armeni/sub-1", seconds=1)
    paths = [store.path, *store.path.rglob("*")]
    for path in paths:
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        assert Store(store.path).verify() == {} and Store.create(store.path).keys() == ["armeni/sub-1"]
        if os.getuid() != 0:  # the superuser may write anyway
            with pytest.raises(InputError, match="not open to you"), store.writing("armeni/sub-2"):
                pytest.fail("must not be opened")
    finally:
        for path in paths:
            path.chmod(0o755)


def test_reading_a_store_imports_no_mne():
    code = "import sys, megxl.store; sys.exit('mne' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_the_mark_says_format_and_version(tmp_path):
    Store.create(tmp_path)
    assert json.loads((tmp_path / "store.json").read_text()) == {"format": "megxl-store", "version": 1}
