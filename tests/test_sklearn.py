"""MEGXLFeatures, against `embed` and against its steps done by hand, and as scikit-learn uses it."""

import copy
import importlib
import pickle
import re
import sys
import warnings

import mne
import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import estimator_checks

from megxl.errors import InputError
from megxl.extraction import embed_recording
from megxl.model.megxl import MEGXL
from megxl.signals.sensors import SensorArray
from megxl.sklearn import MEGXLFeatures
from megxl.sklearn.trials import open_trials
from megxl.sklearn.weights import find_model
from megxl.tokenizer.biocodec import BioCodec
from tests.small import TINY, TRAINED, electrodes, short_recording, small_model

# the models of these tests are random, and say so; that they do is tested below
pytestmark = pytest.mark.filterwarnings("ignore:RANDOM WEIGHTS")
POOLINGS = ("none", "sensor", "time", "mean")


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return small_model()


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory):
    return model.save_pretrained(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture
def epochs() -> mne.BaseEpochs:
    return cut(short_recording(9.6), 1.2)


def cut(raw, seconds: float) -> mne.BaseEpochs:
    return mne.make_fixed_length_epochs(raw, seconds, preload=True, verbose="ERROR")


def of_array(model, epochs, **options) -> MEGXLFeatures:
    return MEGXLFeatures(model, sensors=epochs.info, sfreq_hz=epochs.info["sfreq"], **options)


@pytest.mark.parametrize("layer", [-1, 1])
@pytest.mark.parametrize("batch_size", [1, 2])
def test_windows_of_a_prepared_recording_have_the_features_that_embed_gives_them(model, batch_size, layer):
    raw = short_recording(18.0, bads=1)
    raw.filter(0.1, 40, verbose="ERROR").resample(50)
    embedding = embed_recording(model, raw, window_s=6, layer=layer)
    features = MEGXLFeatures(model, pooling="none", batch_size=batch_size, layer=layer).fit_transform(cut(raw, 6))
    expected = embedding.features.reshape(15, 3, 25, -1).swapaxes(0, 1)
    assert (expected[:, 0] == 0).all()
    np.testing.assert_allclose(features.reshape(expected.shape), expected, rtol=0, atol=0 if batch_size == 1 else 1e-6)


def test_trials_of_another_rate_are_resampled_as_by_mne(model, epochs):
    transformer = MEGXLFeatures(model, pooling="none")
    np.testing.assert_array_equal(
        transformer.fit_transform(epochs), transformer.fit_transform(epochs.copy().resample(50))
    )


def test_epochs_their_list_and_their_array_have_the_same_features(model, epochs):
    # a list is what scikit-learn makes of epochs when it splits them
    features = MEGXLFeatures(model).fit_transform(epochs)
    np.testing.assert_array_equal(MEGXLFeatures(model).fit_transform([epochs[row] for row in range(8)]), features)
    data = epochs.get_data()
    np.testing.assert_array_equal(of_array(model, epochs).fit_transform(data), features)
    for sensors in (SensorArray.from_info(epochs.info), epochs.info["chs"]):
        np.testing.assert_array_equal(of_array(model, epochs).set_params(sensors=sensors).fit_transform(data), features)


def test_an_info_places_electrodes_beside_meg_sensors(shared, model):
    raw = mne.io.read_raw(shared / "realdata/meg_neuromag306/test_raw.fif", verbose="ERROR").crop(0, 2.5)
    raw.info["bads"] = []
    epochs = cut(raw.load_data().pick([*raw.ch_names[:3], "EEG 001", "EEG 030"]), 1.2)
    features = MEGXLFeatures(model, channels="meg+eeg").fit_transform(epochs)
    np.testing.assert_array_equal(of_array(model, epochs).fit_transform(epochs.get_data()), features)
    with pytest.raises(InputError, match="Choose MEG or EEG, not both"):
        of_array(model, epochs).set_params(sensors=epochs.info["chs"]).fit(epochs.get_data())


def test_pooled_features_are_means_of_unpooled_ones_and_columns_are_named(model, epochs):
    epochs.info["bads"] = epochs.ch_names[2:4]
    transformers = {pooling: MEGXLFeatures(model, pooling=pooling).fit(epochs) for pooling in POOLINGS}
    features = {pooling: transformer.transform(epochs) for pooling, transformer in transformers.items()}
    tokens = features["none"].reshape(8, 15, 5, 64)
    good = np.delete(tokens, [2, 3], axis=1)
    assert (tokens[:, 2:4] == 0).all() and (good.std(axis=-1) > 0).all()
    np.testing.assert_allclose(features["sensor"].reshape(8, 15, 64), tokens.mean(2), rtol=0, atol=1e-6)
    np.testing.assert_allclose(features["time"].reshape(8, 5, 64), good.mean(1), rtol=0, atol=1e-6)
    np.testing.assert_allclose(features["mean"], good.mean((1, 2)), rtol=0, atol=1e-6)
    names = {pooling: list(transformer.get_feature_names_out()) for pooling, transformer in transformers.items()}
    assert {pooling: len(name) for pooling, name in names.items()} == {p: f.shape[1] for p, f in features.items()}
    place = names["none"].index(f"{epochs.ch_names[7]}_0.24s_5")
    np.testing.assert_array_equal(features["none"][:, place], tokens[:, 7, 1, 5])
    assert names["sensor"][64 + 5] == f"{epochs.ch_names[1]}_5"
    assert (names["time"][64 + 5], names["mean"][5]) == ("0.24s_5", "megxl_5")


def test_what_a_bad_sensor_holds_reaches_nothing(model, epochs):
    expected = MEGXLFeatures(model).fit_transform(epochs)
    epochs.info["bads"] = epochs.ch_names[:1]
    masked = MEGXLFeatures(model).fit_transform(epochs)
    epochs._data[:, 0] = np.nan
    np.testing.assert_array_equal(MEGXLFeatures(model).fit_transform(epochs), masked)
    assert np.abs(masked - expected).max() > 1e-3
    data = epochs.get_data()
    np.testing.assert_array_equal(of_array(model, epochs).fit_transform(data), masked)
    assert np.isnan(data[:, 0]).all()  # what was handed over stays as it was
    with pytest.raises(InputError, match=r"Trial 0 holds NaN .* 'MEG 0113'"):
        MEGXLFeatures(model, bads="keep").fit_transform(epochs)


def test_reference_mode_lets_bad_sensors_take_part(epochs):
    reference = small_model(compat="reference")
    expected = MEGXLFeatures(reference).fit_transform(epochs)
    epochs.info["bads"] = epochs.ch_names[:1]
    np.testing.assert_array_equal(MEGXLFeatures(reference).fit_transform(epochs), expected)


def test_electrodes_are_referred_to_the_average_of_the_good_ones(model):
    epochs = cut(electrodes(6), 1.2)
    moved = epochs.copy()
    moved._data += 1e-4 * np.sin(np.arange(len(moved.times)) / 5)
    for bads in ([], ["E00"]):
        epochs.info["bads"] = moved.info["bads"] = bads
        epochs._data[:, 0] += 1 if bads else 0  # nothing of a bad one is in the average
        for reference, same in (("average", True), ("recorded", False)):
            transformer = MEGXLFeatures(model, reference=reference)
            distance = np.abs(transformer.fit_transform(moved) - transformer.fit_transform(epochs)).max()
            assert (distance < 1e-6) == same


def test_an_electrode_that_is_silent_in_a_trial_stays_so_and_counts_for_nothing():
    epochs = cut(electrodes(6), 1.2)
    epochs._data[1, 0] = 3e-5  # flat in one trial alone
    given_NCT, none_C = epochs.get_data(), np.zeros(len(epochs.ch_names), bool)
    trials = open_trials(epochs, None, None, "auto")
    found_NCT = trials.prepared(slice(None), epochs.info["sfreq"], none_C, "average")
    for trial, first in ((0, 0), (1, 1)):
        mean_T = given_NCT[trial, first:].mean(axis=0)
        expected_CT = given_NCT[trial] - np.where(np.arange(len(none_C))[:, None] >= first, mean_T, 0.0)
        np.testing.assert_allclose(found_NCT[trial], expected_CT, rtol=1e-5, atol=1e-12)


def test_trials_do_not_depend_on_their_neighbours(model, epochs):
    data, transformer = epochs.get_data(), of_array(model, epochs, batch_size=3)
    before = data.copy()
    features = transformer.fit_transform(data)
    np.testing.assert_allclose(transformer.transform(data[::-1]), features[::-1], rtol=0, atol=1e-6)
    np.testing.assert_allclose(transformer.transform(data[4:5]), features[4:5], rtol=0, atol=1e-6)
    np.testing.assert_array_equal(transformer.fit(data[:2]).transform(data), features)
    np.testing.assert_array_equal(data, before)
    assert features.dtype == np.float32


def test_a_pipeline_tells_rhythms_apart_in_cross_validation(model, epochs):
    epochs = cut(short_recording(28.8), 1.2)
    y = np.arange(24) % 2
    rng = np.random.default_rng(0)
    for trial, label in zip(epochs._data, y, strict=True):
        phase = 2 * np.pi * ((9 if label else 3) * epochs.times + rng.uniform(size=(15, 1)))
        trial[:] = 1e-12 * (np.sin(phase) + 0.2 * rng.standard_normal(phase.shape))
    pipeline = make_pipeline(MEGXLFeatures(model), StandardScaler(), LogisticRegression())
    assert cross_val_score(pipeline, epochs, y, cv=3).min() > 0.8
    assert cross_val_score(pipeline, epochs, rng.permutation(y), cv=3).mean() < 0.8


def test_a_grid_search_over_layers_and_pooling_reads_the_weights_once(folder, epochs, monkeypatch):
    read = []
    load = MEGXL.from_pretrained
    monkeypatch.setattr(MEGXL, "from_pretrained", lambda *args, **options: read.append(args) or load(*args, **options))
    pipeline = make_pipeline(of_array(folder, epochs), StandardScaler(), LogisticRegression())
    grid = {"megxlfeatures__layer": [0, 2], "megxlfeatures__pooling": ["mean", "time"]}
    search = GridSearchCV(pipeline, grid, cv=2, error_score="raise").fit(epochs.get_data(), np.arange(8) % 2)
    assert len(search.cv_results_["params"]) == 4
    assert len(read) == 1


def test_copies_share_the_weights(model, epochs):
    transformer = MEGXLFeatures(model, layer=1, sensors=epochs.info["chs"]).set_output(transform="pandas")
    twin = clone(transformer)
    assert twin.get_params()["model"] is model
    assert twin.get_params() == transformer.get_params()
    assert not hasattr(twin, "sensors_")
    assert list(clone(twin).set_params(sensors=None).fit_transform(epochs[:1]).columns) == [
        f"megxl_{n}" for n in range(64)
    ]


def test_a_pickle_holds_the_path_and_not_the_weights(folder, epochs):
    transformer = MEGXLFeatures(folder, pooling="sensor")
    features = transformer.fit_transform(epochs)
    written = pickle.dumps(transformer)
    assert len(written) < 10_000
    np.testing.assert_array_equal(pickle.loads(written).transform(epochs), features)


@pytest.mark.parametrize("again", [lambda each: pickle.loads(pickle.dumps(each)), copy.deepcopy])
def test_a_pickle_of_a_model_at_hand_holds_it(epochs, again):
    transformer = MEGXLFeatures(small_model(compat="reference"))
    twin = again(transformer.fit(epochs))
    assert twin.model is not transformer.model
    assert twin.model.compat == "reference"
    np.testing.assert_array_equal(twin.transform(epochs), transformer.transform(epochs))


def test_a_tokenizer_at_hand_is_pickled_too(folder):
    codec = BioCodec()
    twin = pickle.loads(pickle.dumps(MEGXLFeatures(folder, tokenizer=codec)))
    for name, tensor in codec.state_dict().items():
        torch.testing.assert_close(twin.tokenizer.state_dict()[name], tensor, rtol=0, atol=0)


def test_weights_that_changed_after_fit_are_read_anew_and_refused(tmp_path, model, epochs):
    model.save_pretrained(tmp_path / "tiny")
    transformer = MEGXLFeatures(tmp_path / "tiny").fit(epochs)
    before = find_model(tmp_path / "tiny", None, "default")
    assert find_model(tmp_path / "tiny", None, "default") is before
    small_model().save_pretrained(tmp_path / "tiny")
    assert find_model(tmp_path / "tiny", None, "default") is not before
    with pytest.raises(InputError, match="weights are not those that fit has seen"):
        transformer.transform(epochs)


def test_a_model_in_training_embeds_without_dropout_and_stays_in_training(model, epochs):
    expected = MEGXLFeatures(model).fit_transform(epochs)
    try:
        model.train()
        np.testing.assert_array_equal(MEGXLFeatures(model).fit_transform(epochs), expected)
        assert model.training
    finally:
        model.eval()


def test_the_notes_say_what_differs_from_embedding_a_recording(model, epochs):
    notes = " ".join(MEGXLFeatures(model).fit(epochs).notes_)
    for part in (
        "sees 1.2 s at once, and was trained with 150 s",
        "last 1.2 s",
        "from 250 to 50 Hz",
        "raw.filter(0.1, 40)",
    ):
        assert part in notes
    raw = short_recording(12.0).filter(0.1, 40, verbose="ERROR").resample(50)
    assert len(MEGXLFeatures(model).fit(cut(raw, 6)).notes_) == 1
    assert "never saw EEG" in MEGXLFeatures(model).fit(cut(electrodes(6), 6)).notes_[-1]
    assert "lacks 10 of 12 samples" in " ".join(MEGXLFeatures(model).fit(cut(raw, 1.0)).notes_)


def test_random_weights_are_warned_of_and_trained_ones_are_not(epochs):
    loud = small_model()
    with pytest.warns(UserWarning, match="RANDOM WEIGHTS"):
        assert MEGXLFeatures(loud).fit(epochs).warning_.startswith("RANDOM WEIGHTS")
    loud.provenance = loud.tokenizer.provenance = TRAINED
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert MEGXLFeatures(loud).fit(epochs).warning_ is None


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"pooling": "token"}, "pooling='token' is not known: choose one of mean, sensor, time, none"),
        ({"bads": "interpolate"}, "bads='interpolate' is not known"),
        ({"layer": 3}, "no layer 3"),
        ({"batch_size": 0}, "batch_size=0; allowed"),
        ({"model": 3}, "model is a path"),
        ({"model": "nowhere.ckpt"}, "nowhere.ckpt"),
        ({"model": MEGXL(TINY)}, "has no tokenizer"),
        ({"tokenizer": "codec.pt"}, "leave both out"),
        ({"compat": "reference"}, "leave both out"),
        ({"sfreq_hz": 250.0}, "epochs bring their own"),
        ({"channels": "eeg"}, "No channel of the kind 'eeg'"),
    ],
)
def test_options_that_cannot_be_are_refused_by_fit_alone(model, epochs, options, sentence):
    transformer = MEGXLFeatures(**{"model": model} | options)
    with pytest.raises(InputError, match=sentence):
        transformer.fit(epochs)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda x: x[0], r"shape \(trials, sensors, samples\), not ndarray of float64 and shape \(15, 300\)"),
        (lambda x: x[:, :4], "4 rows, but sensors describes 15"),
        (lambda x: x[:0], "0 trials"),
        (lambda x: x + 1j, "complex128"),
        (lambda x: [x[0], x[1, :, :9]], "one shape"),
        (lambda x: x[..., :50], r"Trials of 0.2 s are shorter than one token \(0.24 s\)"),
    ],
)
def test_arrays_that_cannot_be_are_refused(model, epochs, change, sentence):
    with pytest.raises(InputError, match=sentence):
        of_array(model, epochs).fit(change(epochs.get_data()))


