import dataclasses
import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from megxl.corpora.corpus import Word
from megxl.data.groups import Grouping, word_groups
from megxl.data.strict_checks import check_split
from megxl.data.strict_splits import Strict, strict_split
from megxl.errors import InputError
from tests.data.shared_words import listeners, shared_runs, shared_samples, shared_words
from tests.data.told import STORY, told

TENS = Grouping(words=10)


def audience(path, people, lengths, missing, *, names=True, sessions=("ses-0", "ses-1")):
    """Recordings of people who all heard the same stories, with tables that lack the words that `missing` says."""
    made = told(path, ["a"], n_sensors=1)
    recordings = []
    for person in range(people):
        for session in sessions:
            for task, length in enumerate(lengths):
                words = [word for n, word in enumerate(STORY[4000 * task :][:length]) if not missing(n, person)]
                story = f"story {task}" if names else None
                rows = [Word(text=word, onset_s=1 + 0.35 * n, story=story).to_row() for n, word in enumerate(words)]
                name = {"corpus": "meg_masc", "subject": f"sub-{person:02d}", "session": session, "task": str(task)}
                key = f"meg_masc/sub-{person:02d}_{session}_task-{task}"
                facts = dataclasses.replace(made.facts, **name)
                n_samples = round(50 * (5 + 0.35 * len(words)))
                recordings.append(dataclasses.replace(made, key=key, facts=facts, words=rows, n_samples=n_samples))
    return recordings


@pytest.mark.parametrize("gap_s", [3.0, 8.0])
def test_blocks_lie_apart_and_share_no_text(tmp_path, gap_s):
    groups = word_groups(listeners(tmp_path, 2), TENS)
    split = strict_split(groups, Strict(block_s=60.0, gap_s=gap_s))
    assert all(split.parts.values())
    assert shared_samples(groups, split) == 0 and shared_runs(groups, split) == 0
    for recording in range(2):
        places = [
            (group.start, group.stop, part)
            for part, indices in split.parts.items()
            for group in (groups.groups[index] for index in indices)
            if group.recording == recording
        ]
        for start, stop, part in places:
            for other_start, _, other in places:
                if other != part and other_start >= start:
                    assert other_start - stop >= gap_s * 50
    taken = sum(map(len, split.parts.values()))
    assert taken + sum(split.left_out.values()) == len(groups)
    assert split.left_out["nearer to another part than the gap"] > 0


def test_training_pays_for_the_gap(tmp_path):
    groups = word_groups(listeners(tmp_path, 1), TENS)
    rule = Strict(block_s=60.0, ratios=(0.5, 0.0, 0.5))
    split = strict_split(groups, rule)
    wide = strict_split(groups, Strict(block_s=60.0, ratios=(0.5, 0.0, 0.5), gap_s=10.0))
    assert wide.test == split.test and set(wide.train) < set(split.train)


def test_one_text_stays_together_however_it_was_cut_into_groups(tmp_path):
    # the second listener missed a word here and there, so none of the groups has the words of the first one's
    rng = random.Random(0)
    texts = [word for word in STORY[:1500] if rng.random() > 0.01]
    recordings = [*listeners(tmp_path, 1), told(tmp_path, texts, subject="sub-9", n_sensors=1)]
    groups = word_groups(recordings, Grouping(words=50))
    free = strict_split(groups, Strict(block_s=100.0, same_text_together=False))
    assert shared_runs(groups, free) > 0
    split = strict_split(groups, Strict(block_s=100.0))
    assert shared_runs(groups, split) == 0 and shared_samples(groups, split) == 0
    assert split.left_out["whose text belongs to more than one part"] > 0
    second = [groups.groups[index].recording for index in split.train].count(1)
    assert second > 5  # of 29: the blocks of the first decide, nothing is thrown away needlessly


def test_two_sessions_of_one_story_stay_together(tmp_path):
    # as in MEG-MASC: four stories, each in two sessions with the second a word behind
    recordings = []
    for story in range(4):
        words = STORY[1000 * story : 1000 * story + 300]
        for session in ("ses-0", "ses-1"):
            told_words = words[session == "ses-1" :]
            name = {"subject": "sub-1", "session": session, "run": f"run-{story}", "corpus": "meg_masc"}
            recordings.append(told(tmp_path, told_words, n_sensors=1, stories=[f"s{story}"] * 300, **name))
    groups = word_groups(recordings)
    split = strict_split(groups, Strict(by="story", ratios=(0.5, 0.25, 0.25)))
    for part, indices in split.parts.items():
        stories = {groups.recordings[groups.groups[index].recording].run for index in indices}
        others = {
            groups.recordings[groups.groups[index].recording].run
            for other, found in split.parts.items()
            if other != part
            for index in found
        }
        assert stories and not stories & others
    assert sum(map(len, split.parts.values())) == len(groups)


