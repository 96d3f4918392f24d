"""From a real recording to words: the same numbers as on the way of a training, and what is refused."""

from dataclasses import replace

import mne
import numpy as np
import pytest
import torch

from megxl.corpora.files import Files
from megxl.data.batch import corpus_ids
from megxl.data.channels import canonical_order
from megxl.data.group_dataset import WordGroupDataset
from megxl.data.groups import word_groups
from megxl.data.loading import make_loader
from megxl.data.preparing import Request, prepare_corpus
from megxl.data.sampling import RecordingBatchSampler
from megxl.decoding.decoder_files import read_decoder, write_decoder
from megxl.decoding.recording import decode_recording
from megxl.errors import InputError
from megxl.store.store import Store
from tests.decoding.small_decoder import small_decoder

TEXTS = ["the", "Zebra", "of", "w0", "w1", "w2", "holmes", "said", "a", "door", "night", "and"]
ONSETS_S = [0.7 + 1.7 * number for number in range(len(TEXTS))]


@pytest.fixture(scope="module")
def place(shared, tmp_path_factory):
    """A real recording of 31 sensors and 24 s with words beside it, and a store that it was prepared into."""
    root = tmp_path_factory.mktemp("real") / "files" / "sub-01"
    root.mkdir(parents=True)
    raw = mne.io.read_raw_fif(shared / "realdata" / "meg_neuromag306" / "test_raw.fif", verbose="ERROR")
    raw.pick([raw.ch_names[number] for number in mne.pick_types(raw.info, meg=True, exclude=())[::10]])
    raw.info["bads"] = raw.ch_names[4:5]
    raw.save(root / "story_raw.fif", verbose="ERROR")
    rows = [f"{onset:.3f}\t0.25\t{text}" for onset, text in zip(ONSETS_S, TEXTS, strict=True)]
    (root / "story_raw.tsv").write_text("\n".join(["onset\tduration\tword", *rows]))
    prepare_corpus(Request(corpus=Files(), root=root.parent, store=root.parent.parent / "store", workers=0))
    return root


@pytest.fixture(scope="module")
def stored(place):
    (recording,) = Store(place.parent.parent / "store").recordings()
    return recording


@pytest.fixture(scope="module")
def order(stored):
    return canonical_order([stored]).sensors


@pytest.fixture
def saved(order):
    return small_decoder(order)


def trained_way(saved, stored, channels="canonical") -> dict[tuple[str, float], torch.Tensor]:
    """Estimates of each word as a run makes them of its parts: batches of the loader, groups of the store."""
    groups = word_groups([stored], saved.grouping)
    channels = {stored.corpus: saved.channels} if channels == "canonical" else channels
    dataset = WordGroupDataset(groups, seed=3, channels=channels)
    sampler = RecordingBatchSampler(dataset.layout, batch_size=2, seed=0, order="file", remainder="keep")
    estimates = {}
    for batch in make_loader(dataset, sampler, corpus_ids=corpus_ids([stored.corpus])):
        with torch.no_grad():
            rows_BWE = saved.decoder(batch.normalized(saved.grouping.window_s))
        for index, start_s in enumerate(batch.start_s_B):
            group = next(g for g in groups if abs(g.start / 50 - float(start_s)) < 1e-3)
            for word, row_E in zip(group.words, rows_BWE[index], strict=False):
                estimates[word.text, word.onset_s] = row_E
    return estimates


def estimates_of(decoded) -> dict[tuple[str, float], torch.Tensor]:
    words = [word.word for word in decoded.words if word.candidates]
    return {(word.text, word.onset_s): row for word, row in zip(words, decoded.predictions.values_NX, strict=True)}


@pytest.mark.parametrize(("head", "layout"), [("linear", "tape"), ("sensors", "tape"), ("linear", "contiguous")])
def test_a_file_gives_the_numbers_of_the_training_on_the_same_groups(place, stored, order, head, layout):
    saved = small_decoder(order, head=head, words=3, layout=layout)
    expected = trained_way(saved, stored)
    decoded = estimates_of(decode_recording(saved, place / "story_raw.fif", place / "story_raw.tsv"))
    assert len(expected) == 12 and decoded.keys() == expected.keys()
    for word, row_E in expected.items():
        torch.testing.assert_close(decoded[word], row_E, rtol=0, atol=1e-4)
    spread = torch.stack(list(expected.values())).std(0).mean()
    assert spread > 1e-3  # of estimates that are all alike, agreement would say nothing


