"""The story: an original text with the statistics of language, told at a steady pace, session after session."""

from collections import Counter

import numpy as np
import pytest

from megxl.corpora.simulation.recipe import Recipe
from megxl.corpora.simulation.story import LEAD_S, story_minutes, vocabulary, words_heard


def told(**options) -> list:
    return words_heard(Recipe(**options))


def test_the_story_is_a_story():
    words = [one.word.text for one in told(minutes=story_minutes(160.0))]
    assert 1500 < len(words) < 2600 and set(words) == set(vocabulary())
    counts = Counter(words).most_common()
    assert counts[0][0] == "the"
    # Zipf: how often falls with rank, about as its inverse; half of the words occur once
    ranks = np.arange(1, 201)
    slope = np.polyfit(np.log(ranks), np.log([count for _, count in counts[:200]]), 1)[0]
    assert -1.2 < slope < -0.7
    assert 0.35 < np.mean([count == 1 for _, count in counts]) < 0.65
    assert all(word.replace("'", "").isalpha() and word == word.lower() for word in vocabulary())


def test_it_has_chapters_and_sentences_to_which_its_words_belong():
    heard = told(minutes=story_minutes(160.0))
    chapters = list(dict.fromkeys(one.word.chapter for one in heard))
    assert len(chapters) >= 5 and chapters[0] == "The Bell at Low Water"
    for one in heard:
        assert one.word.text in one.word.sentence.lower()
        assert '"' not in one.word.sentence and "\t" not in one.word.sentence


@pytest.mark.parametrize("pace", [120.0, 160.0, 180.0])
def test_it_is_told_at_the_pace_asked_for(pace):
    minutes = story_minutes(pace)
    heard = told(minutes=minutes, words_per_minute=pace)
    assert abs(len(heard) / (minutes - 2 * LEAD_S / 60) - pace) < 0.5


def test_words_do_not_overlap_and_pauses_stand_at_stops():
    heard = told(minutes=5.0)
    ends = np.array([one.onset_s + one.word.duration_s for one in heard])
    gaps = np.array([one.onset_s for one in heard[1:]]) - ends[:-1]
    assert gaps.min() > -0.002  # onsets are rounded to milliseconds
    stops = np.array([one.word.pause_s > 0 for one in heard[:-1]])
    assert gaps[stops].min() > 0.1 and gaps[~stops].max() < 0.002
    assert heard[0].onset_s == LEAD_S and ends[-1] <= 300 - LEAD_S + 0.001
    longer = {len(one.word.text): one.word.duration_s for one in heard}
    assert [longer[n] for n in sorted(longer)] == sorted(longer.values())


def test_sessions_go_on_where_the_one_before_has_ended():
    whole = [one.word.text for one in told(minutes=10 + 4 / 60)]
    first, second = ([one.word.text for one in told(minutes=5 + 4 / 60, session=n)] for n in (1, 2))
    assert whole[: len(first)] == first
    assert whole[-len(second) :] == second
    assert len(whole) - len(first) - len(second) <= 2  # one that falls on the border is heard by nobody


def test_later_tellings_have_the_same_words_in_another_order():
    minutes = story_minutes(160.0)
    first, second, third = ([one.word.text for one in told(minutes=minutes, session=n)] for n in (1, 2, 3))
    assert Counter(first) == Counter(second) == Counter(third)
    assert first != second and second != third
    other = [one.word.text for one in told(minutes=minutes, session=2, seed=1)]
    assert other != second


def test_listeners_of_a_session_hear_the_same():
    assert told(subject=1) == told(subject=7)


def test_durations_that_are_dealt_out_say_nothing_of_the_words_and_change_nothing_else():
    by_letters, dealt = told(minutes=10), told(minutes=10, durations="random")
    texts = [[one.word.text for one in heard] for heard in (by_letters, dealt)]
    shared = min(map(len, texts))
    assert texts[0][:shared] == texts[1][:shared] and abs(len(texts[0]) - len(texts[1])) < 0.1 * shared
    letters = [len(text) for text in texts[0][:shared]]
    durations_s = [[one.word.duration_s for one in heard[:shared]] for heard in (by_letters, dealt)]
    to_next_s = np.diff([one.onset_s for one in dealt[:shared]])
    assert np.corrcoef(letters, durations_s[0])[0, 1] > 0.99
    assert abs(np.corrcoef(letters, durations_s[1])[0, 1]) < 4 / shared**0.5
    assert abs(np.corrcoef(letters[:-1], to_next_s)[0, 1]) < 4 / shared**0.5
    assert told(minutes=10, durations="random") == dealt != told(minutes=10, durations="random", seed=5)