def test_an_array_needs_sensors_and_a_rate_that_is_high_enough(model, epochs):
    data = epochs.get_data()
    with pytest.raises(InputError, match=r"Give sensors .* and sfreq_hz"):
        MEGXLFeatures(model).fit(data)
    with pytest.raises(InputError, match="40 samples a second; allowed: at least 50"):
        of_array(model, epochs).set_params(sfreq_hz=40).fit(data)


def test_epochs_that_may_still_be_rejected_are_refused(model):
    raw = short_recording(6.0)
    events = mne.make_fixed_length_events(raw, duration=1.2)
    lazy = mne.Epochs(raw, events, tmin=0, tmax=1, reject={"mag": 1}, baseline=None, verbose="ERROR")
    with pytest.raises(InputError, match=r"epochs\.drop_bad\(\)"):
        MEGXLFeatures(model).fit(lazy)
    MEGXLFeatures(model).fit(lazy.drop_bad(verbose="ERROR"))


def test_columns_keep_their_meaning_after_fit(model, epochs):
    fewer, shorter = epochs.copy().drop_channels(epochs.ch_names[:1]), epochs.copy().crop(0, 0.9)
    for pooling in POOLINGS:
        transformer = MEGXLFeatures(model, pooling=pooling).fit(epochs)
        for other, bound in ((fewer, ("sensor", "none")), (shorter, ("time", "none"))):
            if pooling in bound:
                with pytest.raises(InputError, match="fit has seen"):
                    transformer.transform(other)
            else:
                assert len(transformer.transform(other)) == 8
    with pytest.raises(NotFittedError):
        MEGXLFeatures(model).transform(epochs)


# of scikit-learn's checks those that need no input; all others hand in two-dimensional arrays without sensors
@pytest.mark.parametrize(
    "check",
    [
        estimator_checks.check_estimator_cloneable,
        estimator_checks.check_estimator_tags_renamed,
        estimator_checks.check_valid_tag_types,
        estimator_checks.check_estimator_repr,
        estimator_checks.check_no_attributes_set_in_init,
        estimator_checks.check_do_not_raise_errors_in_init_or_set_params,
        estimator_checks.check_mixin_order,
        estimator_checks.check_get_params_invariance,
        estimator_checks.check_set_params,
    ],
    ids=lambda check: check.__name__,
)
def test_the_checks_of_scikit_learn_that_need_no_input_pass(check):
    check("MEGXLFeatures", MEGXLFeatures("meg-xl-med.ckpt"))


def test_without_scikit_learn_the_import_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.base", None)
    monkeypatch.delitem(sys.modules, "megxl.sklearn.features")
    with pytest.raises(InputError, match=re.escape("needs scikit-learn: pip install 'megxl[decode]'")):
        importlib.import_module("megxl.sklearn.features")
