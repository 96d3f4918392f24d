from dataclasses import replace

import numpy as np
import pytest
import torch

from megxl.data.dataset import Draw
from megxl.data.group_dataset import WordGroupDataset
from megxl.data.groups import Grouping, word_groups
from megxl.decoding.controls import ControlledGroups, elsewhere, shuffle_words
from megxl.errors import InputError
from megxl.signals.normalization import scale_blocks
from megxl.store.store import Store
from tests.data.told import STORY, told
from tests.training.words.small_words import make_word_store

WINDOW = 150


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return make_word_store(tmp_path_factory.mktemp("controls"), words=200, n_sensors=4)


def groups_of(store, layout="tape", words=4, *, backwards=False):
    recordings = Store(store).recordings()
    return word_groups(recordings[::-1] if backwards else recordings, Grouping(words=words, layout=layout))


def controlled(groups, control, seed=0):
    return ControlledGroups(groups, control=control, seed=seed)


def windows(item):
    return item.signal_CT.unfold(1, WINDOW, WINDOW).transpose(0, 1)  # words, sensors, samples


@pytest.mark.parametrize("control", ["noise", "time_shuffle", "duration_only"])
@pytest.mark.parametrize("layout", ["tape", "contiguous"])
def test_only_the_signal_changes(store, control, layout):
    groups = groups_of(store, layout)
    plain, changed = WordGroupDataset(groups, seed=0), controlled(groups, control)
    for index in (0, len(groups) - 1):
        one, other = plain[index], changed[index]
        assert other.signal_CT.shape == one.signal_CT.shape and other.signal_CT.dtype == torch.float32
        assert not torch.equal(other.signal_CT, one.signal_CT)
        assert (one.words, one.key, one.start_s, one.seed) == (other.words, other.key, other.start_s, other.seed)
        assert torch.equal(one.word_starts_W, other.word_starts_W)
    assert changed.layout.fingerprint != plain.layout.fingerprint


@pytest.mark.parametrize("control", ["noise", "time_shuffle", "duration_only"])
def test_a_control_depends_on_names_and_seeds_alone(store, control):
    one, other = groups_of(store), groups_of(store, backwards=True)
    at = len(other) - len(one) // 6  # the first group of the first recording, among the recordings in reverse
    first, again = controlled(one, control)[0], controlled(other, control)[at]
    assert first.key == again.key and first.start_s == again.start_s
    assert torch.equal(first.signal_CT, again.signal_CT)
    assert not torch.equal(first.signal_CT, controlled(one, control, seed=1)[0].signal_CT)


def test_noise_is_new_in_every_epoch_and_shuffled_time_is_not(store):
    groups = groups_of(store)
    for control, stays in (("noise", False), ("duration_only", False), ("time_shuffle", True)):
        dataset = controlled(groups, control)
        assert torch.equal(dataset[Draw(3, 0)].signal_CT, dataset[Draw(3, 1)].signal_CT) == stays
        assert torch.equal(dataset[Draw(3, 1)].signal_CT, dataset[Draw(3, 1)].signal_CT)


def test_noise_is_white_and_the_same_nowhere(store):
    groups = groups_of(store)
    items = [controlled(groups, "noise")[index] for index in range(6)]
    signal_NT = torch.cat([item.signal_CT for item in items])
    correlations_NN = torch.corrcoef(signal_NT) - torch.eye(len(signal_NT))
    assert correlations_NN.abs().max() < 5 / np.sqrt(signal_NT.shape[1])
    lagged = (signal_NT[:, 1:] * signal_NT[:, :-1]).mean(1) / signal_NT.var(1)
    assert lagged.abs().max() < 5 / np.sqrt(signal_NT.shape[1])
    # windows of neighbours on a tape overlap in the recording, but not here
    one, other = windows(items[0])[:2]
    assert not np.intersect1d(one.numpy(), other.numpy()).size


def test_masked_sensors_stay_zero_in_noise(tmp_path):
    recordings = [told(tmp_path, STORY[:60], subject=f"sub-{n}", n_sensors=n, seed=n) for n in (2, 4)]
    groups = word_groups(recordings, Grouping(words=10))
    item = ControlledGroups(groups, control="noise", seed=0, channels="canonical")[0]
    assert item.sensor_mask_C.sum() == 2
    assert not item.signal_CT[~item.sensor_mask_C].any() and item.signal_CT[item.sensor_mask_C].all()


