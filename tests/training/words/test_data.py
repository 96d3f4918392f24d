from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
import torch

from megxl.errors import InputError
from megxl.signals.normalization import scale_blocks
from megxl.store.store import Store
from tests.data.small_corpus import make_small, spoil
from tests.data.told import STORY, told
from tests.training.small_run import small_codec

pytest.importorskip("lightning")
from megxl.training.preparation import Watcher
from megxl.training.words.data import WordsData
from tests.training.words.small_words import make_word_store, words_config

PARTS = ("train", "validation", "test")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return make_word_store(tmp_path_factory.mktemp("words"), n_sensors=4)


def data_of(store, tokenizer=None, **changes):
    data = WordsData(words_config(store, **changes), tokenizer)
    data.prepare_data()
    data.setup("fit")
    return data


def loaders(data):
    return {"train": data.train_dataloader(), "validation": data.val_dataloader(), "test": data.test_dataloader()}


def test_every_word_of_a_part_comes_once_with_its_own_signal(store):
    data = data_of(store)
    for part, loader in loaders(data).items():
        came = []
        for batch in loader:
            for signal_CT, key, words, starts in zip(batch.signal_BCT, batch.keys, batch.words, batch.word_starts_BW,
                                                     strict=True):  # fmt: skip
                recording = Store(store).recording(key)
                onsets = {tuple(recording.read(start, start + 150)[:, 0]): word for word, start in _starts(recording)}
                for word, start in zip(words, starts.tolist(), strict=True):
                    assert onsets[tuple(signal_CT[:, start].tolist())] == word
                    came.append((key, word))
        occurrences = data.occurrences(part)
        assert Counter(came) == Counter(zip(occurrences.recordings, occurrences.words, strict=True))


def _starts(recording):
    return [(row["text"], round((row["onset_s"] - 0.5) * 50)) for row in recording.words
            if (row["onset_s"] + 2.5) * 50 <= recording.n_samples]  # fmt: skip


def test_batches_that_are_evaluated_come_in_the_order_of_the_occurrences(tmp_path):
    # of different numbers of sensors, which would fill batches of their own
    for number in range(4):
        told(tmp_path / "store", STORY[200 * number : 200 * number + 120], subject=f"sub-{number}",
             n_sensors=4 + number % 2, seed=number)  # fmt: skip
    for channels in ("file", "canonical"):
        data = data_of(tmp_path / "store", data__channels=channels, training__batch_size=3)
        for part in ("validation", "test"):
            occurrences, batches = data.occurrences(part), list(loaders(data)[part])
            assert [word for batch in batches for words in batch.words for word in words] == list(occurrences.words)
            assert all(batch.signal_BCT.shape[1] == data.n_sensors == 5 for batch in batches)
            groups = [data.groups.groups[index] for index in data.order(part)]
            keys = [data.groups.recordings[group.recording].key for group in groups]
            assert [key for batch in batches for key in batch.keys] == keys
            assert [data.dataset(part)[n].words for n in range(len(groups))] == [group.texts for group in groups]


def test_occurrences_know_who_heard_what_and_when(store):
    data = data_of(store)
    for part in PARTS:
        occurrences = data.occurrences(part)
        for number in range(0, len(occurrences), 17):
            recording = Store(store).recording(occurrences.recordings[number])
            assert occurrences.subjects[number] == f"armeni/{recording.subject}" == data.subjects[recording.key]
            assert occurrences.sessions[number] == recording.session
            row = next(row for row in recording.words if row["onset_s"] == occurrences.onsets_s[number])
            assert row["text"] == occurrences.words[number]
        sizes = Counter(occurrences.groups)
        assert len(sizes) == len(data.order(part)) and set(sizes.values()) == {6}


def test_cached_codes_are_those_of_the_normalised_tape(store):
    codec = small_codec()
    cached, online = data_of(store, codec, data__codes="cached"), data_of(store, codec)
    for part in PARTS:
        one, other = cached.dataset(part)[2], online.dataset(part)[2]
        assert one.signal_CT is None and other.codes_CTQ is None and one.words == other.words
        codes_CTQ = codec.tokenize(scale_blocks(other.signal_CT[None], 150))[0]
        assert (codes_CTQ == one.codes_CTQ).float().mean() > 0.999


