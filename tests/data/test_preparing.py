"""A corpus into a store: all of it, only what is needed, whatever one recording or another process does."""

import errno
import os
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from megxl.corpora.corpus import Selection, corpus_named
from megxl.data.preparing import Request, Watcher, plan_corpus, prepare_corpus, task
from megxl.data.preparing.task import Job
from megxl.errors import InputError
from megxl.signals.preparation import Preparation, prepare
from megxl.store import chunks
from megxl.store.store import Store
from tests.data.small_corpus import Deadly, Electrodes, Growing, NeverRead, Small, bytes_of, make_small, spoil, with_nan

KEYS = [f"small/sub-{n:02d}_task-rest" for n in (1, 2, 3)]


@pytest.fixture
def request_(tmp_path) -> Request:
    return Request(corpus=Small(), root=make_small(tmp_path / "root"), store=tmp_path / "store", workers=0)


def signal_files(store: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in Path(store).glob("small/*/*.npy")}


def outcomes(result) -> dict[str, str]:
    return {outcome.key: outcome.kind for outcome in result.outcomes}


def test_processes_store_what_prepare_gives_for_every_recording(request_):
    result = prepare_corpus(replace(request_, workers=2))
    store = Store(request_.store)
    assert result.complete and store.keys() == KEYS and outcomes(result) == dict.fromkeys(KEYS, "made")
    for file in request_.corpus.select(request_.root):
        raw = request_.corpus.read(file)
        expected = prepare(raw, request_.corpus.channels(raw), nonfinite="mask")
        stored = store.recording(file.key)
        np.testing.assert_array_equal(stored.read(), expected.signal_CT)
        assert stored.sensors == expected.sensors and stored.licence == "CC0" and stored.subject == file.subject
        assert [word["text"] for word in stored.words] == ["one", "two"]
    assert store.verify() == {}


def test_what_is_current_is_not_read_again(request_):
    prepare_corpus(request_)
    before = bytes_of(Path(request_.store))
    result = prepare_corpus(replace(request_, corpus=NeverRead()))
    assert result.complete and result.plan.current == KEYS and result.outcomes == []
    assert bytes_of(Path(request_.store)) == before and result.holdings.recordings == 3


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda r: replace(r, settings=Preparation(high_hz=20.0)), "high_hz"),
        (lambda r: replace(r, bads="keep"), "bads"),
        (lambda r: replace(r, corpus=Small(later_s=0.25)), "corpus_options"),
    ],
)
def test_other_settings_make_everything_again(request_, change, why):
    prepare_corpus(request_)
    changed = change(request_)
    result = prepare_corpus(changed)
    assert outcomes(result) == dict.fromkeys(KEYS, "made") and why in result.outcomes[0].reason
    assert prepare_corpus(changed).outcomes == []


def test_a_changed_recording_is_made_again_and_a_touched_one_is_not(request_):
    prepare_corpus(request_)
    first, second = (Path(request_.root) / f"sub-{n:02d}_task-rest_meg.fif" for n in (1, 2))
    os.utime(first, (1, 1))
    second.write_bytes(first.read_bytes())
    result = prepare_corpus(request_)
    assert outcomes(result) == {KEYS[1]: "made"} and "sub-02_task-rest_meg.fif" in result.outcomes[0].reason
    assert result.holdings.duplicates == [KEYS[:2]]


@pytest.mark.parametrize("settings", [Preparation(), Preparation(low_hz=0.5)], ids=["source", "settings, too"])
def test_recordings_of_another_data_set_are_not_replaced_by_those_of_the_same_names(request_, tmp_path, settings):
    prepare_corpus(request_)
    other = make_small(tmp_path / "other", subjects=1, seconds=4.0)
    before = signal_files(request_.store)
    with pytest.raises(InputError, match=r"small/sub-\d+_task-rest is not there.*--set dataset=NAME.*delete .*small"):
        prepare_corpus(replace(request_, root=other, settings=settings))
    assert signal_files(request_.store) == before


def test_a_data_set_that_was_worked_on_and_lost_a_recording_is_still_the_same(request_):
    prepare_corpus(request_)
    first, second, third = sorted(Path(request_.root).glob("*_meg.fif"))
    first.write_bytes(second.read_bytes())
    third.unlink()
    assert list(plan_corpus(request_).reasons()) == ["the source changed"]
    assert plan_corpus(replace(request_, settings=Preparation(low_hz=0.5))).reasons() == {"the settings changed": 2}


