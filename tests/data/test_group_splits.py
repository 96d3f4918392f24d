import pytest

from megxl.corpora.corpus import Selection, Split
from megxl.corpora.libribrain import LibriBrain
from megxl.data.group_splits import GroupSplit, hashed_split, kept_share, recordings_split
from megxl.data.groups import Grouping, word_groups
from megxl.data.splits import RecordingSplit, apply_selections, published_split
from megxl.data.strict_checks import check_split
from megxl.errors import InputError
from tests.data.shared_words import listeners, shared_samples
from tests.data.told import STORY, told

TENS = Grouping(words=10)


def test_the_published_split_is_refused_for_its_leak_unless_asked_for(tmp_path):
    groups = word_groups(listeners(tmp_path, 1), TENS)
    with pytest.raises(InputError, match=r"leaks.*allow_leak=True"):
        hashed_split(groups)
    split = hashed_split(groups, allow_leak=True)
    assert sorted(index for part in split.parts.values() for index in part) == list(range(len(groups)))
    assert shared_samples(groups, split) > 0  # the leak is real


def test_the_check_finds_the_shared_signal_of_the_published_split(tmp_path):
    groups = word_groups(listeners(tmp_path, 1), TENS)
    with pytest.raises(InputError, match=r"armeni/sub-0_ses-1.*the same signal for [\d.]+ s at .*at least 3 s apart"):
        check_split(groups, hashed_split(groups, allow_leak=True))


def test_groups_follow_the_split_of_their_recordings(tmp_path):
    recordings = [told(tmp_path, STORY[:100], session=f"ses-{n}", n_sensors=1) for n in (1, 2, 3, 4)]
    sessions = Split(
        train=Selection(), validation=Selection(sessions=("ses-2",)), test=Selection(sessions=("ses-4",)), source="s"
    )
    groups = word_groups(recordings)
    split = recordings_split(groups, apply_selections(recordings, sessions))
    assert split.parts == {"train": (0, 1, 4, 5), "validation": (2, 3), "test": (6, 7)}
    named = RecordingSplit(train=(recordings[0].key,), test=(recordings[1].key,))
    assert recordings_split(groups, named).left_out == {"of recordings that the split does not name": 4}


def test_groups_follow_the_official_partitions_of_a_corpus(tmp_path):
    names = {"corpus": "libribrain", "subject": "sub-0", "n_sensors": 1, "run": "run-1"}
    recordings = [
        told(tmp_path, STORY[:60], session=session, task=book, **names | {"run": run})
        for book, session, run in (
            ("Sherlock1", "ses-1", "run-1"),
            ("Sherlock1", "ses-11", "run-2"),
            ("Sherlock1", "ses-12", "run-2"),
            ("Sherlock2", "ses-12", "run-1"),
        )
    ]
    split = recordings_split(word_groups(recordings), published_split(recordings, LibriBrain, "official"))
    assert split.parts == {"train": (0, 3), "validation": (1,), "test": (2,)} and split.leak is None


def test_a_part_of_recordings_without_groups_is_refused(tmp_path):
    recordings = [told(tmp_path, STORY[:100]), told(tmp_path, STORY[:20], subject="sub-2")]
    split = RecordingSplit(train=(recordings[0].key,), test=(recordings[1].key,))
    with pytest.raises(InputError, match=r"None of the 1 test recordings .*sub-2.* has a word group"):
        recordings_split(word_groups(recordings), split)


def test_validation_that_is_the_test_is_kept_for_those_who_allow_the_leak(tmp_path):
    recordings = [told(tmp_path, STORY[:50], session=f"ses-{n}") for n in (0, 1)]
    keys = [recording.key for recording in recordings]
    leaky = RecordingSplit(train=(keys[0],), validation=(keys[1],), test=(keys[1],), leak="validation is the test.")
    split = recordings_split(word_groups(recordings), leaky)
    assert split.parts == {"train": (0,), "validation": (1,), "test": (1,)}
    with pytest.raises(InputError, match="1 groups are in more than one part"):
        GroupSplit(train=(0,), validation=(1,), test=(1,), source="by hand")


def test_a_share_of_training_is_part_of_a_larger_one():
    train = range(100, 200)
    quarter, half = kept_share(train, 0.25, seed=1), kept_share(train, 0.5, seed=1)
    assert len(quarter) == 25 and half[:25] == quarter and sorted(kept_share(train, 1.0, seed=1)) == list(train)
    with pytest.raises(InputError, match="above 0, up to 1"):
        kept_share(train, 0.0, seed=1)


def test_a_share_that_leaves_no_group_is_refused():
    with pytest.raises(InputError, match=r"share = 0\.25 of 3 training groups is none"):
        kept_share(range(3), 0.25, seed=0)


def test_a_part_to_which_no_group_fell_is_told(tmp_path):
    groups = word_groups([told(tmp_path, STORY[:50])])
    split = hashed_split(groups, (0.98, 0.01, 0.01), allow_leak=True)
    assert split.parts["validation"] == split.parts["test"] == ()
    assert "No group fell to validation: 1 groups are too few for a hash. No group fell to test" in split.summary


def test_recordings_that_a_split_names_in_vain_are_told(tmp_path):
    recordings = [told(tmp_path, STORY[:100], subject=f"sub-{n}") for n in range(2)]
    named = RecordingSplit(
        train=("armeni/sub-0_ses-1", "armeni/sub-9_ses-1", "armeni/sub-10_ses-1"), test=("armeni/sub-1_ses-1",)
    )
    split = recordings_split(word_groups(recordings), named)
    (note,) = split.notes
    assert note == "2 of 3 train recordings are not in the set of groups (first: armeni/sub-9_ses-1)"
    assert note in split.summary


@pytest.mark.parametrize("ratios", ["abc", None, (0.5, 0.5), (0.9, 0.2, -0.1), (float("nan"), 0.5, 0.5), (0.3,) * 3])
def test_ratios_that_make_no_sense_are_refused(tmp_path, ratios):
    with pytest.raises(InputError, match="allowed: three shares"):
        hashed_split(word_groups([told(tmp_path, STORY[:50])]), ratios, allow_leak=True)
