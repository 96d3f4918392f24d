from dataclasses import replace

import pytest
import torch

from megxl.data.batch import collate, corpus_ids
from megxl.data.group_dataset import WordGroupDataset
from megxl.data.groups import Grouping, word_groups
from megxl.decoding.word_windows import word_windows
from megxl.errors import InputError
from tests.data.told import STORY, told
from tests.decoding.word_batches import word_batch


@pytest.mark.parametrize("compat", [None, "reference"])
@pytest.mark.parametrize("words", [1, 7])
def test_windows_of_a_tape_are_those_of_its_groups(tmp_path, compat, words):
    groups = word_groups([told(tmp_path, STORY[:40], every_s=0.42, n_sensors=4)], Grouping(words=words, compat=compat))
    dataset, lengths = WordGroupDataset(groups, seed=0), set()
    for number, group in enumerate(groups):
        _, samples_BW = word_windows(collate([dataset[number]], corpus_ids(["armeni"])), 3.0)
        expected = [stop - start for start, stop in zip(group.starts, group.stops, strict=True)]
        assert samples_BW[0].tolist() == expected
        lengths |= set(expected)
    assert lengths == ({150} if compat is None else {149, 150, 151}), "the test must meet unequal windows"


def test_windows_that_overlap_are_all_of_one_length():
    starts_BW = torch.tensor([[0, 149, 300, 320], [3, 400, -1, -1]])
    told_BW, samples_BW = word_windows(word_batch(starts_BW=starts_BW, samples=600), 3.0)
    assert torch.equal(told_BW, starts_BW) and (samples_BW == 150).all()


def test_a_batch_without_words_is_refused():
    with pytest.raises(InputError, match="has no words"):
        word_windows(replace(word_batch(), word_starts_BW=None), 3.0)
