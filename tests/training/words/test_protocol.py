from collections import Counter
from itertools import pairwise

import pytest

from megxl.data.group_splits import hashed_share
from megxl.data.groups import Grouping, word_groups
from megxl.data.vocabulary import vocabulary
from megxl.errors import InputError
from megxl.store.store import Store
from megxl.training.words.amounts import distinct_hours, first_hours
from megxl.training.words.leaks import groups_in_common_signal
from megxl.training.words.protocol import make_protocol
from tests.data.shared_words import shared_runs, shared_samples
from tests.data.told import STORY, told
from tests.training.words.small_words import make_word_store, words_config


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return make_word_store(tmp_path_factory.mktemp("words"))


def made(store, *, words=6, recordings=None, **changes):
    recordings = Store(store).recordings() if recordings is None else recordings
    groups = word_groups(recordings, Grouping(words=words))
    return groups, make_protocol(groups, recordings, words_config(store, **changes))


def published(store, **changes):
    return made(store, data__protocol="published", data__split_ratios=[0.8, 0.1, 0.1], **changes)


def sessions(train, val, test):
    return {"data__train_sessions": train, "data__val_sessions": val, "data__test_sessions": test}


def hours_by_hand(groups, indices):
    taken = {
        (groups.groups[i].recording, sample)
        for i in indices
        for start, stop in zip(groups.groups[i].starts, groups.groups[i].stops, strict=True)
        for sample in range(start, stop)
    }
    return len(taken) / 50 / 3600


@pytest.mark.parametrize("seed", [1, 42])
def test_the_published_protocol_asks_the_hash_of_the_words_with_the_seed_of_the_training(store, seed):
    groups, protocol = published(store, seed=seed)
    by_hand = {"train": [], "validation": [], "test": []}
    for index, group in enumerate(groups):
        share = hashed_share(" ".join(group.texts), seed)
        by_hand["train" if share < 0.8 else "validation" if share < 0.9 else "test"].append(index)
    assert {part: list(indices) for part, indices in protocol.split.parts.items()} == by_hand
    assert protocol.vocabulary_from == "all"
    counts = Counter(text for group in groups for text in group.texts)
    assert vocabulary(groups, protocol.counted, as_given=True).words == tuple(w for w, _ in counts.most_common())


def test_the_seed_of_a_published_split_can_be_its_own(store):
    _, one = published(store, seed=1, data__split_seed=42)
    _, other = published(store, seed=42)
    assert one.split.test == other.split.test
    assert any("decides the split too" in leak for leak in other.leaks)
    assert not any("decides the split too" in leak for leak in one.leaks)


def test_a_share_of_training_leaves_the_vocabulary_and_the_test_as_they_are(store):
    _, whole = published(store)
    _, part = published(store, data__train_pct=0.25)
    assert len(part.split.train) == int(0.25 * len(whole.split.train))
    assert set(part.split.train) < set(whole.split.train)
    assert (part.split.test, part.counted) == (whole.split.test, whole.counted)
    assert any("data.train_pct = 0.25" in note for note in part.notes)
    _, strict = made(store)
    _, less = made(store, data__train_pct=0.25)
    assert less.counted == strict.counted == strict.split.train and len(less.split.train) < len(strict.split.train)


def test_what_leaks_in_the_published_protocol_is_counted(store):
    groups, protocol = published(store)
    test, train = ([groups.groups[i] for i in protocol.split.parts[part]] for part in ("test", "train"))
    overlapping = sum(
        any(one.recording == other.recording and set(range(one.start, one.stop)) & set(range(other.start, other.stop))
            for other in train) for one in test
    )  # fmt: skip
    _, block = made(store)
    assert groups_in_common_signal(groups, block.split) == 0
    assert protocol.leaks[0].startswith(f"{overlapping} of {len(test)} test groups share seconds of signal")
    heard = {
        part: {t for i in indices for t in groups.groups[i].texts} for part, indices in protocol.split.parts.items()
    }
    new = (heard["test"] | heard["validation"]) - heard["train"]
    assert any(f"{len(new)} word" in leak and "never occur in training" in leak for leak in protocol.leaks)
    # all listeners hear the same text, grouped alike: equal groups stay together
    assert not any("stand in a text that is trained on" in leak for leak in protocol.leaks)


