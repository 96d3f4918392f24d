import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from megxl.data.dataset import Draw
from megxl.data.group_dataset import WordGroupDataset
from megxl.data.groups import Grouping, word_groups, word_tokens
from megxl.errors import InputError
from tests.data.told import STORY, told


def test_fifty_words_in_order_make_a_group_and_the_last_incomplete_one_is_counted(tmp_path):
    recording = told(tmp_path, STORY[:120])
    groups = word_groups([recording])
    assert [group.texts for group in groups] == [STORY[:50], STORY[50:100]]
    assert groups.left_out[recording.key]["of a last, incomplete group"] == 20
    assert "20 words of a last, incomplete group" in groups.summary
    assert groups.summary.startswith("2 groups with 100 words from 1 recordings.")


def test_windows_begin_half_a_second_before_the_onset_and_have_150_samples(tmp_path):
    onsets_s = [0.5, 1.009, 1.0101, 5.39, 7.77]
    recording = told(tmp_path, STORY[:5], onsets_s=onsets_s, seconds=20.0)
    (group,) = word_groups([recording], Grouping(words=5))
    assert group.starts == (0, 25, 26, 244, 364)  # (onset - 0.5) * 50, rounded by hand
    assert {stop - start for start, stop in zip(group.starts, group.stops, strict=True)} == {150}
    assert (group.start, group.stop) == (0, 514)


def test_reference_mode_truncates_both_ends_of_a_window(tmp_path):
    onsets_s = [round(0.5 + 0.01 * n, 2) for n in range(400)]
    recording = told(tmp_path, STORY[:400], onsets_s=onsets_s, seconds=30.0)
    groups = word_groups([recording], Grouping(words=400, compat="reference"))
    (group,) = groups
    for onset_s, start, stop in zip(onsets_s, group.starts, group.stops, strict=True):
        assert (start, stop) == (int((onset_s - 0.5) * 50), int((onset_s - 0.5 + 3.0) * 50))
    assert len({stop - start for start, stop in zip(group.starts, group.stops, strict=True)}) > 1
    (exact,) = word_groups([recording], Grouping(words=400))
    assert {stop - start for start, stop in zip(exact.starts, exact.stops, strict=True)} == {150}


def test_a_word_at_the_edge_goes_with_the_group_that_it_interrupts(tmp_path):
    onsets_s = [1.0, 2.0, 0.2, 3.0, 4.0, 17.9]  # 0.2 - 0.5 and 17.9 + 2.5 lie outside of 20 s
    recording = told(tmp_path, STORY[:6], onsets_s=onsets_s, seconds=20.0)
    groups = word_groups([recording], Grouping(words=3))
    assert [group.texts for group in groups] == [("w0", "w1", "w3")]
    assert groups.left_out[recording.key] == {
        "without the wanted labels": 0,
        "whose window leaves the recording": 2,
        "of a group that such a word interrupted": 1,
        "of a last, incomplete group": 0,
    }


def test_a_window_may_end_with_the_recording(tmp_path):
    recording = told(tmp_path, STORY[:1], onsets_s=[7.5], seconds=10.0)
    assert len(word_groups([recording], Grouping(words=1))) == 1
    recording = told(tmp_path, STORY[:1], onsets_s=[7.52], seconds=10.0, run="run-2")
    assert len(word_groups([recording], Grouping(words=1))) == 0


def test_words_are_the_same_in_lower_case_and_keep_their_spelling(tmp_path):
    (group,) = word_groups([told(tmp_path, ["The", "NULL"])], Grouping(words=2))
    assert group.texts == ("the", "null")
    assert [word.text for word in group.words] == ["The", "NULL"]