def test_shuffled_windows_are_true_ones_from_ten_seconds_away(store):
    groups = groups_of(store)
    dataset = controlled(groups, "time_shuffle")
    for index in range(0, len(groups), 7):
        group = groups.groups[index]
        signal_CT = groups.recordings[group.recording].read()
        for start, window_CT in zip(group.starts, windows(dataset[index]), strict=True):
            there = _place(signal_CT, window_CT.numpy())
            assert there + WINDOW + 500 <= start or there >= start + WINDOW + 500


def _place(signal_CT, window_CT):
    """Where a window lies in a recording, by its samples."""
    found = np.flatnonzero(signal_CT[0, : -WINDOW + 1] == window_CT[0, 0])
    places = [place for place in found if np.array_equal(signal_CT[:, place : place + WINDOW], window_CT)]
    (place,) = places
    return place


def test_shuffled_contiguous_groups_are_true_stretches_from_elsewhere(store):
    groups = groups_of(store, "contiguous")
    dataset = controlled(groups, "time_shuffle")
    group, item = groups.groups[0], dataset[0]
    signal_CT = groups.recordings[group.recording].read()
    length = group.stop - group.start
    places = [n for n in np.flatnonzero(signal_CT[0, : -length + 1] == item.signal_CT[0, 0].item())
              if np.array_equal(signal_CT[:, n : n + length], item.signal_CT.numpy())]  # fmt: skip
    assert len(places) == 1 and places[0] >= group.stop + 500


def test_all_places_far_enough_are_as_likely():
    pieces = [(start, start + 3) for start in range(40, 60)]
    counts = np.zeros(100, dtype=int)
    for seed in range(300):
        for (start, _), (there, end) in zip(pieces, elsewhere(pieces, 100, 9.5, seed, "a/b"), strict=True):
            assert end - there == 3 and there >= 0 and end <= 100 and (there + 13 <= start or there >= start + 13)
            counts[there] += 1
    allowed = [sum(there + 13 <= start or there >= start + 13 for start, _ in pieces) for there in range(98)]
    chances = [1 / sum(there + 13 <= start or there >= start + 13 for there in range(98)) for start, _ in pieces]
    expected = np.array([
        300 * sum(p for (start, _), p in zip(pieces, chances, strict=True)
                  if there + 13 <= start or there >= start + 13)
        for there in range(98)
    ])  # fmt: skip
    assert (counts[:98][np.array(allowed) == 0] == 0).all() and counts[98:].sum() == 0
    used = expected > 0
    chi2 = ((counts[:98][used] - expected[used]) ** 2 / expected[used]).sum()
    assert chi2 < used.sum() + 4 * np.sqrt(2 * used.sum())


def test_a_recording_too_short_to_shuffle_is_named(tmp_path):
    groups = word_groups([told(tmp_path, STORY[:20], every_s=0.2)], Grouping(words=5))
    with pytest.raises(InputError, match=r"time_shuffle: armeni/sub-1_ses-1 lasts .* 10 s apart"):
        controlled(groups, "time_shuffle")


def test_durations_alone_decide_about_the_scaled_signal(store):
    groups = groups_of(store)
    dataset = controlled(groups, "duration_only")
    for index in (0, 5):
        scaled_1CT = scale_blocks(dataset[index].signal_CT[None], WINDOW)
        for word, window_CT in zip(groups.groups[index].words, scaled_1CT[0].unfold(1, WINDOW, WINDOW).unbind(1),
                                   strict=True):  # fmt: skip
            on, off = 25, 25 + round(word.duration_s * 50)
            assert (window_CT[:, on:off] == 5).all()
            rest_CT = torch.cat([window_CT[:, :on], window_CT[:, off:]], dim=1)
            assert rest_CT.abs().max() < 4.9 and abs(rest_CT.mean()) < 0.2