def test_stories_without_names_are_known_by_their_text(tmp_path):
    recordings = []
    for number in range(3):
        words = STORY[1000 * number : 1000 * number + 300]
        recordings += [told(tmp_path, words[n:], n_sensors=1, subject=f"sub-{n}", run=f"run-{number}") for n in (0, 1)]
    groups = word_groups(recordings)
    split = strict_split(groups, Strict(by="story"))
    assert shared_runs(groups, split) == 0
    assert [len(part) for part in split.parts.values()] == [11, 11, 11]  # 6 groups of the first, 5 of the second


def test_a_common_opening_does_not_make_one_story_of_all(tmp_path):
    opening = tuple(f"o{number}" for number in range(30))  # as "this is a recording of ..."
    recordings = [
        told(tmp_path, opening + STORY[1000 * n : 1000 * n + 300], n_sensors=1, run=f"run-{n}") for n in range(6)
    ]
    groups = word_groups(recordings)
    split = strict_split(groups, Strict(by="story", ratios=(0.6, 0.2, 0.2)))
    assert shared_runs(groups, split) == 0
    assert all(split.parts.values())
    assert split.left_out["whose text belongs to more than one part"] <= 6  # the openings


def test_split_by_subject_keeps_text_apart_too_unless_told_otherwise(tmp_path):
    recordings = [
        told(tmp_path, STORY[500 * run : 500 * run + 200], subject=f"sub-{n}", run=f"run-{run}", n_sensors=1)
        for n in range(6)
        for run in range(6)
    ]
    groups = word_groups(recordings, TENS)
    rule = Strict(by="subject", ratios=(0.4, 0.3, 0.3))
    both = strict_split(groups, rule)
    check_split(groups, both, subjects=True, text=True)
    assert both.left_out["whose subject and text belong to different parts"] > len(groups) / 3
    people = strict_split(groups, Strict(by="subject", ratios=rule.ratios, same_text_together=False))
    check_split(groups, people, subjects=True, text=False)
    assert sum(map(len, people.parts.values())) == len(groups)


def test_parts_come_near_their_ratios_and_depend_on_the_split_seed_alone(tmp_path):
    groups = word_groups(listeners(tmp_path, 1, STORY[:6000]), TENS)
    split = strict_split(groups, Strict(block_s=30.0))
    sizes = [len(part) / len(groups) for part in split.parts.values()]
    assert sizes[0] == pytest.approx(0.8, abs=0.15) and min(sizes[1:]) > 0.06
    assert strict_split(groups, Strict(block_s=30.0)) == split
    assert strict_split(groups, Strict(block_s=30.0, split_seed=1)).test != split.test


def test_too_few_blocks_are_refused(tmp_path):
    groups = word_groups(listeners(tmp_path, 1, STORY[:300]), TENS)
    with pytest.raises(InputError, match=r"No group is left for .*smaller block_s"):
        strict_split(groups, Strict(block_s=1000.0))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=12)
@given(
    seed=st.integers(0, 99),
    block_s=st.floats(20, 90),
    gap_s=st.floats(3, 9),
    cuts=st.lists(st.integers(0, 400), min_size=1, max_size=3),
    words=st.integers(5, 30),
)
def test_strict_splits_share_nothing_whatever_was_heard(tmp_path_factory, seed, block_s, gap_s, cuts, words):
    path = tmp_path_factory.mktemp("s")
    recordings = [told(path, STORY[cut : cut + 500], subject=f"sub-{n}", n_sensors=1) for n, cut in enumerate(cuts)]
    groups = word_groups(recordings, Grouping(words=words))
    try:
        split = strict_split(groups, Strict(split_seed=seed, block_s=block_s, gap_s=gap_s))
    except InputError as error:
        assert "No group is left" in str(error)
        return
    assert shared_samples(groups, split) == 0
    assert shared_runs(groups, split, min(8, words)) == 0
    assert sum(map(len, split.parts.values())) + sum(split.left_out.values()) == len(groups)


@pytest.mark.parametrize(
    "fields",
    [
        {"by": "word"},
        {"ratios": "abc"},
        {"ratios": (0.5, 0.5)},
        {"split_seed": "x"},
        {"gap_s": float("nan")},
        {"ratios": (0.9, 0.2, -0.1)},
        {"gap_s": 2.9},
        {"block_s": 6.0},
    ],
)
def test_rules_that_make_no_sense_are_refused(fields):
    with pytest.raises(InputError, match="allowed"):
        Strict(**fields)


