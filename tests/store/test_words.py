"""Words of a stored recording: read when they are asked for, refused when they are not as they were."""

import pickle

import pytest

from megxl.errors import InputError
from megxl.store import Damaged
from megxl.store.record import RECORDING
from tests.store.made import WORDS, store_of

KEY = "armeni/sub-1"


@pytest.fixture
def store(tmp_path):
    return store_of(tmp_path / "store", KEY, seconds=1.0)


def test_words_are_what_was_written_and_nothing_is_read_before(store):
    recording = store.recording(KEY)
    assert vars(recording.words).keys() == {"_read"}
    assert recording.words == WORDS and recording.words[1] == WORDS[1] and len(recording.words) == 2
    assert recording.words != WORDS[:1] and recording.words[:1] == WORDS[:1]


def test_words_are_not_pickled(store):
    recording = store.recording(KEY)
    before = len(pickle.dumps(recording))
    assert list(recording.words) == WORDS
    assert len(pickle.dumps(recording)) == before
    assert pickle.loads(pickle.dumps(recording)).words == WORDS


def test_words_that_were_changed_meanwhile_are_refused(store):
    before, source = store.recording(KEY), {"words": {}}
    with store.writing(KEY) as writer:
        writer.rewrite(source=source)
    assert before.words == WORDS  # something else was changed
    opened = store.recording(KEY)
    with store.writing(KEY) as writer:
        after = writer.rewrite(words=WORDS[:1])
    assert after.words == WORDS[:1]
    with pytest.raises(InputError, match=f"{KEY}: its words were changed since it was opened"):
        len(opened.words)


def test_words_that_are_damaged_meanwhile_are_refused(store):
    recording = store.recording(KEY)
    path = store.folder(KEY) / RECORDING
    path.write_bytes(path.read_bytes().replace(b"null", b"nul1"))
    with pytest.raises(Damaged, match="cut short or was changed"):
        list(recording.words)
    path.unlink()
    with pytest.raises(Damaged, match="is missing"):
        list(recording.words)


def test_recordings_with_the_same_sensors_hold_them_once(tmp_path):
    store = store_of(tmp_path / "two", "a/sub-1", "a/sub-2", seconds=1.0)
    first, second = store.recordings()
    assert first.sensors is second.sensors