def test_equal_durations_give_equal_signals_but_for_the_noise(tmp_path):
    recording = told(tmp_path, STORY[:20])
    rows = [row | {"duration_s": 0.3} for row in recording.words]
    groups = word_groups([_with_words(recording, rows)], Grouping(words=10))
    dataset = controlled(groups, "duration_only")
    one, other = (scale_blocks(dataset[n].signal_CT[None], WINDOW)[0].mean(0) for n in (0, 1))
    assert torch.equal(one > 3.5, other > 3.5) and (one > 3.5).sum() == 10 * 15


@pytest.mark.parametrize("duration_s", [0.001, 1.5, 2.4, 9.0])
def test_a_word_of_any_duration_is_told_from_silence(tmp_path, duration_s):
    recording = told(tmp_path, STORY[:10])
    groups = word_groups([_with_words(recording, [row | {"duration_s": duration_s} for row in recording.words])],
                         Grouping(words=10))  # fmt: skip
    window_CT = scale_blocks(controlled(groups, "duration_only")[0].signal_CT[None], WINDOW)[0, :, :WINDOW]
    last = min(25 + max(1, round(50 * duration_s)), WINDOW)
    inside, outside = window_CT[:, 25:last].mean(), torch.cat([window_CT[:, :25], window_CT[:, last:]], 1).mean()
    assert inside - outside > 0.8


def test_words_without_a_duration_are_named(tmp_path):
    groups = word_groups([told(tmp_path, STORY[:20])], Grouping(words=5))
    with pytest.raises(InputError, match=r"duration_only: words of armeni/sub-1_ses-1 have no duration \(first: 'w0'"):
        controlled(groups, "duration_only")


def test_an_unknown_control_is_refused(store):
    with pytest.raises(InputError, match="control = 'silence'; allowed of the signal: noise"):
        controlled(groups_of(store), "silence")


def test_shuffled_words_are_the_same_words_on_other_places(store):
    groups = groups_of(store)
    part = list(range(0, len(groups), 3))
    shuffled = shuffle_words(groups, part, seed=0)
    assert sorted(text for n in part for text in shuffled.groups[n].texts) == sorted(
        text for n in part for text in groups.groups[n].texts
    )
    for index, (one, other) in enumerate(zip(groups, shuffled, strict=True)):
        if index not in part:
            assert one == other
        as_before = [replace(word, text="") for word in one.words]
        assert [replace(word, text="") for word in other.words] == as_before
        assert (one.starts, one.stops, one.number) == (other.starts, other.stops, other.number)
    mixed = shuffle_words(groups_of(store, backwards=True), [len(groups) - 1 - n for n in range(len(groups))], 0)
    whole = shuffle_words(groups, range(len(groups)), 0)
    by_place = {(mixed.recordings[group.recording].key, group.number): group.texts for group in mixed}
    assert all(by_place[whole.recordings[group.recording].key, group.number] == group.texts for group in whole)


def test_a_shuffled_word_says_nothing_about_the_one_that_was_there(tmp_path):
    # all words differ, so that who came where is known
    groups = word_groups([told(tmp_path, STORY[:1000], subject=f"sub-{n}") for n in range(2)], Grouping(words=10))
    before = np.array([int(text[1:]) for group in groups for text in group.texts])
    moves, fixed, crossed = [], 0, 0
    for seed in range(20):
        shuffled = shuffle_words(groups, range(len(groups)), seed)
        after = np.array([int(text[1:]) for group in shuffled for text in group.texts])
        moves.append(np.corrcoef(before, after)[0, 1])
        fixed += int((before == after).sum())
        crossed += int(np.bincount(after[:1000], minlength=1000).clip(0, 1).sum())
    assert abs(np.mean(moves)) < 4 / np.sqrt(20 * 2000)
    assert 20 < fixed < 60  # each of two copies of a word finds one of its two places: 2 of 2000, 20 times
    assert abs(crossed / 20 - 750) < 25  # of 1000 words with two copies, 3/4 have at least one in the first half


def _with_words(recording, rows):
    store = Store(recording.folder.parents[1])
    with store.writing(recording.key) as writer:
        writer.rewrite(words=rows, source={"words": {}})
    return store.recording(recording.key)