def test_text_that_is_heard_again_grouped_otherwise_is_counted(tmp_path):
    recordings = [told(tmp_path / "store", STORY[:600], subject="sub-1", seed=1),
                  told(tmp_path / "store", STORY[3:600], subject="sub-2", seed=2)]  # fmt: skip
    groups, protocol = made(tmp_path / "store", recordings=recordings, words=12, data__protocol="published")
    # by hand: the k-th word of the second listener's table is w(k + 3); a run of eight needs all of its words there
    trained = [
        (int(text[1:]), 3 * group.recording)
        for group in (groups.groups[index] for index in protocol.split.train)
        for text in group.texts
    ]
    begins = {place for place, _ in trained if place + 8 <= 600}
    ends = {place for place, first in trained if place - 7 >= first}
    tested = [
        (int(text[1:]), 3 * group.recording)
        for group in (groups.groups[index] for index in protocol.split.test)
        for text in group.texts
    ]
    known = sum((p in begins and p + 8 <= 600) or (p in ends and p - 7 >= first) for p, first in tested)
    assert 0 < known < len(tested)
    (leak,) = [leak for leak in protocol.leaks if "stand in a text" in leak]
    assert leak.startswith(f"{known / len(tested):.1%} of the test words")


def test_published_sessions_may_be_the_same_and_that_is_told(store):
    groups, protocol = made(
        store, data__protocol="published", data__use_hashed_split=False, **sessions(["ses-1"], ["ses-3"], ["ses-3"])
    )
    assert protocol.split.validation == protocol.split.test and len(protocol.split.test) == 40
    assert any("40 groups of the test validate too" in leak for leak in protocol.leaks)
    twice = Counter(t for i in (*protocol.split.train, *2 * protocol.split.test) for t in groups.groups[i].texts)
    counted = vocabulary(groups, protocol.counted, as_given=True)
    assert dict(zip(counted.words, counted.counts, strict=True)) == twice


def test_published_sessions_have_names(store):
    with pytest.raises(InputError, match=r"data.val_sessions names none"):
        made(store, data__protocol="published", data__use_hashed_split=False, **sessions(["ses-1"], None, ["ses-2"]))


@pytest.mark.parametrize("by", ["block", "story", "session"])
def test_strict_parts_share_neither_signal_nor_text(store, by):
    ratios = [0.6, 0.2, 0.2] if by == "block" else [0.34, 0.33, 0.33]
    groups, protocol = made(store, data__strict_by=by, data__split_ratios=ratios)
    assert all(protocol.split.parts.values())
    assert shared_samples(groups, protocol.split) == 0 and shared_runs(groups, protocol.split, 6) == 0
    assert protocol.leaks == () and protocol.vocabulary_from == "train"
    assert set(protocol.counted) == set(protocol.split.train)
    spans = sorted(
        (group.recording, group.start, group.stop, part)
        for part, indices in protocol.split.parts.items() for group in (groups.groups[i] for i in indices)
    )  # fmt: skip
    for one, other in pairwise(spans):
        assert one[0] != other[0] or one[3] == other[3] or other[1] - one[2] >= 150


def test_the_seed_of_the_training_leaves_a_strict_split_alone(store):
    (_, one), (_, other), (_, third) = (made(store, **c) for c in ({"seed": 1}, {"seed": 2}, {"data__split_seed": 5}))
    assert one.split.parts == other.split.parts != third.split.parts


def test_strict_sessions_are_the_last_ones_unless_named(store):
    def of(protocol, groups):
        return [{groups.recordings[groups.groups[i].recording].session for i in indices}
                for indices in protocol.split.parts.values()]  # fmt: skip

    groups, protocol = made(store, data__strict_by="session")
    assert of(protocol, groups) == [{"ses-1"}, {"ses-2"}, {"ses-3"}]
    groups, protocol = made(store, data__strict_by="session", data__test_sessions=["ses-1"])
    assert of(protocol, groups) == [{"ses-2"}, {"ses-3"}, {"ses-1"}]


def test_the_tenth_session_comes_after_the_second(tmp_path):
    recordings = [
        told(tmp_path / "store", STORY[100 * n : 100 * n + 40], session=f"ses-{n}", seed=n) for n in (1, 2, 10)
    ]
    groups, protocol = made(tmp_path / "store", recordings=recordings, data__strict_by="session")
    assert {groups.recordings[groups.groups[i].recording].session for i in protocol.split.test} == {"ses-10"}


def test_strict_sessions_that_tell_one_text_are_refused(tmp_path):
    recordings = [told(tmp_path / "store", STORY[:60], session=f"ses-{n}", seed=n) for n in range(3)]
    with pytest.raises(InputError, match=r"data.strict_by = session: .*share .* runs of words.*strict_by=story"):
        made(tmp_path / "store", recordings=recordings, data__strict_by="session")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (sessions(None, ["ses-3"], ["ses-3"]), "validation and test share"),
        (sessions(None, ["ses-1", "ses-3"], ["ses-2"]), "0 sessions are left for train"),
        (sessions(None, None, ["ses-9"]), "test: the split names 1 session.*ses-9"),
    ],
)
def test_impossible_sessions_are_refused(store, changes, sentence):
    with pytest.raises(InputError, match=sentence):
        made(store, data__strict_by="session", **changes)