@pytest.mark.parametrize(("corpus", "kept"), [("armeni", ("a", "b")), ("meg_masc", ("a", "none"))])
def test_reference_mode_drops_what_pandas_reads_as_missing_where_it_read_the_table(tmp_path, corpus, kept):
    recording = told(tmp_path, ["a", "None", "b", "NA", "c"], corpus=corpus)
    grouping = Grouping(words=2, compat="reference")
    groups = word_groups([recording], grouping)
    assert groups.groups[0].texts == kept
    assert groups.left_out[recording.key].get("that pandas reads as missing", 0) == (2 if corpus == "armeni" else 0)
    ours = word_groups([recording], Grouping(words=2))
    assert [group.texts for group in ours] == [("a", "none"), ("b", "na")]


def test_words_without_the_wanted_labels_are_counted(tmp_path):
    labels = [{"condition": "sentence" if n % 2 else "word_list", "pronounced": n > 3} for n in range(8)]
    recording = told(tmp_path, STORY[:8], labels=labels)
    groups = word_groups([recording], Grouping(words=2, keep={"condition": "sentence", "pronounced": True}))
    assert [group.texts for group in groups] == [("w5", "w7")]
    assert groups.left_out[recording.key]["without the wanted labels"] == 6


def test_a_label_that_no_word_has_is_refused(tmp_path):
    recording = told(tmp_path, STORY[:3], labels=[{"condition": "sentence"}] * 3)
    with pytest.raises(InputError, match=r"no word has the label 'pronunced'.*allowed here: condition"):
        word_groups([recording], Grouping(keep={"pronunced": True}))


def test_contiguous_groups_hold_every_word_once_in_true_signal(tmp_path):
    recording = told(tmp_path, STORY[:400], every_s=0.9)  # 365 s
    groups = word_groups([recording], Grouping(layout="contiguous"))
    assert [text for group in groups for text in group.texts] == list(STORY[:400])
    for group in groups:
        assert group.stop - group.start == 7500 and group.start >= 0 and group.stop <= recording.n_samples
        assert all(
            group.start <= start < stop <= group.stop for start, stop in zip(group.starts, group.stops, strict=True)
        )
    dataset = WordGroupDataset(groups, seed=0)
    for item, group in zip((dataset[n] for n in range(len(groups))), groups, strict=True):
        np.testing.assert_array_equal(item.signal_CT, recording.read(group.start, group.stop))
        assert item.word_starts_W.tolist() == [start - group.start for start in group.starts]


def test_contiguous_groups_need_a_recording_as_long_as_one(tmp_path):
    recording = told(tmp_path, STORY[:10], seconds=149.0)
    groups = word_groups([recording], Grouping(layout="contiguous"))
    assert len(groups) == 0
    assert groups.left_out[recording.key]["in a recording shorter than a group"] == 10


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(
    onsets_s=st.lists(st.floats(0, 60, allow_nan=False), max_size=60),
    words=st.integers(1, 8),
    layout=st.sampled_from(["tape", "contiguous"]),
    seconds=st.floats(1, 70),
)
def test_every_word_is_in_one_group_or_counted(tmp_path_factory, onsets_s, words, layout, seconds):
    recording = told(
        tmp_path_factory.mktemp("s"), STORY[: len(onsets_s)], onsets_s=onsets_s, seconds=seconds, n_sensors=2
    )
    groups = word_groups([recording], Grouping(words=words, layout=layout))
    grouped = [text for group in groups for text in group.texts]
    assert len(set(grouped)) == len(grouped)
    assert len(grouped) + sum(groups.left_out[recording.key].values()) == len(onsets_s)
    for group in groups:
        onsets = [word.onset_s for word in group.words]
        assert onsets == sorted(onsets)
        assert all(
            start >= 0 and stop <= recording.n_samples for start, stop in zip(group.starts, group.stops, strict=True)
        )
        assert group.start <= min(group.starts) and max(group.stops) <= group.stop
    if layout == "tape":
        assert all(len(group.words) == words for group in groups)


