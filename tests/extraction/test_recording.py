"""Embedding a recording, against its steps done by hand: bad sensors, layers, files, progress."""

import mne
import numpy as np
import pytest
import torch

import megxl
from megxl.errors import InputError
from megxl.extraction import embed_prepared, embed_recording, load_embedding
from megxl.model.megxl import MEGXL
from megxl.signals.normalization import scale_blocks
from megxl.signals.preparation import prepare
from megxl.sizes import MEGXLConfig
from megxl.tokenizer.biocodec import BioCodec
from tests.small import electrodes, short_recording, small_model


@pytest.fixture
def model():
    return small_model()


@torch.no_grad()
def features_by_hand(model: MEGXL, raw, window: int) -> np.ndarray:
    """Published steps one after the other: prepare, scale each 3 s by median and quartiles, tokenize, model."""
    prepared = prepare(raw, raw.ch_names)
    parts = []
    for start in range(0, prepared.signal_CT.shape[1], window):
        signal = prepared.signal_CT[:, start : start + window].astype(np.float64)
        for block in range(0, signal.shape[1], 150):
            x = signal[:, block : block + 150]
            low, middle, high = np.percentile(x, [25, 50, 75], axis=1, keepdims=True)
            signal[:, block : block + 150] = np.clip((x - middle) / (high - low), -5, 5)
        codes = model.tokenizer.tokenize(torch.from_numpy(signal.astype(np.float32))[None])
        parts.append(model(codes, prepared.sensors)[0].numpy())
    return np.concatenate(parts, axis=1)


def test_features_are_those_of_the_steps_done_by_hand(model):
    raw = short_recording(10.0)  # windows of 4.8 s: two whole ones, and 20 samples that make two more tokens
    embedding = embed_recording(model, raw, window_s=4.8)
    expected = features_by_hand(model, raw, 240)
    assert embedding.features.shape == (15, 42, 64)
    np.testing.assert_allclose(embedding.features, expected, rtol=0, atol=1e-5)
    assert [window.complete for window in embedding.windows] == [True, True, False]
    assert any("last window has 0.40 s" in note for note in embedding.notes)


@pytest.mark.parametrize(("window_s", "same"), [(6.0, True), (6.24, False)])
def test_the_end_of_a_window_is_scaled_as_in_the_whole_recording_only_if_blocks_fill_it(
    model, monkeypatch, window_s, same
):
    raw = short_recording(13.0)
    seen = []
    tokenize = model.tokenizer.tokenize
    monkeypatch.setattr(model.tokenizer, "tokenize", lambda signal: seen.append(signal) or tokenize(signal))
    embed_recording(model, raw, window_s=window_s)
    whole = scale_blocks(torch.from_numpy(prepare(raw, raw.ch_names).signal_CT[None]))
    samples = round(window_s * 50)
    last_token = slice(samples - 12, samples)
    torch.testing.assert_close(seen[0][..., :300], whole[..., :300], rtol=0, atol=0)
    assert torch.equal(seen[0][..., last_token], whole[..., last_token]) == same


def test_a_rest_shorter_than_a_token_is_left_out_and_said(model):
    embedding = embed_recording(model, short_recording(5.0), window_s=4.8)  # 250 samples: 240 and 10
    assert embedding.features.shape[1] == 20
    assert any("last 0.20 s are shorter than a token" in note for note in embedding.notes)


def test_a_recording_shorter_than_a_token_is_refused(model):
    with pytest.raises(InputError, match="less than one token"):
        embed_recording(model, short_recording(6.0).crop(0, 0.1))


def test_pooled_features_are_means_of_unpooled_ones(model):
    raw = short_recording(10.0, bads=2)
    whole = embed_recording(model, raw, window_s=4.8)
    by_sensor = embed_recording(model, raw, window_s=4.8, pooling="sensor")
    by_time = embed_recording(model, raw, window_s=4.8, pooling="time")
    double = whole.features.astype(np.float64)
    expected = np.stack([double[:, window.tokens].mean(axis=1) for window in whole.windows])
    np.testing.assert_allclose(by_sensor.features, expected, rtol=0, atol=1e-5)
    np.testing.assert_allclose(by_time.features, double[2:].mean(axis=0), rtol=0, atol=1e-5)


