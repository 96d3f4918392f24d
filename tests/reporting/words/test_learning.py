"""Which epoch was kept, and which columns a page draws."""

import pytest

pytest.importorskip("lightning.pytorch")

from megxl.reporting.words.learning import kept_step, shown_metrics
from tests.training.words.small_words import words_config


def test_the_kept_epoch_is_the_last_that_was_the_best_so_far():
    assert kept_step([{"step": 5, "selected": 1}, {"step": 9, "selected": 1}, {"step": 12, "selected": 0}]) == 9
    assert kept_step([{"step": 5}]) is None and kept_step([]) is None


def test_columns_of_the_metrics_that_select_and_are_reported(tmp_path):
    rows = [{"step": 1, "balanced_top3_accuracy_retrieval10": 0.1, "balanced_top3_accuracy": 0.2, "loss": 1.0}]
    shown = shown_metrics(words_config(tmp_path / "store"), rows, 15)  # sizes 10 and 20: the latter is all words
    assert shown == {
        "balanced_top3_accuracy": "balanced_top3_accuracy (selection)",
        "balanced_top3_accuracy_retrieval10": "balanced_top3_accuracy_retrieval10 (reported)",
    }
    one = words_config(tmp_path / "store", evaluation__retrieval_set_sizes=[10])
    assert list(shown_metrics(one, rows, 15).values()) == ["balanced_top3_accuracy_retrieval10 (selection), reported"]
    assert shown_metrics(one, [], 15) == {}