def test_a_recording_of_a_store_gives_them_too(stored, saved, tmp_path):
    write_decoder(tmp_path / "model", saved)
    again = read_decoder(tmp_path / "model")
    expected = trained_way(saved, stored)
    decoded = estimates_of(decode_recording(again, stored.folder, "stored"))
    for word, row_E in expected.items():
        torch.testing.assert_close(decoded[word], row_E, rtol=0, atol=1e-4)


def test_the_last_words_have_the_numbers_of_a_group_with_those_before_them(stored, order):
    saved = small_decoder(order, words=5)
    decoded = estimates_of(decode_recording(saved, stored.folder, "stored"))
    tail = trained_way(saved, replace(stored, words=stored.words[-5:]))
    assert len(decoded) == 12 and len(tail) == 5
    for word in list(tail)[-2:]:  # the other three are decoded in the group before
        torch.testing.assert_close(decoded[word], tail[word], rtol=0, atol=1e-4)
    before = trained_way(saved, stored)
    assert list(decoded)[:10] == list(before)
    for word, row_E in before.items():
        torch.testing.assert_close(decoded[word], row_E, rtol=0, atol=1e-4)


def test_the_order_of_channels_in_the_file_does_not_matter(place, saved, tmp_path):
    raw = mne.io.read_raw_fif(place / "story_raw.fif", preload=True, verbose="ERROR")
    raw.reorder_channels(raw.ch_names[::-1]).save(tmp_path / "turned_raw.fif", verbose="ERROR")
    one, other = (
        decode_recording(saved, path, place / "story_raw.tsv").predictions.values_NX
        for path in (place / "story_raw.fif", tmp_path / "turned_raw.fif")
    )
    torch.testing.assert_close(one, other, rtol=0, atol=1e-5)


def test_a_missing_sensor_is_empty_and_told(place, saved):
    whole, without = (
        decode_recording(saved, place / "story_raw.fif", place / "story_raw.tsv", exclude=exclude)
        for exclude in ([], ["MEG 0113"])
    )
    assert any("1 of the 31 sensors of the training are not in the recording" in note for note in without.notes)
    assert not any("sensors of the training" in note for note in whole.notes)
    assert without.predictions.values_NX.shape == whole.predictions.values_NX.shape
    assert not torch.equal(without.predictions.values_NX, whole.predictions.values_NX)


def test_every_word_is_there_once_ranked_or_with_a_reason(place, order, tmp_path):
    (tmp_path / "w.tsv").write_text("onset\tword\n0.1\tthe\n1\tthe\n3\tdoor\n5\tZebra\n7\tnight\n9\tof\n23\tand\n")
    decoded = decode_recording(small_decoder(order), place / "story_raw.fif", tmp_path / "w.tsv", top=3)
    assert [word.word.text for word in decoded.words] == ["the", "the", "door", "Zebra", "night", "of", "and"]
    assert [len(word.candidates) for word in decoded.words] == [0, 3, 3, 3, 3, 3, 0]
    assert [word.group for word in decoded.words] == [None, 0, 0, 0, 0, 1, None]
    assert decoded.words[0].note == decoded.words[-1].note == "its window leaves the recording"
    assert decoded.words[3].note == "not in the vocabulary"
    assert any("2 of 7 words were not decoded" in note for note in decoded.notes)
    assert any("less than the 33 s of the high-pass filter" in note for note in decoded.notes)  # of the preparation
    assert decoded.warning is not None and decoded.warning.startswith("RANDOM WEIGHTS")


def test_onsets_without_words_are_decoded_alike(place, saved, tmp_path):
    (tmp_path / "w.tsv").write_text("\n".join(["onset", *(f"{onset:.3f}" for onset in ONSETS_S)]))
    bare = decode_recording(saved, place / "story_raw.fif", tmp_path / "w.tsv")
    known = decode_recording(saved, place / "story_raw.fif", place / "story_raw.tsv")
    assert torch.equal(bare.predictions.values_NX, known.predictions.values_NX)
    assert not bare.told and {word.rank for word in bare.words} == {None}


