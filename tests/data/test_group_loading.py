import re
from pathlib import Path

import numpy as np
import pytest

from megxl.data.batch import corpus_ids
from megxl.data.group_dataset import WordGroupDataset
from megxl.data.groups import Grouping, word_groups
from megxl.data.loading import make_loader
from megxl.data.sampling import RecordingBatchSampler
from megxl.errors import InputError
from tests.data.told import STORY, told

DOCS = Path(__file__).parents[2] / "docs" / "data.md"


def batches(groups, batch_size=2):
    dataset = WordGroupDataset(groups, seed=0)
    sampler = RecordingBatchSampler(dataset.layout, batch_size=batch_size, seed=0, remainder="keep")
    return list(make_loader(dataset, sampler, corpus_ids(["armeni"])))


def test_contiguous_groups_of_different_numbers_of_words_make_a_batch(tmp_path):
    onsets_s = [1.0 + 0.3 * n if n < 20 else 60.0 + 2.0 * n for n in range(60)]
    recording = told(tmp_path, STORY[:60], onsets_s=onsets_s, n_sensors=4)
    groups = word_groups([recording], Grouping(words=20, layout="contiguous"))
    (first, *_) = batches(groups.part([0, 1]))
    counts = [len(words) for words in first.words]
    assert len(set(counts)) == 2
    signal_CT = recording.read()
    for row, words in enumerate(first.words):
        starts = first.word_starts_BW[row].tolist()
        assert starts[len(words) :] == [-1] * (max(counts) - len(words))
        begin = round(float(first.start_s_B[row]) * 50)
        for word, start in zip(words, starts, strict=False):
            place = round((onsets_s[STORY.index(word)] - 0.5) * 50)
            assert begin + start == place
            window_CT = first.signal_BCT[row, :, start : start + 150]
            np.testing.assert_array_equal(window_CT, signal_CT[:, place : place + 150])


@pytest.mark.parametrize("layout", ["tape", "contiguous"])
def test_the_items_of_a_part_are_those_of_the_whole(tmp_path, layout):
    recordings = [told(tmp_path, STORY[:200], subject=f"sub-{n}", n_sensors=n + 2, seed=n) for n in range(3)]
    groups = word_groups(recordings, Grouping(words=10, layout=layout))
    chosen = [len(groups) - 1, 2, 0, 2]
    whole, part = WordGroupDataset(groups, seed=0), WordGroupDataset(groups.part(chosen), seed=0)
    assert len(part) == 3 and part.groups.recordings == groups.recordings
    kept = whole.only(chosen)
    assert kept.groups == part.groups and kept.layout.fingerprint == part.layout.fingerprint and len(whole) > 3
    for item, index in zip((part[n] for n in range(3)), sorted(set(chosen)), strict=True):
        other = whole[index]
        np.testing.assert_array_equal(item.signal_CT, other.signal_CT)
        assert (item.key, item.words, item.seed) == (other.key, other.words, other.seed)
    assert part.layout.fingerprint != whole.layout.fingerprint
    assert part.layout.sensors_N.tolist() == [2, 2, 4]


def test_a_part_counts_the_words_of_the_other_parts(tmp_path):
    recordings = [told(tmp_path, STORY[:105], subject=f"sub-{n}") for n in range(2)]
    groups = word_groups(recordings, Grouping(words=10))
    part = groups.part(range(3))
    for recording, kept in zip(recordings, (30, 0), strict=True):
        left_out = part.left_out[recording.key]
        assert left_out["of groups in no or another part"] == 100 - kept
        assert sum(left_out.values()) + kept == 105
    assert part.part([1]).left_out[recordings[0].key]["of groups in no or another part"] == 90
    assert [group.texts for group in part.part([1])] == [groups.groups[1].texts]


@pytest.mark.parametrize("indices", [[20], [-1], [0, 99]])
def test_a_part_with_groups_that_are_not_there_is_refused(tmp_path, indices):
    groups = word_groups([told(tmp_path, STORY[:200])], Grouping(words=10))
    with pytest.raises(InputError, match="there are 20, from 0 on"):
        groups.part(indices)


def test_what_the_documentation_shows_trains_on_the_training_words_alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    block = next(
        block for block in re.findall(r"```python\n(.*?)```", DOCS.read_text(), re.S) if "strict_split" in block
    )
    for person in range(2):
        for n, length in enumerate((600, 100, 100)):
            told(
                tmp_path / "store",
                STORY[1000 * n : 1000 * n + length],
                corpus="meg_masc",
                subject=f"sub-{person}",
                run=f"run-{n}",
                stories=[f"s{n}"] * length,
                labels=[{"condition": "sentence", "pronounced": True}] * length,
                every_s=0.1,
                n_sensors=4,
            )
    heard: list[str] = []
    step = "sampler.advance()"
    assert step in block
    exec(block.replace(step, f"{step}; heard.extend(w for said in batch.words for w in said)"), {"heard": heard})
    assert set(heard) == set(STORY[:600])
    assert len(heard) == 2 * 2 * 600  # epochs, listeners
