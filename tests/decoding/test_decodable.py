"""Which words of a recording are decoded together: every word whose window is there, each once."""

import pytest

from megxl.data.groups import Grouping, word_groups
from megxl.decoding.decodable import LEAVES, OTHER_KIND, decodable_groups
from megxl.errors import InputError
from tests.data.told import STORY, told


def test_whole_groups_are_those_of_the_training(tmp_path):
    recording = told(tmp_path, STORY[:12])
    decodable = decodable_groups(recording, Grouping(words=4))
    assert tuple(decodable.groups) == word_groups([recording], Grouping(words=4)).groups
    assert decodable.context == (0, 0, 0) and decodable.notes == () and decodable.left_out == ()


def test_the_last_words_are_decoded_with_words_before_them_as_context(tmp_path):
    recording = told(tmp_path, STORY[:10])
    decodable = decodable_groups(recording, Grouping(words=4))
    assert [group.texts for group in decodable.groups] == [STORY[:4], STORY[4:8], STORY[6:10]]
    assert decodable.context == (0, 0, 2)
    assert [word.text for word, _ in decodable.words] == list(STORY[:10])
    assert [number for _, number in decodable.words] == [0] * 4 + [1] * 4 + [2] * 2
    assert "The last 2 words do not fill a group of 4: they were decoded together with the 2" in decodable.notes[0]


def test_fewer_words_than_a_group_are_one_shorter_group(tmp_path):
    decodable = decodable_groups(told(tmp_path, STORY[:3]), Grouping(words=50))
    assert [group.texts for group in decodable.groups] == [STORY[:3]] and decodable.context == (0,)
    assert "as one shorter group" in decodable.notes[0]


def test_words_at_the_ends_are_left_out_alone_and_counted(tmp_path):
    recording = told(tmp_path, STORY[:7], onsets_s=[0.2, 1, 2, 3, 4, 5, 9.5], seconds=10.0)
    decodable = decodable_groups(recording, Grouping(words=2))
    assert [word.text for word, _ in decodable.words] == ["w1", "w2", "w3", "w4", "w5"]
    assert [(word.text, reason) for word, reason in decodable.left_out] == [("w0", LEAVES), ("w6", LEAVES)]
    assert decodable.notes[0].startswith("2 of 7 words were not decoded")


def test_a_recording_shorter_than_a_contiguous_group_is_decoded_at_its_length(tmp_path):
    recording = told(tmp_path, STORY[:10], seconds=14.0)
    decodable = decodable_groups(recording, Grouping(words=50, layout="contiguous"))
    assert [word.text for word, _ in decodable.words] == list(STORY[:10])
    assert all(0 <= group.start < group.stop <= recording.n_samples for group in decodable.groups)


def test_labels_that_the_words_have_choose_among_them(tmp_path):
    labels = [{"condition": "sentence"}, {"condition": "list"}] * 3
    recording = told(tmp_path, STORY[:6], labels=labels)
    decodable = decodable_groups(recording, Grouping(words=3, keep={"condition": "sentence"}))
    assert [word.text for word, _ in decodable.words] == ["w0", "w2", "w4"]
    assert {reason for _, reason in decodable.left_out} == {OTHER_KIND}


def test_labels_that_no_word_has_are_told_and_not_asked_for(tmp_path):
    decodable = decodable_groups(told(tmp_path, STORY[:3]), Grouping(words=3, keep={"condition": "sentence"}))
    assert len(decodable.words) == 3
    assert "condition = sentence" in decodable.notes[0]


def test_a_recording_too_short_for_one_word_is_refused(tmp_path):
    recording = told(tmp_path, STORY[:1], onsets_s=[0.6], seconds=2.5)
    with pytest.raises(InputError, match=r"None of the 1 words .* lasts 2\.50 s"):
        decodable_groups(recording, Grouping(words=4))
