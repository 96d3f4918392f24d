"""Words beside what was decoded: what is right is marked by a tick, and nothing is chosen or cut."""

import re

import numpy as np
import pytest

from megxl.decoding.metrics import Metric
from megxl.errors import InputError
from megxl.reporting.journey.passage import passage_html, passage_of
from megxl.reporting.words.scores import Scored, score_predictions
from tests.reporting.journey.told import EACH, predicted

VOCABULARY = ("<i>", "of", "and", "door", "house", "river", "rare")


@pytest.fixture
def scored() -> Scored:
    """Three groups; of the first, "<i>" comes first, "of" third, "door" last of six candidates."""
    labels_N = np.tile([0, 1, 3, 6], 3 * EACH // 4)
    order = {0: (0, 1, 2, 3, 4, 5), 1: (0, 2, 1, 3, 4, 5), 3: (0, 1, 2, 4, 5, 3), 6: (0, 1, 2, 3, 4, 5)}
    scores_NV = np.zeros((len(labels_N), len(VOCABULARY)))
    for row, label in zip(scores_NV, labels_N, strict=True):
        row[list(order[int(label)])] = np.arange(6, 0, -1)
    return score_predictions("told", predicted(VOCABULARY, labels_N, scores_NV), Metric(k=3, among=6), 50)


def cards(html: str) -> list[str]:
    return re.findall(r"<li class=.*?</li>", html)


def test_the_passage_is_the_first_group_of_the_recording(scored):
    assert passage_of(scored, "armeni/sub-1_ses-0") == list(range(EACH))
    assert passage_of(scored, "armeni/sub-1_ses-1") == list(range(2 * EACH, 3 * EACH))


def test_a_recording_without_words_in_the_test_is_refused(scored):
    with pytest.raises(InputError, match=r"tested no word of it.*armeni/sub-1_ses-0"):
        passage_of(scored, "armeni/sub-9")


def test_the_right_word_has_a_tick_where_it_stands(scored):
    first, third, last, none = cards(passage_html(scored, [0, 1, 2, 3]))
    assert re.findall(r"<span[^>]*>(.*?)</span>", first) == ["✓ &lt;i&gt;", "of", "and", "door", "house"]
    assert re.findall(r"<span[^>]*>(.*?)</span>", third) == ["&lt;i&gt;", "and", "✓ of", "door", "house"]
    assert "✓" not in last and "✗ place 6" in last and 'class="missed"' in last
    assert "no candidate" in none and "<span" not in none


def test_what_is_counted_below_goes_by_the_metric(scored):
    said = passage_html(scored, [0, 1, 2, 3, 4])
    assert (
        "Of these 5 words 4 are among the 6 candidates; 3 of them are found among the first 3, 2 as the first." in said
    )


def test_no_word_becomes_markup(scored):
    assert "<i>" not in passage_html(scored, list(range(EACH)))
