"""Words on their way into a store: their times are compared with the recording, whatever the corpus."""

import pytest

from megxl.data.preparing import Request, prepare_corpus
from megxl.store.store import Store
from tests.data.small_corpus import Small, make_small

KEY = "small/sub-01_task-rest"


@pytest.fixture
def one(tmp_path) -> Request:
    return Request(corpus=Small(), root=make_small(tmp_path / "root", 1), store=tmp_path / "store", workers=0)


def times(request, *onsets_s):
    rows = "".join(f"{onset_s}\tw{n}\n" for n, onset_s in enumerate(onsets_s))
    (request.root / "sub-01_task-rest_events.tsv").write_text(rows)


def test_words_outside_the_recording_are_told_when_they_are_made_and_when_they_are_read_again(one):
    times(one, 0.5, 1.0, 1.99, 2.0)
    prepare_corpus(one)
    stored = Store(one.store).recording(KEY)
    said = "{} of {} words lie outside the recording: they begin at 0.50 to {} s, it has 2.00 s."
    assert stored.word_notes == [said.format(1, 4, "2.00")] and len(stored.words) == 4
    times(one, 0.5, 1.0, 2.5, 3.0)
    result = prepare_corpus(one)
    assert [outcome.kind for outcome in result.outcomes] == ["words"]
    assert Store(one.store).recording(KEY).word_notes == [said.format(2, 4, "3.00")]
    assert result.holdings.notes["2 of 4 words lie outside the recording"] == 1


def test_milliseconds_fail_the_recording_and_name_its_table(one):
    times(one, *range(0, 24_000, 400))
    (failed,) = prepare_corpus(one).failed
    assert failed.reason.startswith("sub-01_task-rest_events.tsv: the typical time between two words would be 400 s.")
    assert not failed.unexpected and KEY not in Store(one.store)


def test_words_after_the_end_fail_a_recording_that_is_stored_and_leave_it_as_it_was(one):
    prepare_corpus(one)
    before = Store(one.store).recording(KEY)
    times(one, 1.0, 11.0, 12.0, 13.0, 14.0)
    (failed,) = prepare_corpus(one).failed
    assert "4 of 5 words lie outside the recording" in failed.reason
    assert Store(one.store).recording(KEY).words == before.words
