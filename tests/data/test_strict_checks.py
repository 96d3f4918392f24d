import pytest

from megxl.data.group_splits import GroupSplit
from megxl.data.groups import Grouping, word_groups
from megxl.data.strict_checks import check_split
from megxl.errors import InputError
from tests.data.told import STORY, told

TENS = Grouping(words=10)


def test_the_check_finds_text_that_one_word_of_shift_put_on_both_sides(tmp_path):
    recordings = [told(tmp_path, STORY[:200]), told(tmp_path, STORY[1:201], subject="sub-2")]
    groups = word_groups(recordings, TENS)
    train, test = range(20), range(20, 40)  # each listener whole: no signal is shared
    split = GroupSplit(train=tuple(train), validation=(), test=tuple(test), source="by hand")
    check_split(groups, split, text=False, subjects=True)
    with pytest.raises(InputError, match=r"train and test share \d+ runs of words"):
        check_split(groups, split)


@pytest.mark.parametrize(("apart_s", "refused"), [(2.98, True), (3.0, False)])
def test_the_check_wants_the_whole_gap_between_parts(tmp_path, apart_s, refused):
    onsets_s = [1.0, 1.4, 3.9 + apart_s + 0.5, 20.0]  # the second window ends at 3.9 s
    groups = word_groups([told(tmp_path, STORY[:4], onsets_s=onsets_s)], Grouping(words=2))
    split = GroupSplit(train=(0,), validation=(), test=(1,), source="by hand")
    if not refused:
        check_split(groups, split)
        return
    with pytest.raises(InputError, match=r"test and train are 2.98 s apart at 6.88 s; allowed: at least 3 s apart"):
        check_split(groups, split)


def test_the_check_finds_a_subject_on_both_sides(tmp_path):
    recordings = [told(tmp_path, STORY[:50]), told(tmp_path, STORY[100:150], run="run-2")]
    split = GroupSplit(train=(0,), validation=(), test=(1,), source="by hand")
    groups = word_groups(recordings)
    check_split(groups, split)
    with pytest.raises(InputError, match="share 1 subjects, such as 'armeni/sub-1'"):
        check_split(groups, split, subjects=True)


@pytest.mark.parametrize("words", [1, 3, 5, 8])
def test_the_check_finds_one_word_on_both_sides_however_small_groups_are(tmp_path, words):
    recordings = [told(tmp_path, STORY[:60]), told(tmp_path, STORY[1:61], subject="sub-2")]
    groups = word_groups(recordings, Grouping(words=words))
    one, other = (index for index, group in enumerate(groups) if "w30" in group.texts)
    split = GroupSplit(train=(one,), validation=(other,), test=(), source="by hand")
    with pytest.raises(InputError, match=r"train and validation share \d runs of words"):
        check_split(groups, split)


def test_the_check_finds_the_last_words_of_a_recording(tmp_path):
    # no eight words begin with them
    recordings = [told(tmp_path, STORY[:40]), told(tmp_path, STORY[:60], subject="sub-2")]
    groups = word_groups(recordings, Grouping(words=2))
    of = {(group.recording, group.texts[0]): index for index, group in enumerate(groups)}
    split = GroupSplit(train=(of[0, "w38"],), validation=(), test=(of[1, "w38"],), source="by hand")
    with pytest.raises(InputError, match="train and test share 2 runs of words"):
        check_split(groups, split)


def test_the_check_finds_a_story_on_both_sides_by_its_name(tmp_path):
    # tables so different that no run of words is the same
    recordings = [
        told(tmp_path, STORY[n : n + 200 : 2], subject=f"sub-{n}", stories=["s"] * 100, corpus=corpus)
        for n, corpus in ((0, "armeni"), (1, "armeni"), (1, "libribrain"))
    ]
    groups = word_groups(recordings)
    split = GroupSplit(train=(0,), validation=(4,), test=(2,), source="by hand")
    check_split(groups, split, text=False)
    with pytest.raises(InputError, match="train and test share 1 stories, such as 'armeni s'"):
        check_split(groups, split, text=False, stories=True)
    other_corpus = GroupSplit(train=(0,), validation=(), test=(4,), source="by hand")
    check_split(groups, other_corpus, text=False, stories=True)
