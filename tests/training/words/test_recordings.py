from dataclasses import replace

import numpy as np
import pytest

from megxl.corpora.corpus import Word
from megxl.errors import InputError
from megxl.training.words.recordings import choose_recordings, group_words, make_grouping
from tests.data.small_corpus import make_small
from tests.data.told import STORY, told
from tests.training.words.small_words import make_word_store, words_config

SMALL = "tests.data.small_corpus:Small"


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return make_word_store(tmp_path_factory.mktemp("words"), words=30)


def chosen_of(store, **changes):
    return choose_recordings(words_config(store, **changes))


def test_subjects_and_sessions_choose_recordings(store):
    assert len(chosen_of(store).keys) == 6
    assert chosen_of(store, data__subjects=["sub-2"], data__all_sessions=["ses-3", "ses-1"]).keys == (
        "armeni/sub-2_ses-1",
        "armeni/sub-2_ses-3",
    )


def test_sessions_that_are_split_choose_recordings(store):
    sessions = {"data__train_sessions": ["ses-3"], "data__val_sessions": ["ses-1"], "data__test_sessions": ["ses-1"]}
    published = {"data__protocol": "published", "data__all_sessions": ["ses-2"], "data__subjects": ["sub-1"]}
    chosen = chosen_of(store, data__use_hashed_split=False, **published, **sessions)
    assert chosen.keys == ("armeni/sub-1_ses-1", "armeni/sub-1_ses-3")
    assert chosen.notes == ("armeni: data.all_sessions plays no part in the published protocol.",)
    chosen = chosen_of(store, data__use_hashed_split=True, **published, **sessions)
    assert chosen.keys == ("armeni/sub-1_ses-2",)
    assert "data.train_sessions, data.val_sessions, data.test_sessions play no part" in chosen.notes[0]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"data__subjects": ["sub-7"]}, "data .armeni.: .*sub-7; there are: sub-1, sub-2"),
        ({"data__root": "/nowhere/else"}, "data.root = /nowhere/else: there is no such folder"),
        ({"data__dataset_type": "armenia"}, "did you mean 'armeni'"),
        ({"data__dataset_type": "libribrain"}, "holds no recording of libribrain"),
        ({"data__target_sfreq": 100}, "prepared with other settings: its sfreq_hz is 50, data.target_sfreq is 100"),
        ({"data__cache_dir": "/tmp/no-such-store"}, "it has no root.*Give data.root"),
    ],
)
def test_what_cannot_be_chosen_is_said(store, changes, sentence):
    with pytest.raises(InputError, match=sentence):
        chosen_of(store, **changes)


def small_settings(tmp_path, **changes):
    root = make_small(tmp_path / "root")
    return {"data__dataset_type": SMALL, "data__root": str(root), "data__all_sessions": None} | changes


def test_what_the_store_lacks_is_found_by_the_names_of_files(tmp_path):
    changes = small_settings(tmp_path, data__subjects=["sub-01", "sub-03"])
    config = words_config(tmp_path / "store", **changes)
    chosen = choose_recordings(config)
    assert chosen.corpus == "small" and set(chosen.lacking) == set(chosen.keys) == chosen.request.keys
    assert [key.split("_")[0] for key in chosen.keys] == ["small/sub-01", "small/sub-03"]
    assert not (tmp_path / "store").exists()
    with pytest.raises(InputError, match="2 recordings must be prepared first"):
        group_words(chosen, config)


def test_words_that_changed_are_read_again(tmp_path):
    from megxl.data.preparing import prepare_corpus

    config = words_config(tmp_path / "store", **small_settings(tmp_path), data__prepare_workers=0)
    prepare_corpus(choose_recordings(config).request)
    assert not choose_recordings(config).lacking
    (tmp_path / "root" / "sub-02_task-rest_events.tsv").write_text("0.5\tother\n1.0\twords\n")
    lacking = choose_recordings(config).lacking
    assert list(lacking) == ["small/sub-02_task-rest"] and "the words changed" in lacking["small/sub-02_task-rest"]


def test_recordings_without_words_or_groups_are_told(tmp_path):
    path = make_word_store(tmp_path, subjects=1, sessions=2, words=30)
    told(path, [], subject="sub-8", seconds=20.0, n_sensors=8, seed=8)
    told(path, STORY[:4], subject="sub-9", n_sensors=8, seed=9)
    config = words_config(path)
    groups, notes = group_words(choose_recordings(config), config)
    assert {groups.recordings[group.recording].key for group in groups} == {f"armeni/sub-1_ses-{n}" for n in (1, 2)}
    assert "1 recording without words are not used (first: armeni/sub-8_ses-1)." in notes
    assert "1 recording with words give no group (first: armeni/sub-9_ses-1)." in notes
    assert "10 groups with 60 words" in notes[0] and "4 words of a last, incomplete group" in notes[0]


def test_events_without_words_are_one_sentence(tmp_path):
    path = told(tmp_path / "store", [], seconds=20.0).folder.parents[1]
    config = words_config(path)
    chosen = choose_recordings(config)
    with pytest.raises(
        InputError, match=r"None of the 1 recording of armeni has words.*Their tables of events are mis"
    ):
        group_words(chosen, config)
    noted = replace(chosen, stored=(replace(chosen.stored[0], word_notes=["There is no events.tsv."]),))
    with pytest.raises(InputError, match=r"has words.*\. There is no events.tsv\. Mend that, and prepare"):
        group_words(noted, config)


def test_too_few_words_for_a_group_are_one_sentence(store):
    config = words_config(store, data__words_per_segment=31)
    with pytest.raises(InputError, match=r"0 groups .*data.words_per_segment = 31"):
        group_words(choose_recordings(config), config)


def test_one_signal_under_two_names_is_refused(tmp_path):
    for subject in ("sub-1", "sub-2"):
        told(tmp_path / "store", STORY[:30], subject=subject, seed=3)
    config = words_config(tmp_path / "store")
    with pytest.raises(InputError, match="armeni/sub-1_ses-1 and armeni/sub-2_ses-1 hold the same signal"):
        group_words(choose_recordings(config), config)


def test_groups_follow_their_keys(store):
    data = words_config(
        store, data__words_per_segment=7, data__subsegment_duration=2.0, data__window_onset_offset=-0.25
    ).data
    grouping = make_grouping(data)
    assert (grouping.words, grouping.window_s, grouping.offset_s, grouping.layout) == (7, 2.0, -0.25, "tape")
    contiguous = make_grouping(replace(data, layout="contiguous", segment_length=24.0))
    assert (contiguous.words, contiguous.layout) == (12, "contiguous")
    with pytest.raises(InputError, match=r"segment_length = 25 is no multiple of data.subsegment_duration = 2"):
        make_grouping(replace(data, layout="contiguous", segment_length=25.0))


def test_wanted_labels_choose_words(tmp_path):
    labels = [{"pronounced": n % 2 == 0} for n in range(40)]
    told(tmp_path / "store", STORY[:40], labels=labels)
    config = words_config(tmp_path / "store", data__keep={"pronounced": True})
    groups, _ = group_words(choose_recordings(config), config)
    assert [text for group in groups for text in group.texts] == [f"w{n}" for n in range(0, 36, 2)]
    assert isinstance(groups.groups[0].words[0], Word) and np.isfinite(groups.groups[0].words[0].onset_s)
