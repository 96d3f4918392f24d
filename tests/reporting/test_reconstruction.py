"""What is filled in at hidden places: decoded as the codec does, expected as a float64 formula has it, counted by hand.

Letters: B batch, C sensors, T tokens, S samples, H hidden tokens, Q levels, V codes, D width, K width of a code vector.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch

from megxl.model.inputs import batch_sensors
from megxl.model.megxl import MEGXL
from megxl.reporting.examination import distances, examine
from megxl.reporting.reconstruction import (
    MaskedWindow,
    Reconstruction,
    code_vectors,
    expected_vectors,
    predict,
    reconstruct,
)
from megxl.signals.sensors import neuromag306
from megxl.sizes import MEGXLConfig
from megxl.tokenizer.biocodec import rms_scale
from tests.training.small_run import CODEC, small_codec

HIDDEN = (3, 4, 5, 9, 10, 14)
TOKENS = 15
SAMPLES = 12 * TOKENS - 5
"""The last token is not whole."""


@pytest.fixture(scope="module")
def model() -> MEGXL:
    torch.manual_seed(1)
    names = ("levels", "codes", "code_width", "samples_per_token")
    sizes = {name: getattr(CODEC, name) for name in names}
    model = MEGXL(MEGXLConfig(width=32, layers=2, heads=4, fourier_width=8, dropout=0.5, **sizes), small_codec())
    with torch.no_grad():
        model.head.weight.mul_(20)  # opinions, not a shrug
    return model


def window(model: MEGXL, n_sensors: int = 40, seed: int = 0, bad: tuple[int, ...] = (2,)) -> MaskedWindow:
    signal_CS = 3 * torch.randn(n_sensors, SAMPLES, generator=torch.Generator().manual_seed(seed))
    array = neuromag306().select(neuromag306().names[:n_sensors])
    hidden_T = torch.zeros(TOKENS, dtype=torch.bool)
    hidden_T[list(HIDDEN)] = True
    return MaskedWindow(
        key="armeni/sub-1",
        corpus="armeni",
        start_s=30.0,
        sfreq_hz=50.0,
        samples_per_token=12,
        array=array,
        good_C=~np.isin(np.arange(n_sensors), bad),
        signal_CS=signal_CS,
        codes_CTQ=model.codes(signal_CS[None])[0],
        sensors=batch_sensors([array])[0],
        hidden_T=hidden_T,
    )


def all_logits(model: MEGXL, given: MaskedWindow) -> torch.Tensor:
    """Logits of every place at once (C, T, Q, V)."""
    model.eval()
    with torch.no_grad():
        features = model(
            given.codes_CTQ[None], given.sensors, torch.from_numpy(given.good_C)[None], mask=given.hidden_T[None]
        )
        return model.logits(features)[0]


def reconstructed(model: MEGXL, given: MaskedWindow) -> Reconstruction:
    return reconstruct(model, given, predict(model, given))


def test_true_codes_are_decoded_as_the_codec_decodes_them(model):
    given = window(model)
    scale_C1 = rms_scale(given.signal_CS[:, None])
    with torch.no_grad():
        expected_C1S = model.tokenizer.decode(given.codes_CTQ.transpose(1, 2), scale_C1, SAMPLES)
    result = reconstructed(model, given)
    assert result.true_CS.shape == given.signal_CS.shape
    np.testing.assert_allclose(result.true_CS, expected_C1S[:, 0], rtol=1e-5, atol=1e-5)


def test_likeliest_codes_are_those_of_highest_score_and_are_decoded_among_the_true_ones(model):
    given = window(model)
    codes_CTQ = torch.where(given.hidden_T[None, :, None], all_logits(model, given).argmax(-1), given.codes_CTQ.long())
    assert (codes_CTQ != given.codes_CTQ).any()
    result = reconstructed(model, given)
    np.testing.assert_array_equal(result.codes_CTQ, codes_CTQ)
    with torch.no_grad():
        signal_C1S = model.tokenizer.decode(codes_CTQ.transpose(1, 2), rms_scale(given.signal_CS[:, None]), SAMPLES)
    np.testing.assert_allclose(result.likeliest_CS, signal_C1S[:, 0], rtol=1e-5, atol=1e-5)


def test_expected_vectors_are_the_sum_over_levels_of_weighted_projected_code_vectors(model):
    given = window(model)
    logits_CHQV = all_logits(model, given)[:, given.hidden_T].double().numpy()
    share_CHQV = np.exp(logits_CHQV - logits_CHQV.max(-1, keepdims=True))
    share_CHQV /= share_CHQV.sum(-1, keepdims=True)
    total_CHD = 0.0
    for number, level in enumerate(model.tokenizer.quantizer.levels):
        book_VK = level.code_book.double().numpy()
        weight_DK, bias_D = (part.detach().double().numpy() for part in level.project_out.parameters())
        projected_VD = np.stack([weight_DK @ vector_K + bias_D for vector_K in book_VK])
        for code, vector_D in enumerate(projected_VD):
            total_CHD = total_CHD + share_CHQV[:, :, number, code, None] * vector_D
    np.testing.assert_allclose(predict(model, given).vectors_CHD, total_CHD, rtol=1e-4, atol=1e-5)


def test_one_who_is_sure_expects_the_vector_of_that_code(model):
    codes_CHQ = torch.randint(CODEC.codes, (4, 5, CODEC.levels))
    logits_CHQV = 200.0 * torch.nn.functional.one_hot(codes_CHQ, CODEC.codes)
    expected_CHD = expected_vectors(logits_CHQV, code_vectors(model.tokenizer))
    with torch.no_grad():
        torch.testing.assert_close(expected_CHD, model.tokenizer.quantizer.decode(codes_CHQ))


def test_what_is_not_hidden_yet_comes_out_as_true_codes_do(model):
    result = reconstructed(model, window(model))
    first = 12 * HIDDEN[0]
    for filled_CS in (result.likeliest_CS, result.expected_CS, result.guessed_CS):
        np.testing.assert_allclose(filled_CS[:, :first], result.true_CS[:, :first], atol=1e-5)
        assert np.abs(filled_CS[:, first : first + 36] - result.true_CS[:, first : first + 36]).max() > 1e-3


def test_the_guesser_fills_in_the_mean_of_what_is_visible_of_the_sensor(model):
    given = window(model, n_sensors=6)
    with torch.no_grad():
        vectors_CTD = model.tokenizer.quantizer.decode(given.codes_CTQ.long())
        seen = [n for n in range(TOKENS) if n not in HIDDEN]
        for place in HIDDEN:
            vectors_CTD[:, place] = sum(vectors_CTD[:, n] for n in seen) / len(seen)
        signal_C1S = model.tokenizer.decoder(vectors_CTD.transpose(1, 2))[..., :SAMPLES]
    scale_C1 = given.signal_CS.square().mean(1, keepdim=True).sqrt()
    np.testing.assert_allclose(reconstructed(model, given).guessed_CS, signal_C1S[:, 0] * scale_C1, atol=1e-5)


def test_agreement_is_the_correlation_over_hidden_samples_alone(model):
    result = reconstructed(model, window(model))
    samples = [s for s in range(SAMPLES) if s // 12 in HIDDEN]
    assert np.flatnonzero(result.hidden_S).tolist() == samples
    told_C = result.agreement_C(result.expected_CS)
    for row in (0, 7, 39):
        r = np.corrcoef(result.expected_CS[row, samples], result.true_CS[row, samples])[0, 1]
        assert told_C[row] == pytest.approx(r, abs=1e-9)
    assert np.isnan(result.agreement_C(np.zeros_like(result.true_CS))).all()


def test_a_model_in_training_predicts_without_dropout_and_stays_in_training(model):
    given = window(model)
    expected = predict(model.eval(), given)
    again = predict(model.train(), given)
    assert model.training and not model.tokenizer.training
    assert torch.equal(again.vectors_CHD, expected.vectors_CHD)


def test_accuracy_by_sensor_is_what_a_loop_counts(model):
    windows = [window(model, seed=0), window(model, seed=1, bad=(2, 5)), window(model, n_sensors=7, seed=2, bad=())]
    seen: dict[int, dict[int, list[bool]]] = {40: {}, 7: {}}
    near: dict[int, list[bool]] = {}
    for given in windows:
        logits_CTQV = all_logits(model, given)
        for sensor in range(len(given.array)):
            for token in HIDDEN if given.good_C[sensor] else ():
                distance = min(abs(token - other) for other in range(TOKENS) if other not in HIDDEN)
                for level in range(CODEC.levels):
                    right = int(logits_CTQV[sensor, token, level].argmax()) == int(
                        given.codes_CTQ[sensor, token, level]
                    )
                    seen[len(given.array)].setdefault(sensor, []).append(right)
                    near.setdefault(distance, []).append(right)
    result = examine(model, [lambda given=given: given for given in windows])
    for hits in result.arrays.values():
        for sensor, accuracy in enumerate(hits.accuracy_C):
            rights = seen[len(hits.array)].get(sensor)
            assert np.isnan(accuracy) if rights is None else accuracy == pytest.approx(np.mean(rights), abs=1e-12)
    assert np.isnan(next(iter(result.arrays.values())).accuracy_C[2])  # bad in both
    for distance, rights in near.items():
        share = result.near_hits_NQ[distance].sum() / result.near_tokens_N[distance] / CODEC.levels
        assert share == pytest.approx(np.mean(rights), abs=1e-12)
    assert result.accuracy == pytest.approx(np.mean([right for rights in near.values() for right in rights]), abs=1e-12)
    assert result.windows == 3 and result.example.window is windows[0]


def test_accuracy_over_all_sensors_is_that_of_masked_prediction(model):
    given = window(model)
    model.eval()
    with torch.no_grad():
        told = model.masked_prediction(
            given.codes_CTQ[None], given.sensors, given.hidden_T[None], torch.from_numpy(given.good_C)[None]
        )
    assert examine(model, [lambda: given]).accuracy == pytest.approx(float(told.accuracy), abs=1e-6)


def test_codes_are_counted_at_hidden_places_of_good_sensors(model):
    given = window(model)
    result = examine(model, [lambda: given])
    true_QV = np.zeros((CODEC.levels, CODEC.codes), dtype=int)
    predicted_QV = true_QV.copy()
    codes_CTQ = result.example.codes_CTQ
    for sensor in np.flatnonzero(given.good_C):
        for token in HIDDEN:
            for level in range(CODEC.levels):
                true_QV[level, given.codes_CTQ[sensor, token, level]] += 1
                predicted_QV[level, codes_CTQ[sensor, token, level]] += 1
    np.testing.assert_array_equal(result.true_QV, true_QV)
    np.testing.assert_array_equal(result.predicted_QV, predicted_QV)


def test_distances_reach_to_the_nearest_visible_token():
    hidden_T = np.array([1, 1, 0, 1, 1, 1, 0, 1], dtype=bool)
    assert distances(hidden_T).tolist() == [2, 1, 0, 1, 2, 1, 0, 1]


def test_a_window_that_is_hidden_whole_can_be_shown(model):
    given = replace(window(model), hidden_T=torch.ones(TOKENS, dtype=torch.bool))
    assert np.isfinite(reconstructed(model, given).guessed_CS).all()
    assert examine(model, [lambda: given]).near_tokens_N[TOKENS] == TOKENS * given.good_C.sum()