@pytest.mark.parametrize("words", [1, 3, 5, 8, 10, 12, 16, 50])
@pytest.mark.parametrize("rule", [{"by": "story"}, {"by": "block", "block_s": 60.0}, {"by": "subject"}])
@pytest.mark.parametrize("names", [True, False])
def test_no_word_of_a_story_is_on_two_sides_however_groups_were_cut(tmp_path, words, rule, names):
    recordings = []
    for story in range(5):
        for person in range(4):
            texts = STORY[1000 * story : 1000 * story + 250][person * max(1, words // 4) :]
            stories = [f"s{story}"] * len(texts) if names else None
            one = {"subject": f"sub-{person}", "run": f"run-{story}", "stories": stories, "n_sensors": 1}
            recordings.append(told(tmp_path, texts, **one))
    groups = word_groups(recordings, Grouping(words=words))
    split = strict_split(groups, Strict(ratios=(0.4, 0.3, 0.3), **rule))
    assert shared_words(groups, split.parts) == 0


@pytest.mark.parametrize(
    ("people", "seed"), [(3, 0), (3, 1)] + [pytest.param(27, seed, marks=pytest.mark.slow) for seed in (2, 9)]
)
def test_tables_that_lack_words_at_random_keep_most_groups_and_leak_none(tmp_path, people, seed):
    rng = random.Random(seed)
    groups = word_groups(audience(tmp_path, people, (300, 1000, 650, 1200), lambda n, who: rng.random() < 0.05))
    by_story = strict_split(groups, Strict(by="story", split_seed=seed))
    assert sum(by_story.left_out.values()) == 0 and shared_words(groups, by_story.parts) == 0
    by_block = strict_split(groups, Strict(by="block", block_s=100.0, split_seed=seed))
    assert sum(map(len, by_block.parts.values())) > 0.7 * len(groups)
    assert shared_words(groups, by_block.parts) == 0


def test_stories_without_names_are_known_though_words_are_missing(tmp_path):
    rng = random.Random(0)
    lengths = (300, 1000, 650, 1200)
    groups = word_groups(audience(tmp_path, 4, lengths, lambda n, who: rng.random() < 0.05, names=False))
    split = strict_split(groups, Strict(by="story"))
    assert sum(split.left_out.values()) == 0 and shared_words(groups, split.parts) == 0


def test_a_story_is_known_by_its_name_where_tables_differ_every_few_words(tmp_path):
    groups = word_groups(audience(tmp_path, 6, (300, 900, 600, 1200), lambda n, who: (n + who) % 7 == 0))
    split = strict_split(groups, Strict(by="story"))
    assert sum(map(len, split.parts.values())) == len(groups)
    assert shared_words(groups, split.parts) == 0


def test_parts_of_one_person_and_session_have_names_of_their_own(tmp_path):
    # names are those of a corpus: another one may use them for other stories
    recordings = [
        told(tmp_path, STORY[1000 * n : 1000 * n + 100], corpus=corpus, stories=["1"] * 100, n_sensors=1)
        for n, corpus in enumerate(("armeni", "libribrain", "meg_masc"))
    ]
    split = strict_split(word_groups(recordings), Strict(by="story"))
    assert [len(part) for part in split.parts.values()] == [2, 2, 2]


@pytest.mark.parametrize("seed", range(12))
def test_the_largest_story_is_not_held_out_by_the_luck_of_the_draw(tmp_path, seed):
    recordings = [
        told(tmp_path, STORY[3000 * n : 3000 * n + length], run=f"run-{n}", stories=[f"s{n}"] * length, n_sensors=1)
        for n, length in enumerate((400, 60, 60, 60, 60, 60))
    ]
    split = strict_split(word_groups(recordings, TENS), Strict(by="story", split_seed=seed))
    assert [len(part) for part in split.parts.values()] == [58, 6, 6]
    assert split.notes == ()


def test_parts_far_from_what_was_wanted_are_told(tmp_path):
    recordings = [
        told(tmp_path, STORY[3000 * n : 3000 * n + 100], run=f"run-{n}", stories=[f"s{n}"] * 100, n_sensors=1)
        for n in range(3)
    ]
    split = strict_split(word_groups(recordings, TENS), Strict(by="story"))
    assert "validation has 33.3% of the groups that are left, wanted were 10.0%" in split.summary
    assert [note.split()[0] for note in split.notes] == ["train", "validation", "test"]