def test_energy_and_code_usage_can_be_counted_again(model):
    raw = short_recording(bads=1)
    embedding = embed_recording(model, raw)
    np.testing.assert_allclose(
        embedding.energy, (embedding.features.astype(np.float64) ** 2).sum(-1).mean(1), rtol=1e-5
    )
    prepared = prepare(raw, raw.ch_names)
    usage = np.zeros((6, 256), dtype=int)
    codes = model.tokenizer.tokenize(scale_blocks(torch.from_numpy(prepared.signal_CT[None])))[0, 1:]
    for token in codes.flatten(0, 1).tolist():
        for level, code in enumerate(token):
            usage[level, code] += 1
    np.testing.assert_array_equal(embedding.code_usage, usage)


def test_bad_sensors_do_not_reach_the_others(model):
    raw = short_recording(bads=2)
    before = embed_recording(model, raw)
    raw._data[:2] = 1e-10 * np.random.default_rng(1).standard_normal(raw._data[:2].shape)
    after = embed_recording(model, raw)
    assert (after.features[:2] == 0).all() and after.bad.tolist() == [True] * 2 + [False] * 13
    np.testing.assert_array_equal(after.features[2:], before.features[2:])
    kept = embed_recording(model, raw, bads="keep")
    assert not kept.bad.any() and (kept.features[:2] != 0).any()
    assert np.abs(kept.features[2:] - after.features[2:]).max() > 1e-4


def test_bad_sensors_are_named(model):
    raw = short_recording(bads=2)
    notes = " ".join(embed_recording(model, raw).notes)
    assert all(name in notes for name in raw.info["bads"])


def test_reference_mode_keeps_bad_sensors_and_says_so(model):
    raw = short_recording(bads=2)
    kept = embed_recording(model, raw, bads="keep")
    torch.manual_seed(0)
    reference = embed_recording(small_model(compat="reference"), raw)
    np.testing.assert_array_equal(reference.features, kept.features)
    assert reference.settings["bads"] == "keep"
    assert any("reference mode" in note for note in reference.notes)
    assert not any("reference mode" in note for note in kept.notes)


def test_interpolated_sensors_take_part(model):
    raw = electrodes(30)
    raw.info["bads"] = ["E00"]
    embedding = embed_recording(model, raw, bads="interpolate")
    assert not embedding.bad.any() and (embedding.features[0] != 0).any()
    assert any("interpolated" in note for note in embedding.notes)


def test_all_sensors_bad_is_refused(model):
    with pytest.raises(InputError, match="All 15 sensors are marked bad"):
        embed_recording(model, short_recording(bads=15))


@pytest.mark.parametrize("name", ["features", "features.npz"])
def test_files_hold_what_memory_holds(tmp_path, model, name):
    raw = short_recording(10.0)
    in_memory = embed_recording(model, raw, window_s=4.8)
    in_file = embed_recording(model, raw, window_s=4.8, out=tmp_path / name)
    assert isinstance(in_file.features, np.memmap)
    np.testing.assert_array_equal(in_file.features, in_memory.features)
    assert load_embedding(tmp_path / name).meta() == in_file.meta()
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", ["features", "features.npz"])
def test_an_interrupted_run_leaves_nothing(tmp_path, model, name):
    def stop_after_first(stage, done, total, tokens):
        if stage == "embedding" and done == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        embed_recording(model, short_recording(10.0), window_s=4.8, out=tmp_path / name, progress=stop_after_first)
    assert list(tmp_path.iterdir()) == []


def test_existing_output_is_refused_before_anything_is_prepared(tmp_path, model):
    (tmp_path / "features.npz").touch()
    news = []
    with pytest.raises(InputError, match="exists already"):
        embed_recording(model, short_recording(), out=tmp_path / "features.npz", progress=lambda *new: news.append(new))
    assert news == []


def test_the_layer_asked_for_comes_out(model):
    raw = short_recording()
    outputs = [embed_recording(model, raw, layer=layer).features for layer in (0, 1, 2, -1)]
    np.testing.assert_array_equal(outputs[2], outputs[3])
    assert np.abs(outputs[0] - outputs[1]).max() > 1e-3 and np.abs(outputs[1] - outputs[2]).max() > 1e-3
    with pytest.raises(InputError, match="no layer 3"):
        embed_recording(model, raw, layer=3)