def test_a_chosen_part_of_which_all_has_changed_is_still_of_the_same_data_set(request_):
    prepare_corpus(request_)
    first, second, _ = sorted(Path(request_.root).glob("*_meg.fif"))
    first.write_bytes(second.read_bytes())
    chosen = replace(request_, selection=Selection(subjects=("sub-01",)))
    assert plan_corpus(chosen).reasons() == {"the source changed": 1}


def test_recordings_that_lie_outside_of_the_root_are_known_by_their_table(tmp_path):
    make_small(tmp_path / "elsewhere", subjects=2)
    (tmp_path / "root").mkdir()
    rows = "".join(f"../elsewhere/sub-{n:02d}_task-rest_meg.fif\tsub-{n:02d}\n" for n in (1, 2))
    (tmp_path / "root" / "recordings.tsv").write_text("recording\tsubject\n" + rows)
    asked = Request(corpus=corpus_named("files"), root=tmp_path / "root" / "recordings.tsv", store=tmp_path / "store",
                    workers=0)  # fmt: skip
    prepare_corpus(asked)
    make_small(tmp_path / "elsewhere", subjects=2, seconds=4.0)
    assert plan_corpus(asked).reasons() == {"the source changed": 2}


def test_changed_words_are_read_again_without_touching_the_signal(request_):
    prepare_corpus(request_)
    before = signal_files(request_.store)
    (Path(request_.root) / "sub-02_task-rest_events.tsv").write_text("0.7\tthree\n")
    result = prepare_corpus(replace(request_, corpus=NeverRead()))
    assert outcomes(result) == {KEYS[1]: "words"} and signal_files(request_.store) == before
    stored = Store(request_.store).recording(KEYS[1])
    assert [(word["text"], word["onset_s"]) for word in stored.words] == [("three", 0.7)]
    (Path(request_.root) / "sub-02_task-rest_events.tsv").unlink()
    assert outcomes(prepare_corpus(request_)) == {KEYS[1]: "words"}
    assert Store(request_.store).recording(KEYS[1]).word_notes == ["There is no table."]


@pytest.mark.parametrize("how", ["truncated", "emptied"])
def test_a_recording_that_fails_is_named_and_the_others_are_done(request_, how):
    spoil(Path(request_.root) / "sub-02_task-rest_meg.fif", how)
    result = prepare_corpus(replace(request_, workers=2))
    (failed,) = result.failed
    assert failed.key == KEYS[1] and "sub-02_task-rest_meg.fif" in failed.reason and not failed.unexpected
    assert Store(request_.store).keys() == [KEYS[0], KEYS[2]] and not result.complete


def test_an_error_that_nobody_foresaw_is_named_by_its_type(request_):
    (failed, *_) = prepare_corpus(replace(request_, corpus=NeverRead())).failed
    assert failed.unexpected and failed.reason == "AssertionError: this recording need not be read"
    assert "in read" in failed.details


def test_a_recording_that_kills_its_process_is_named_and_the_others_are_done(request_):
    result = prepare_corpus(replace(request_, corpus=Deadly(), workers=2))
    (failed,) = result.failed
    assert failed.key == KEYS[1] and "SIGKILL" in failed.reason
    assert Store(request_.store).keys() == [KEYS[0], KEYS[2]]


def test_a_recording_that_grows_while_it_is_read_is_not_stored(request_):
    result = prepare_corpus(replace(request_, corpus=Growing()))
    assert len(result.failed) == 3 and "while it was read" in result.failed[0].reason
    assert Store(request_.store).keys() == []


def test_a_full_disk_ends_it_at_once(request_, monkeypatch):
    write, calls = chunks.os.fsync, []

    def fill(descriptor):
        if Path(f"/proc/self/fd/{descriptor}").readlink().name.startswith(".signal"):
            calls.append(descriptor)
            if len(calls) == 2:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(descriptor)

    monkeypatch.setattr(chunks.os, "fsync", fill)
    with pytest.raises(InputError, match=r"No space left.* Done before: 1 recording;") as refusal:
        prepare_corpus(request_)
    assert str(refusal.value).count(KEYS[1]) == 1 and len(calls) == 2
    monkeypatch.undo()
    assert len(calls) == 2 and outcomes(prepare_corpus(request_)) == dict.fromkeys(KEYS[1:], "made")


