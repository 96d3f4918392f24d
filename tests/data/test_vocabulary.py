import pytest

from megxl.data.groups import Grouping, word_groups
from megxl.data.vocabulary import vocabulary
from tests.data.told import told


@pytest.fixture
def groups(tmp_path):
    texts = "b a | a c | C B | d d".replace("| ", "").split()
    return word_groups([told(tmp_path, texts)], Grouping(words=2))


def test_words_stand_by_falling_count_and_first_occurrence(groups):
    known = vocabulary(groups)
    assert known.words == ("b", "a", "c", "d")
    assert known.counts == (2, 2, 2, 2)


def test_words_of_the_training_part_alone_can_count(groups):
    known = vocabulary(groups, [3, 1])
    assert known.words == ("d", "a", "c")
    assert known.counts == (2, 1, 1)
    assert vocabulary(groups, [2, 0]).words == ("b", "a", "c")  # whatever the order in which groups are named


def test_labels_are_ranks_and_strangers_are_minus_one(groups):
    known = vocabulary(groups, [3])
    assert known.labels(["D", "a", "d"]).tolist() == [0, -1, 0]
    assert "D" in known and "a" not in known and len(known) == 1
