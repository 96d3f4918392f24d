"""Responses to words, against the formula they are documented by."""

import numpy as np
import pytest

from megxl.corpora.simulation.recipe import Recipe
from megxl.corpora.simulation.response import hashed_meanings, make_response, stack_meanings
from megxl.errors import InputError

RNG = np.random.default_rng(0)
VECTORS = RNG.standard_normal((5, 7))
ONSETS = np.array([0.5, 0.731, 1.2004, 1.21, 3.0])


def response(**options):
    return make_response(Recipe(**options), 3, VECTORS)


def brute_force(answer, sfreq_hz: float, n_samples: int) -> np.ndarray:
    courses = np.zeros((3, n_samples))
    for sample in range(n_samples):
        for onset, vector in zip(ONSETS, VECTORS, strict=True):
            delay = sample / sfreq_hz - onset
            if delay < 0:
                continue
            for j in range(len(answer.latencies_J)):
                u = (delay - answer.latencies_J[j]) / answer.widths_J[j]
                size = answer.common_JM[j] + answer.weights_JMD[j] @ vector
                courses[:, sample] += answer.gain * size * (1 - u**2) * np.exp(-(u**2) / 2)
    return courses


def test_responses_follow_their_formula():
    answer = response()
    found = answer.courses(ONSETS, answer.amplitudes(VECTORS), 0, 420, 100.0)
    expected = brute_force(answer, 100.0, 420)
    np.testing.assert_allclose(found, expected, atol=2e-4 * np.abs(expected).max())  # tails end after five widths


def test_any_piece_can_be_made():
    answer = response()
    whole = answer.courses(ONSETS, answer.amplitudes(VECTORS), 0, 420, 100.0)
    for start, stop in ((0, 1), (49, 51), (120, 121), (77, 300), (400, 420)):
        part = answer.courses(ONSETS, answer.amplitudes(VECTORS), start, stop, 100.0)
        np.testing.assert_allclose(part, whole[:, start:stop], atol=1e-12)


def test_waves_come_between_80_and_700_ms_and_have_no_mean():
    answer = response()
    times = np.arange(0, 1.2, 0.0005)
    waves = answer.waves(times)
    assert np.abs(waves.sum(axis=1)).max() < 1e-3 * np.abs(waves).sum(axis=1).min()
    peaks = times[waves.argmax(axis=1)]
    assert peaks.min() > 0.08 and peaks.max() < 0.65 and np.abs(waves[:, times < 0.01]).max() < 0.01


def test_what_depends_on_meaning_does_so_linearly_and_alike_in_all_brains():
    one, other = response(subject=1), response(subject=2)
    a, b = VECTORS[:2]
    common = one.amplitudes(np.zeros((1, 7)))
    both = one.amplitudes(np.array([a, b, a + 2 * b])) - common
    np.testing.assert_allclose(both[2], both[0] + 2 * both[1], atol=1e-12)
    np.testing.assert_array_equal(one.weights_JMD, other.weights_JMD)
    assert (one.latencies_J != other.latencies_J).all()
    assert not np.array_equal(one.weights_JMD, response(seed=1).weights_JMD)


def test_vectors_of_any_scale_do_alike():
    larger = make_response(Recipe(), 3, 1000 * VECTORS)
    np.testing.assert_allclose(larger.amplitudes(1000 * VECTORS), response().amplitudes(VECTORS))


def test_hashed_meanings_depend_on_the_letters_alone():
    vectors = hashed_meanings(["sea", "lamp", "the"])
    assert all(abs(np.linalg.norm(vector) - 1) < 1e-12 for vector in vectors.values())
    np.testing.assert_array_equal(hashed_meanings(["the"])["the"], vectors["the"])
    assert abs(vectors["sea"] @ vectors["lamp"]) < 0.9


@pytest.mark.parametrize(
    ("meanings", "said"),
    [
        ({"sea": np.ones(3)}, r"1 words of the story have no meaning vector \(first: 'lamp'\)"),
        ({"sea": np.ones(3), "lamp": np.ones(4)}, "all must be of one length"),
        ({"sea": np.ones(3), "lamp": np.array([1.0, np.nan, 0.0])}, "NaN"),
    ],
)
def test_unfit_vectors_are_refused(meanings, said):
    with pytest.raises(InputError, match=said):
        stack_meanings(["sea", "lamp"], meanings)