def test_what_another_process_makes_is_waited_for_and_counted(request_, tmp_path):
    other = replace(request_, store=tmp_path / "other")
    prepare_corpus(other)
    entry = Path(other.store) / KEYS[1]
    store, waiting = Store.create(request_.store), threading.Event()

    class Waits(Watcher):
        def waits(self, keys):
            assert keys == [KEYS[1]]
            waiting.set()

    def write_slowly():
        with store.writing(KEYS[1]) as writer:
            held.set()
            assert waiting.wait(20)
            writer.folder.mkdir(parents=True, exist_ok=True)
            for part in sorted(entry.iterdir(), reverse=True):  # recording.json after its signal
                (writer.folder / part.name).write_bytes(part.read_bytes())

    held = threading.Event()
    thread = threading.Thread(target=write_slowly)
    thread.start()
    assert held.wait(10)
    result = prepare_corpus(request_, Waits())
    thread.join()
    assert outcomes(result) == {KEYS[0]: "made", KEYS[2]: "made", KEYS[1]: "elsewhere"} and result.complete


def test_two_at_once_make_every_recording_once(request_):
    results = []
    threads = [
        threading.Thread(target=lambda: results.append(prepare_corpus(replace(request_, workers=1)))) for _ in "ab"
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    kinds = sorted(
        kind for result in results for kind in [*outcomes(result).values(), *["current"] * len(result.plan.current)]
    )
    assert kinds.count("made") == 3 and len(kinds) == 6 and Store(request_.store).verify() == {}


DAMAGES = [("recording.json", "truncated"), ("recording.json", "flipped"), ("recording.json", "deleted"),
           ("signal-*.npy", "truncated"), ("signal-*.npy", "deleted"), ("signal-*.npy", "emptied")]  # fmt: skip


@pytest.mark.parametrize(("part", "how"), DAMAGES)
def test_damage_is_refused_by_name_and_repaired_when_asked_for(request_, part, how):
    prepare_corpus(request_)
    before = bytes_of(Path(request_.store))
    (place,) = (Path(request_.store) / KEYS[1]).glob(part)
    spoil(place, how)
    result = prepare_corpus(request_)
    assert list(result.damaged) == [KEYS[1]] and not result.complete and result.outcomes == []
    assert prepare_corpus(replace(request_, repair=True)).complete
    assert bytes_of(Path(request_.store)) == before


def test_a_flipped_bit_of_a_signal_is_found_by_repair(request_):
    prepare_corpus(request_)
    before = bytes_of(Path(request_.store))
    (place,) = (Path(request_.store) / KEYS[2]).glob("signal-*.npy")
    spoil(place, "flipped")
    with pytest.raises(InputError, match=f"{KEYS[2]} is damaged"):
        Store(request_.store).recording(KEYS[2]).read()
    result = prepare_corpus(replace(request_, repair=True))
    assert outcomes(result) == {KEYS[2]: "made"} and "has changed" in result.outcomes[0].reason
    assert bytes_of(Path(request_.store)) == before


def test_a_broken_sensor_is_stored_as_zero_and_told(request_):
    name = with_nan(Path(request_.root) / "sub-01_task-rest_meg.fif")
    result = prepare_corpus(request_)
    stored = Store(request_.store).recording(KEYS[0])
    assert stored.bads == (name,) and not stored.read()[stored.sensors.names.index(name)].any()
    assert np.isfinite(stored.read()).all() and result.holdings.bad_sensors["nonfinite"] == (1, 1)


def test_a_selection_and_a_limit_leave_the_rest_alone(request_):
    some = replace(request_, selection=Selection(subjects=("sub-02", "sub-03")), limit=1)
    assert [step.job.key for step in plan_corpus(some).steps] == KEYS[1:2] and list(plan_corpus(some).waiting) == KEYS[
        2:
    ]
    assert not Path(request_.store).exists()
    assert prepare_corpus(some).keys == KEYS[1:2] and prepare_corpus(some).keys == KEYS[1:]
    with pytest.raises(InputError, match=r"subject 'sub-9'"):
        prepare_corpus(replace(request_, selection=Selection(subjects=("sub-9",))))


def test_entries_that_are_no_longer_as_they_should_be_are_named_and_not_counted(request_):
    prepare_corpus(request_)
    spoil(Path(request_.root) / "sub-02_task-rest_meg.fif", "emptied")
    (Path(request_.root) / "sub-03_task-rest_events.tsv").write_text("0.7\tthree\n")
    result = prepare_corpus(replace(request_, limit=1))
    assert result.keys == KEYS[:1] and list(result.outdated) == KEYS[1:] and result.holdings.recordings == 1
    rows = [value for name, value in result.preparation_rows() if name == "outdated"]
    assert [row.partition(" (")[2] for row in rows] == [
        "the source changed), not counted below", "the words changed), not counted below"
    ]  # fmt: skip
    assert list(prepare_corpus(replace(request_, settings=Preparation(high_hz=20.0), limit=0)).outdated) == KEYS


def test_a_damaged_entry_that_cannot_be_made_again_stays_damaged(request_):
    prepare_corpus(request_)
    (place,) = (Path(request_.store) / KEYS[2]).glob("signal-*.npy")
    spoil(place, "flipped")
    result = prepare_corpus(replace(request_, corpus=NeverRead(), repair=True))
    assert list(result.damaged) == KEYS[2:] and result.keys == KEYS[:2] and not result.outdated


def test_a_plan_says_why(request_):
    prepare_corpus(replace(request_, limit=2))
    (Path(request_.root) / "sub-01_task-rest_events.tsv").write_text("0.1\tnew\n")
    plan = plan_corpus(request_)
    assert plan.current == KEYS[1:2] and plan.reasons() == {"the words changed": 1, "absent": 1}
    assert plan.n_bytes == sum((Path(request_.root) / f"sub-0{n}_task-rest_meg.fif").stat().st_size for n in (1, 3))


def test_nothing_of_the_options_names_a_folder(request_):
    corpus = corpus_named("files", {"montage": "/home/jane/doe/places.sfp"})
    (file, *_) = corpus.select(request_.root)
    made = Job(corpus=corpus, file=file, store=Path(), settings=Preparation(), bads="mask")
    assert made.preparation["corpus_options"]["montage"] == "places.sfp" and "jane" not in str(made.preparation)


def test_the_reference_of_electrodes_is_compared_and_that_of_meg_is_not(request_, tmp_path, monkeypatch):
    recorded, average = Preparation(reference="recorded"), Preparation()
    prepare_corpus(request_)
    # of MEG sensors the setting says nothing
    assert "reference" not in Store(request_.store).recording(KEYS[0]).preparation
    assert prepare_corpus(replace(request_, settings=recorded)).outcomes == []
    eeg = replace(request_, corpus=Electrodes(), store=tmp_path / "eeg")
    made = prepare_corpus(eeg)
    assert set(outcomes(made).values()) == {"made"} and prepare_corpus(eeg).outcomes == []
    assert Store(eeg.store).recording(KEYS[0]).reference == "average"
    again = prepare_corpus(replace(eeg, settings=recorded))
    assert all("reference was average, is recorded" in one.reason for one in again.outcomes) and again.outcomes
    # an entry from before the setting counts as recorded
    monkeypatch.setattr(
        task, "_told", lambda preparation, sensors: {k: v for k, v in preparation.items() if k != "reference"}
    )
    older = replace(eeg, store=tmp_path / "older", settings=recorded)
    prepare_corpus(older)
    assert Store(older.store).recording(KEYS[0]).reference == "recorded"
    assert plan_corpus(older).steps == []
    assert len(plan_corpus(replace(older, settings=average)).steps) == len(KEYS)


def test_options_that_came_later_are_no_change_until_they_are_set(request_):
    (file, *_) = corpus_named("files").select(request_.root)

    def options(**given):
        job = Job(corpus=corpus_named("files", given), file=file, store=Path(), settings=Preparation(), bads="mask")
        own = replace(file, options=job.corpus)
        return replace(job, file=own).preparation["corpus_options"]

    assert not {"sensors", "exclude"} & set(options())
    assert options(sensors="eeg", exclude="EOG1")["exclude"] == ["EOG1"]


@pytest.mark.slow
def test_few_open_files_are_enough_for_many_recordings(tmp_path):
    root = make_small(tmp_path / "root", subjects=1)
    for number in range(2, 90):
        for ending in ("meg.fif", "events.tsv"):
            os.link(root / f"sub-01_task-rest_{ending}", root / f"sub-{number:02d}_task-rest_{ending}")
    script = (
        "import resource\nresource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))\n"
        "from megxl.data.preparing import Request, prepare_corpus\nfrom tests.data.small_corpus import Small\n"
        "if __name__ == '__main__':\n"
        f"    places = dict(root={str(root)!r}, store={str(tmp_path / 'store')!r})\n"
        "    result = prepare_corpus(Request(corpus=Small(), workers=2, **places))\n"
        "    assert result.complete and result.holdings.recordings == 89, result.failed[:2]\n"
    )
    (tmp_path / "script.py").write_text(script)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, tmp_path / "script.py"], env=environment, check=True)


def test_stopping_leaves_a_valid_store_from_which_the_next_run_goes_on(request_):
    class Stops(Watcher):
        def finished(self, outcome):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare_corpus(replace(request_, workers=1), Stops())
    store = Store(request_.store)
    done = store.keys()
    assert done and store.verify() == {}
    assert prepare_corpus(request_).keys == KEYS