def test_recordings_without_sessions_are_not_split_by_them(tmp_path):
    recordings = [told(tmp_path / "store", STORY[:60], session=None)]
    with pytest.raises(InputError, match=r"1 of 1 recordings have no session .*strict_by=block"):
        made(tmp_path / "store", recordings=recordings, data__strict_by="session")


def libribrain(folder, texts=None):
    runs = [("ses-1", "run-1"), ("ses-11", "run-2"), ("ses-12", "run-2")]
    return [
        told(folder, texts or STORY[1000 * n : 1000 * n + 60], corpus="libribrain", subject="sub-0", session=session,
             task="Sherlock1", run=run, seed=n)
        for n, (session, run) in enumerate(runs)
    ]  # fmt: skip


def test_official_partitions_are_the_corpus_own(tmp_path):
    recordings = libribrain(tmp_path / "store")
    changes = {"data__dataset_type": "libribrain", "data__protocol": "official"}
    groups, protocol = made(tmp_path / "store", recordings=recordings, **changes)
    parts = {part: {groups.recordings[groups.groups[i].recording].session for i in indices}
             for part, indices in protocol.split.parts.items()}  # fmt: skip
    assert parts == {"train": {"ses-1"}, "validation": {"ses-11"}, "test": {"ses-12"}}
    assert protocol.leaks == () and protocol.counted == protocol.split.train


def test_text_that_official_partitions_share_is_told(tmp_path):
    recordings = libribrain(tmp_path / "store", STORY[:60])
    changes = {"data__dataset_type": "libribrain", "data__protocol": "official"}
    _, protocol = made(tmp_path / "store", recordings=recordings, **changes)
    assert protocol.leaks[0].startswith("100.0% of the test words stand in a text that is trained on")


def test_a_corpus_without_partitions_names_the_other_protocols(store):
    with pytest.raises(InputError, match=r"armeni came without partitions of its own; use data.protocol=strict"):
        made(store, data__protocol="official")


def test_an_empty_part_is_one_sentence(tmp_path):
    recordings = [told(tmp_path / "store", STORY[:18])]
    with pytest.raises(InputError, match=r"No word group is left for .*data.words_per_segment"):
        made(
            tmp_path / "store", recordings=recordings, data__protocol="published", data__split_ratios=[0.98, 0.01, 0.01]
        )


def test_hours_count_every_instant_once(store):
    groups = word_groups(Store(store).recordings(), Grouping(words=6))
    indices = [0, 1, 2, 7, 50]
    assert distinct_hours(groups, indices) == pytest.approx(hours_by_hand(groups, indices), rel=1e-9)
    contiguous = word_groups(Store(store).recordings(), Grouping(words=6, layout="contiguous"))
    assert distinct_hours(contiguous, [0]) == pytest.approx(18 / 3600, rel=1e-9)


def test_less_hours_are_a_part_of_more_and_reach_what_was_asked(store):
    groups, _ = made(store)
    train = list(range(0, 80))
    little, much = (first_hours(groups, train, hours, seed=3) for hours in (0.01, 0.03))
    assert much[: len(little)] == little and len(much) > len(little)
    for hours in (0.005, 0.01, 0.0123, 0.017, 0.02, 0.025, 0.03):
        chosen = first_hours(groups, train, hours, seed=3)
        assert hours_by_hand(groups, chosen) >= hours > hours_by_hand(groups, chosen[:-1])
    assert first_hours(groups, train[::-1], 0.01, seed=3) == little != first_hours(groups, train, 0.01, seed=4)
    assert len({groups.groups[index].recording for index in little}) > 1


def test_more_hours_than_there_are_say_how_many_there_are(store):
    groups, _ = made(store)
    with pytest.raises(InputError, match=r"data.train_hours = 2: the 40 training groups hold 0.0\d+ hours"):
        first_hours(groups, range(40), 2.0, seed=0)


def test_hours_and_seed_choose_the_training_of_a_protocol(store):
    chosen = [made(store, data__train_hours=0.01, seed=seed)[1].split for seed in (1, 1, 2)]
    assert chosen[0].train == chosen[1].train != chosen[2].train
    assert chosen[0].test == chosen[2].test


def test_parts_of_known_people_and_recordings_are_told(store):
    _, block = made(store)
    assert any("says little about new sessions" in note for note in block.notes)
    _, session = made(store, data__strict_by="session")
    assert not any("new sessions" in note for note in session.notes)
    assert any("All test subjects are trained on too" in note for note in session.notes)