def test_batches_are_normalised_window_by_window_on_the_device(store):
    data = data_of(store, data__subsegment_duration=2.0, data__words_per_segment=3)
    batch = next(iter(data.test_dataloader()))
    scaled = data.on_after_batch_transfer(batch, 0)
    torch.testing.assert_close(scaled.signal_BCT, scale_blocks(batch.signal_BCT, 100))
    contiguous = data_of(store, data__layout="contiguous", data__segment_length=10, data__subsegment_duration=2.0,
                         data__block_s=15.0)  # fmt: skip
    batch = next(iter(contiguous.test_dataloader()))
    scaled = contiguous.on_after_batch_transfer(batch, 0)
    torch.testing.assert_close(scaled.signal_BCT, scale_blocks(batch.signal_BCT, 150))


def test_training_goes_on_with_the_batch_after_the_last(store):
    def drawn(loader):
        return [(batch.keys, batch.start_s_B.tolist(), batch.seeds_B.tolist()) for batch in loader]

    whole = data_of(store).train_dataloader()
    epochs = []
    for epoch in (0, 1):
        whole.batch_sampler.set_epoch(epoch)
        epochs.append(drawn(whole))
    assert sorted(epochs[0]) != sorted(epochs[1]) and epochs[0] != epochs[1]
    stopped = data_of(store).train_dataloader()
    stopped.batch_sampler.advance(len(epochs[0]) + 5)
    resumed = data_of(store)
    resumed.load_state_dict(stopped.batch_sampler.state_dict())
    assert drawn(resumed.train_dataloader()) == epochs[1][5:]
    other = data_of(store, data__train_pct=0.5)
    other.load_state_dict(stopped.batch_sampler.state_dict())
    with pytest.raises(InputError, match="cannot go on where it stopped"):
        other.train_dataloader()


def test_training_groups_of_all_recordings_are_mixed(store):
    loader = data_of(store, training__batch_size=1).train_dataloader()
    keys = [batch.keys[0] for batch in loader]
    assert sum(one != other for one, other in pairwise(keys)) > len(set(keys))


def test_rows_are_the_same_sensors_in_all_recordings_and_padded_at_the_end(tmp_path):
    for number, count in enumerate((4, 6, 4)):
        told(tmp_path / "store", STORY[200 * number : 200 * number + 120], subject=f"sub-{number}", n_sensors=count,
             seed=number)  # fmt: skip
    data = data_of(tmp_path / "store", data__max_channel_dim=8, training__batch_size=1)
    (order,) = data.channels.values()
    assert (len(order), data.n_sensors) == (6, 8)
    for batch in data.train_dataloader():
        recording = Store(tmp_path / "store").recording(batch.keys[0])
        names = [name.replace(" ", "") for name in recording.sensors.names]
        there = [name in names for name in order.sensors.names] + [False, False]
        mask_C = torch.ones(8, dtype=torch.bool) if batch.sensor_mask_BC is None else batch.sensor_mask_BC[0]
        assert mask_C.tolist() == there
        start = round(float(batch.start_s_B[0]) * 50)
        for row, name in enumerate(order.sensors.names):
            if there[row]:
                stored_T = recording.read(start, start + 150)[names.index(name)]
                np.testing.assert_array_equal(batch.signal_BCT[0, row, :150], stored_T)
        assert not batch.signal_BCT[0, ~mask_C].any()


def test_more_sensors_than_places_are_refused(store):
    for channels in ("canonical", "file"):
        with pytest.raises(InputError, match=r"max_channel_dim = 3, .* have 4 sensors; allowed: at least 4, or null"):
            data_of(store, data__max_channel_dim=3, data__channels=channels)


def test_texts_are_all_words_that_a_target_is_needed_for(store):
    data = data_of(store, data__train_pct=0.1)
    heard = {word for part in PARTS for word in data.occurrences(part).words}
    assert len(set(data.texts)) == len(data.texts) and set(data.texts) == heard | set(data.vocabulary.words)
    assert set(data.vocabulary.words) - heard  # counted in the whole training part
    whole = data_of(store)
    counts = Counter(whole.occurrences("train").words)
    assert dict(zip(whole.vocabulary.words, whole.vocabulary.counts, strict=True)) == counts
    assert data.vocabulary == whole.vocabulary and whole.hours["train"] > data.hours["train"] > 0