def test_bfloat16_is_close_to_float32_and_stored_as_float32(model):
    raw = short_recording()
    exact = embed_recording(model, raw)
    rough = embed_recording(model, raw, dtype="bfloat16")
    error = np.linalg.norm(rough.features - exact.features) / np.linalg.norm(exact.features)
    assert rough.features.dtype == np.float32 and 1e-5 < error < 2e-2
    np.testing.assert_array_equal(rough.code_usage, exact.code_usage)  # the codec stays in float32


def test_a_model_in_training_embeds_without_dropout_and_stays_in_training(model):
    raw = short_recording()
    expected = embed_recording(model, raw).features
    model.train()
    np.testing.assert_array_equal(embed_recording(model, raw).features, expected)
    assert model.training


def test_channels_can_be_chosen_and_left_out(model):
    raw = short_recording()
    assert len(embed_recording(model, raw, channels="mag").sensors) == 5
    first = raw.ch_names[0]
    left = embed_recording(model, raw, exclude=[first])
    assert first not in left.sensors.names and left.settings["exclude"] == [first]


def test_electrodes_are_embedded_with_one_sentence_about_it(model):
    embedding = embed_recording(model, electrodes(9))
    assert embedding.features.shape == (9, 25, 64) and np.isfinite(embedding.features).all()
    assert sum("never saw EEG" in note for note in embedding.notes) == 1
    assert not any("never saw EEG" in note for note in embed_recording(model, short_recording()).notes)


def test_a_model_that_knows_electrodes_needs_no_such_sentence():
    model = MEGXL(MEGXLConfig(width=64, layers=1, heads=4, fourier_width=50, sensor_kinds=3), BioCodec())
    assert not any("never saw EEG" in note for note in embed_recording(model, electrodes(9)).notes)


def test_progress_counts_channels_and_tokens(model):
    news = []
    embed_recording(model, short_recording(10.0), window_s=4.8, progress=lambda *new: news.append(new))
    assert news[0] == ("preparing", 0, 15, 0) and ("preparing", 15, 15, 0) in news
    assert [new for new in news if new[0] == "embedding"] == [
        ("embedding", done, 3, 15 * tokens) for done, tokens in ((0, 0), (1, 20), (2, 40), (3, 42))
    ]


def test_a_model_without_a_tokenizer_is_refused():
    with pytest.raises(InputError, match="no tokenizer"):
        embed_recording(MEGXL(small_model().config), short_recording())


def test_what_made_the_features_is_named_with_its_version(model):
    assert embed_recording(model, short_recording()).provenance["software"]["megxl"] == megxl.__version__


@pytest.mark.parametrize("kind", ["NoneType", "ndarray", "EpochsArray"])
def test_what_is_no_recording_is_refused_by_its_type(model, kind):
    raw = short_recording()
    given = {"NoneType": None, "ndarray": raw.get_data()}.get(kind)
    if kind == "EpochsArray":
        given = mne.EpochsArray(raw.get_data()[None], raw.info, verbose="ERROR")
    with pytest.raises(InputError, match=rf"not {kind}: give an mne\.io\.BaseRaw or the path"):
        model.embed(given)


def test_options_of_reading_need_a_path(model):
    with pytest.raises(InputError, match="for paths"):
        embed_recording(model, short_recording(), allow_maxshield=True)


def test_a_path_is_read(tmp_path, model):
    raw = short_recording()
    raw.save(tmp_path / "a_raw.fif", fmt="double", verbose="ERROR")
    embedding = embed_recording(model, tmp_path / "a_raw.fif")
    assert embedding.provenance["recording"]["files"] == ["a_raw.fif"]
    np.testing.assert_allclose(embedding.features, embed_recording(model, raw).features, rtol=0, atol=1e-4)


def test_the_model_has_the_same_by_a_method(model):
    raw = short_recording()
    np.testing.assert_array_equal(model.embed(raw).features, embed_recording(model, raw).features)


def test_a_prepared_recording_can_be_embedded_twice(model):
    raw = short_recording()
    prepared = prepare(raw, raw.ch_names)
    np.testing.assert_array_equal(
        embed_prepared(model, prepared).features, embed_prepared(model, prepared, device="cpu").features
    )
