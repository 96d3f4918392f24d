"""What a decoder does with test groups: sensors by name, accuracy by how much signal it is given."""

from dataclasses import replace

import numpy as np
import pytest
import torch

pytest.importorskip("lightning.pytorch")

from megxl.data.group_dataset import WordGroupDataset
from megxl.data.groups import Grouping, word_groups
from megxl.decoding.decoder import Decoder, WordFeatures
from megxl.decoding.metrics import Metric
from megxl.reporting.words.examination import TIMES_S, Examiner, spread
from megxl.store.store import Store
from tests.decoding.small_decoder import small_decoder
from tests.reporting.words.small_run import occurrences_of
from tests.training.words.small_words import LEXICON, make_word_store

METRIC = Metric(k=3, among=10)


class Windows(torch.nn.Module):
    """A backbone whose feature of a sensor is its mean from 0.2 to 0.3 s after the onset."""

    width, trains = 1, False

    def forward(self, batch):
        windows = batch.signal_BCT.unflatten(2, (-1, 150)).transpose(1, 2)
        return WordFeatures(windows[..., 35:40].mean(-1, keepdim=True), batch.sensors, batch.sensor_mask_BC)


class Sensors(torch.nn.Module):
    """A head that gives the features of the sensors back, and something where there are none."""

    def __init__(self, sensors):
        super().__init__()
        self.target_width = sensors

    def forward(self, words_BWCD, sensors=None, sensor_mask_BC=None, words_BW=None):
        return words_BWCD[:, :, : self.target_width, 0] + 1e-3


@pytest.fixture(scope="module")
def groups(tmp_path_factory):
    """Words whose patterns over eight sensors are drawn as in the store's simulation."""
    store = make_word_store(tmp_path_factory.mktemp("words"), words=60, strength=6.0)
    return word_groups(Store(store).recordings(), Grouping(words=6))


def looking(groups, **changes):
    """A decoder that reads the patterns, with the patterns as targets."""
    saved = small_decoder(head="linear", order=groups.recordings[0].sensors, words=6)
    patterns = [np.random.default_rng([0, 1, number]).standard_normal(8) for number in range(len(LEXICON))]
    changes = {"decoder": Decoder(Windows(), Sensors(8)).eval(), "vocabulary": LEXICON, "counts": (1,) * len(LEXICON),
               "targets_VE": torch.tensor(np.array(patterns)).float(),
               "spec": replace(saved.spec, target_width=8)} | changes  # fmt: skip
    return replace(saved, **changes)


def examine(groups, saved, rows=8, number=8, advance=None):
    dataset = WordGroupDataset(groups, seed=0)
    chosen = spread(len(groups), number)
    items = [lambda index=index: dataset[index] for index in chosen]
    occurrences = occurrences_of(groups.part(chosen))
    subjects = {recording.key: recording.subject for recording in groups.recordings}
    return Examiner(saved, subjects, rows, "cpu").examine(items, occurrences, METRIC, 100, advance)


def test_words_are_found_once_their_response_is_in_the_signal(groups):
    seen = examine(groups, looking(groups))
    assert seen.times_s == (*TIMES_S, 2.5) and (seen.groups, seen.words) == (8, 48)
    value = dict(zip(seen.times_s, (one.value for one in seen.scores), strict=True))
    # with nothing to see it always says the same, which finds three words of ten, as chance does
    assert value[0.0] == value[0.1] == value[0.2] == pytest.approx(0.3, abs=0.15)
    assert value[0.3] == value[2.5] > 0.9


def test_sensors_that_batches_are_filled_up_with_are_not_shown(groups):
    beats: list[int] = []
    seen = examine(groups, looking(groups), rows=10, advance=beats.append)
    (use,) = seen.uses.values()
    assert beats == [1] * 8 and use.array.names == groups.recordings[0].sensors.names
    assert use.attention_C is None and use.good_C.all() and (use.saliency_C > 0).all()


def test_a_sensor_counts_in_the_items_where_it_is_good(groups):
    saved, broken = looking(groups), groups.recordings[0].sensors.names[2]
    bad = [replace(one, bads=(broken,)) if one.subject == "sub-1" else one for one in groups.recordings]
    (use,) = examine(replace(groups, recordings=tuple(bad)), saved).uses.values()
    (whole,) = examine(groups, saved).uses.values()
    assert use.items_C.tolist() == [8, 8, 4, 8, 8, 8, 8, 8] and whole.items_C.tolist() == [8] * 8
    # of the four items of the other subject it is the mean, not a half of it
    assert use.saliency_C[2] == pytest.approx(whole.saliency_C[2], rel=0.5) and use.saliency_C[2] > 0


def test_what_a_head_that_attends_looks_at_sums_to_one(groups):
    array = groups.recordings[0].sensors
    saved = small_decoder(array, head="sensors", words=6)
    saved = replace(saved, vocabulary=LEXICON[:12], counts=(1,) * 12)
    (use,) = examine(groups, saved, number=2).uses.values()
    assert use.attention_C is not None and use.attention_C.sum() == pytest.approx(1.0, abs=1e-5)


def test_a_contiguous_group_is_not_cut(groups):
    contiguous = word_groups(groups.recordings, Grouping(words=4, layout="contiguous"))
    saved = small_decoder(groups.recordings[0].sensors, head="linear", words=4, layout="contiguous")
    dataset = WordGroupDataset(contiguous, seed=0)
    subjects = {recording.key: recording.subject for recording in groups.recordings}
    examiner = Examiner(saved, subjects, 8, "cpu")
    seen = examiner.examine([lambda: dataset[0]], occurrences_of(contiguous.part([0])), METRIC, 100)
    assert seen.scores == [] and len(seen.uses) == 1


@pytest.mark.parametrize("total, number, expected", [(9, 3, [0, 4, 8]), (2, 8, [0, 1]), (5, 1, [0])])
def test_spread(total, number, expected):
    assert spread(total, number) == expected