@pytest.mark.parametrize("control", ["noise", "time_shuffle", "duration_only"])
def test_a_control_of_the_signal_uses_no_cached_codes(store, control):
    plain = data_of(store)
    data = data_of(store, small_codec(), control=control, data__codes="cached", training__num_workers=1)
    assert any(f"control = {control} changes the signal" in note for note in data.notes)
    for part, loader in loaders(data).items():
        assert data.occurrences(part) == plain.occurrences(part)
        batch, same = next(iter(loader)), next(iter(loaders(plain)[part]))
        assert batch.codes_BCTQ is None and batch.words == same.words
        assert not torch.equal(batch.signal_BCT, same.signal_BCT)


def test_evaluated_parts_of_a_control_stay_the_same_and_training_noise_does_not(store):
    data = data_of(store, control="noise")
    first, again = (next(iter(data.val_dataloader())).signal_BCT for _ in range(2))
    assert torch.equal(first, again)
    items = {}
    for epoch in (0, 1):
        loader = data.train_dataloader()
        loader.batch_sampler.set_epoch(epoch)
        for batch in loader:
            for place, signal_CT in zip(zip(batch.keys, batch.start_s_B.tolist(), strict=True), batch.signal_BCT,
                                        strict=True):  # fmt: skip
                items.setdefault(place, []).append(signal_CT)
    assert all(len(two) == 2 and not torch.equal(*two) for two in items.values())


def test_shuffled_words_stay_in_their_part_and_keep_the_codes(store):
    codec = small_codec()
    plain, shuffled = (data_of(store, codec, data__codes="cached", control=c) for c in ("none", "shuffled_words"))
    for part in PARTS:
        one, other = plain.occurrences(part), shuffled.occurrences(part)
        assert Counter(one.words) == Counter(other.words) and one.words != other.words
        assert (one.groups, one.onsets_s) == (other.groups, other.onsets_s)
        item, same = shuffled.dataset(part)[0], plain.dataset(part)[0]
        assert torch.equal(item.codes_CTQ, same.codes_CTQ) and item.words == other.words[:6]
    assert plain.vocabulary == shuffled.vocabulary


def small_settings(tmp_path, words=40):
    root = make_small(tmp_path / "root", seconds=20.0)
    for number, table in enumerate(sorted(root.glob("*_events.tsv"))):
        lines = [f"{1 + 0.4 * n:.1f}\tw{100 * number + n}" for n in range(words)]
        table.write_text("\n".join(lines) + "\n")
    return {
        "data__dataset_type": "tests.data.small_corpus:Small", "data__root": str(root), "data__prepare_workers": 0,
        "data__protocol": "published", "data__words_per_segment": 4, "data__split_ratios": [0.5, 0.25, 0.25],
    }  # fmt: skip


class Heard(Watcher):
    def __init__(self):
        self.told = []

    def prepares(self, corpus, count):
        self.told.append(("prepares", corpus, count))

    def encodes(self, corpus, count):
        self.told.append(("encodes", corpus, count))

    def encoded(self, done, total):
        self.told.append(("encoded", done, total))


def test_what_the_store_lacks_is_prepared_and_encoded_once(tmp_path):
    config = words_config(tmp_path / "store", **small_settings(tmp_path), data__codes="cached")
    first, again = Heard(), Heard()
    for watch in (first, again):
        data = WordsData(config, small_codec(), watch=watch)
        data.prepare_data()
        data.setup("fit")
    begun = [("prepares", "small", 3), ("encodes", "small", 3)]
    assert first.told == [*begun, *[("encoded", n, 30) for n in range(1, 31)]]
    assert again.told == [begun[1], *[("encoded", n, 30) for n in (10, 20, 30)]]  # those of a recording at once
    assert sum(len(data.order(part)) for part in PARTS) == 30
    assert next(iter(data.train_dataloader())).codes_BCTQ.dtype == torch.uint8


def test_a_recording_that_cannot_be_prepared_ends_the_run(tmp_path):
    settings = small_settings(tmp_path)
    spoil(tmp_path / "root" / "sub-02_task-rest_meg.fif", "truncated")
    with pytest.raises(InputError, match=r"1 recording of small could not be prepared \(first: small/sub-02"):
        data_of(tmp_path / "store", **settings)


def test_notes_say_what_there_is(store):
    notes = " ".join(data_of(store).notes)
    for part in PARTS:
        assert f"{part}: {len(data_of(store).order(part))} groups" in notes
    assert "120 groups with 720 words from 6 recordings" in notes and "those of training" in notes