def test_an_item_is_the_windows_one_after_the_other_from_one_read(tmp_path, monkeypatch):
    recording = told(tmp_path, STORY[:100])
    groups = word_groups([recording])
    reads = []
    read = type(recording).read
    monkeypatch.setattr(type(recording), "read", lambda self, *span: reads.append(span) or read(self, *span))
    item = WordGroupDataset(groups, seed=3)[1]
    assert len(reads) == 1
    whole_CT = read(recording)
    by_hand = [whole_CT[:, start : start + 150] for start in groups.groups[1].starts]
    np.testing.assert_array_equal(item.signal_CT, np.concatenate(by_hand, axis=1))
    assert item.word_starts_W.tolist() == list(range(0, 7500, 150))
    assert item.words == STORY[50:100]
    assert (item.start_s, item.stop_s) == (20.5, 43.1)  # onset 21.0 - 0.5; onset 40.6 + 2.5


def test_an_items_seed_depends_on_epoch_and_place_alone(tmp_path):
    groups = word_groups([told(tmp_path, STORY[:100])])
    one, other = WordGroupDataset(groups, seed=3), WordGroupDataset(groups, seed=4)
    assert one[Draw(1, 2)].seed == one[Draw(1, 2)].seed
    assert len({one[0].seed, one[1].seed, one[Draw(0, 1)].seed, other[0].seed}) == 4


def test_the_layout_tells_recordings_and_sensors_apart(tmp_path):
    recordings = [told(tmp_path, STORY[:100]), told(tmp_path, STORY[:50], subject="sub-2", n_sensors=5)]
    groups = word_groups(recordings)
    layout = WordGroupDataset(groups, seed=0).layout
    assert layout.recording_N.tolist() == [0, 0, 1]
    assert layout.sensors_N.tolist() == [3, 3, 5]
    other = WordGroupDataset(word_groups(recordings, Grouping(offset_s=-0.52)), seed=0).layout
    assert other.fingerprint != layout.fingerprint


def test_tokens_of_neighbouring_words_meet():
    starts_W = np.arange(50) * 150
    tokens = word_tokens(starts_W, starts_W + 150)
    by_hand = [(start // 12, -((start + 150) // -12)) for start in starts_W.tolist()]
    assert tokens.tolist() == [list(pair) for pair in by_hand]
    assert set(tokens[:, 1] - tokens[:, 0]) == {13}


@pytest.mark.parametrize(
    "fields",
    [
        {"words": 0},
        {"words": 2.5},
        {"words": True},
        {"keep": "condition"},
        {"window_s": float("nan")},
        {"window_s": 0.0},
        {"offset_s": -3.0},
        {"layout": "film"},
        {"compat": "new"},
    ]
    + [{"compat": "reference", "layout": "contiguous"}],
)
def test_groupings_that_make_no_sense_are_refused(fields):
    with pytest.raises(InputError, match=r"allowed|alone"):
        Grouping(**fields)


def test_a_word_without_an_onset_is_refused_by_name(tmp_path):
    recording = dataclasses.replace(told(tmp_path, STORY[:2]), words=[{"text": "a", "onset_s": float("nan")}])
    with pytest.raises(InputError, match=r"armeni/sub-1_ses-1: 1 words have no finite onset \(first: 'a'\)"):
        word_groups([recording])


def test_signal_or_codes_must_be_wanted(tmp_path):
    groups = word_groups([told(tmp_path, STORY[:50])])
    with pytest.raises(InputError, match="needs codes"):
        WordGroupDataset(groups, seed=0, signal=False)
    with pytest.raises(IndexError):
        WordGroupDataset(groups, seed=0)[1]


def test_bad_sensors_are_masked(tmp_path):
    recording = told(tmp_path, STORY[:50])
    bad = dataclasses.replace(recording, bads=(recording.sensors.names[1],))
    item = WordGroupDataset(word_groups([bad]), seed=0)[0]
    assert item.sensor_mask_C.tolist() == [True, False, True]
    assert WordGroupDataset(word_groups([bad]), seed=0, bads="keep")[0].sensor_mask_C is None
    assert item.signal_CT.dtype == torch.float32
