import pytest

from megxl.errors import InputError
from megxl.training.words.seen import refuse_seen, tokenizer_note
from tests.small import TRAINED

OURS = {
    "weights": "loaded",
    "steps": 9000,
    "untrained": False,
    "recordings": {
        "armeni": {"train": ["armeni/sub-001_ses-001"], "validation": ["armeni/sub-001_ses-002"]},
        "camcan": {"train": ["camcan/sub-1"], "validation": []},
    },
}
SEEN, MONITORED, NEW = (f"armeni/sub-001_ses-00{number}" for number in (1, 2, 3))


def test_recordings_that_trained_the_model_are_refused_unless_allowed():
    with pytest.raises(InputError, match=rf"1 of 2 test recordings were seen .*first: {SEEN}.*allow_seen=true"):
        refuse_seen(OURS, [NEW, SEEN], allow_seen=False)
    note = refuse_seen(OURS, [NEW, SEEN], allow_seen=True)
    assert SEEN in note and "allowed" in note


def test_recordings_that_validated_the_model_are_told():
    note = refuse_seen(OURS, [MONITORED, NEW], allow_seen=False)
    assert "1 of 2" in note and MONITORED in note and "validated" in note


def test_of_new_recordings_there_is_nothing_to_say():
    assert refuse_seen(OURS, [NEW], allow_seen=False) is None


@pytest.mark.parametrize("place", ["source", "started_from"])
def test_what_an_earlier_training_saw_counts_too(place):
    later = TRAINED | {place: OURS, "recordings": {"camcan": {"train": ["camcan/sub-2"], "validation": []}}}
    for provenance in (later, TRAINED | {place: OURS}, TRAINED | {"source": TRAINED | {place: OURS}}):
        with pytest.raises(InputError, match=SEEN):
            refuse_seen(provenance, [SEEN], allow_seen=False)


def test_a_checkpoint_that_does_not_say_is_told_with_what_is_known_of_the_published_one():
    keys = [f"armeni/sub-001_ses-{number:03d}_task-compr" for number in (1, 9, 10)]
    note = refuse_seen(TRAINED, keys, allow_seen=False)
    assert "does not say" in note and "1 of 3" in note and keys[2] in note
    masc = refuse_seen(TRAINED, ["meg_masc/sub-11_ses-0_task-1", "meg_masc/sub-111_ses-0_task-1"], allow_seen=False)
    assert "1 of 2" in masc and "sub-03 and sub-11" in masc
    others = refuse_seen(TRAINED, ["libribrain/sub-0_ses-1_task-Sherlock1_run-1"], allow_seen=False)
    assert "does not say" in others and "published" not in others


def test_random_weights_have_seen_nothing():
    assert refuse_seen({"weights": "random"}, ["armeni/sub-001_ses-010"], allow_seen=False) is None


@pytest.mark.parametrize("provenance", [OURS, TRAINED | {"source": OURS}, TRAINED | {"started_from": OURS}])
def test_a_tokenizer_that_was_trained_on_the_test_is_told_and_allowed(provenance):
    note = tokenizer_note(provenance, [NEW, SEEN])
    assert note is not None and "tokenizer was trained on 1 of 2 test recordings, without their words" in note
    assert SEEN in note
    assert tokenizer_note(provenance, [NEW, MONITORED]) is None and tokenizer_note(TRAINED, [SEEN]) is None