def test_a_control_run_is_called_one(place, order):
    saved = small_decoder(order, about={"control": "noise"})
    decoded = decode_recording(saved, place / "story_raw.fif", place / "story_raw.tsv")
    assert decoded.warning is not None and "A CONTROL RUN (noise)" in decoded.warning


def test_a_recording_of_the_training_is_called_one(place, stored, order):
    saved = small_decoder(order, about={"control": "none", "recordings": [stored.key]})
    decoded = decode_recording(saved, stored.folder, "stored")
    assert decoded.warning is not None and "THE DECODER WAS TRAINED ON THIS RECORDING" in decoded.warning
    file = decode_recording(saved, place / "story_raw.fif", place / "story_raw.tsv")
    assert file.warning is not None and "TRAINED ON THIS" not in file.warning
    assert "Nothing tells whether this is one of the 1 recordings of the training." in file.notes


def test_progress_ends_with_all_that_there_is(place, saved):
    told = []
    decode_recording(
        saved, place / "story_raw.fif", place / "story_raw.tsv", progress=lambda *news: told.append(news[:3])
    )
    assert told[0] == ("preparing", 0, 31) and ("preparing", 31, 31) in told
    assert [news for news in told if news[0] == "decoding"] == [("decoding", n, 3) for n in (1, 2, 3)]


def test_the_preparation_is_the_decoder_s_own(place, saved):
    whole = decode_recording(saved, place / "story_raw.fif", place / "story_raw.tsv")
    saved.preparation["high_hz"] = 10.0
    narrow = decode_recording(saved, place / "story_raw.fif", place / "story_raw.tsv")
    assert (whole.predictions.values_NX - narrow.predictions.values_NX).abs().max() > 1e-3


def test_a_stored_signal_of_another_preparation_is_refused(stored, saved):
    saved.preparation["high_hz"] = 10.0
    with pytest.raises(InputError, match="prepared with high_hz = 40, the decoder learnt from 10"):
        decode_recording(saved, stored.folder, "stored")


def test_options_of_sensors_are_for_files(stored, saved):
    with pytest.raises(InputError, match="options of sensors, reference and montage are for files"):
        decode_recording(saved, stored.folder, "stored", exclude=["MEG 0113"])


def test_a_store_is_no_recording(stored, saved):
    with pytest.raises(InputError, match="holds 1 recordings of a store: give the folder of one, as in"):
        decode_recording(saved, stored.folder.parent, "stored")


def test_another_system_is_refused_before_it_is_read(shared, saved, tmp_path):
    (tmp_path / "w.tsv").write_text("onset\tword\n1\tthe\n")
    told = []
    with pytest.raises(InputError, match="None of the 31 sensors that the decoder was trained with"):
        decode_recording(
            saved,
            shared / "realdata" / "meg_kit" / "test_old_5s_kit157.sqd",
            tmp_path / "w.tsv",
            progress=lambda *news: told.append(news),
        )
    assert not told


def test_a_slower_recording_is_refused(place, order, saved):
    fast = replace(saved, sfreq_hz=1000.0, preparation=saved.preparation | {"sfreq_hz": 1000.0})
    with pytest.raises(InputError, match=r"has 600\.\d+ samples a second; allowed: at least 1000"):
        decode_recording(fast, place / "story_raw.fif", place / "story_raw.tsv")


def test_a_recording_too_short_for_a_word_is_refused(place, saved, tmp_path):
    raw = mne.io.read_raw_fif(place / "story_raw.fif", verbose="ERROR").crop(0, 2)
    raw.save(tmp_path / "short_raw.fif", verbose="ERROR")
    (tmp_path / "w.tsv").write_text("onset\tword\n1\tthe\n")
    with pytest.raises(InputError, match="None of the 1 words of short_raw can be decoded"):
        decode_recording(saved, tmp_path / "short_raw.fif", tmp_path / "w.tsv")


def test_nothing_stays_in_the_temporary_folder(place, saved, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    decode_recording(saved, place / "story_raw.fif", place / "story_raw.tsv")
    assert list(tmp_path.iterdir()) == []
    assert np.isfinite(saved.targets_VE.numpy()).all()
