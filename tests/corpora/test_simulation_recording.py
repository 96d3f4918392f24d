"""Simulated recordings as a whole: levels, signal-to-noise ratio, decoding; samples depend on the recipe alone."""

import pickle
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from megxl.corpora.simulation.recipe import Recipe
from megxl.corpora.simulation.recording import Simulator, simulated_raw
from megxl.corpora.simulation.response import hashed_meanings
from megxl.corpora.simulation.story import vocabulary
from megxl.errors import InputError
from megxl.signals.sensors import MAGNETOMETER, SensorArray


def band_power(signal_CT: np.ndarray, sfreq_hz: float, low_hz: float, high_hz: float) -> np.ndarray:
    frequency = np.fft.rfftfreq(signal_CT.shape[1], 1 / sfreq_hz)
    spectrum = np.abs(np.fft.rfft(signal_CT * np.hanning(signal_CT.shape[1]))) ** 2
    return spectrum[:, (frequency >= low_hz) & (frequency <= high_hz)].sum(axis=1)


@pytest.fixture(scope="module")
def two_minutes() -> np.ndarray:
    return simulated_raw(Recipe(minutes=2.0)).get_data()


def test_levels_are_those_of_real_recordings(two_minutes):
    raw = simulated_raw(Recipe(minutes=2.0))
    magnetometers = SensorArray.from_info(raw.info).kinds_C == MAGNETOMETER
    level = two_minutes.std(axis=1)
    assert 3e-13 < np.median(level[magnetometers]) < 5e-13
    assert 5e-12 < np.median(level[~magnetometers]) < 1.2e-11
    assert level.min() > 0.2 * np.median(level[magnetometers])


def test_the_floor_is_the_noise_of_the_sensors():
    raw = simulated_raw(Recipe(minutes=0.2, sfreq_hz=2000.0))
    signal = raw.get_data()
    magnetometers = SensorArray.from_info(raw.info).kinds_C == MAGNETOMETER
    share = band_power(signal, 2000.0, 700, 900) / band_power(signal, 2000.0, 0, 1000)
    density = np.sqrt(share * signal.var(axis=1) / 200)
    assert 3e-15 < np.median(density[magnetometers]) < 5e-15  # T by the root of a hertz
    assert 3e-13 < np.median(density[~magnetometers]) < 5e-13


@pytest.mark.parametrize("other", [{"session": 2}, {"subject": 2}, {"seed": 1}])
def test_the_noise_of_the_sensors_is_never_the_same(other):
    def sensors_alone(**options) -> np.ndarray:
        spectrum = np.fft.rfft(simulated_raw(Recipe(minutes=0.02, sfreq_hz=2000.0, **options)).get_data())
        return np.fft.irfft(spectrum * (np.arange(spectrum.shape[1]) > 0.7 * spectrum.shape[1]))

    first, second = sensors_alone(), sensors_alone(**other)
    correlation = (first * second).sum(axis=1) / np.sqrt((first**2).sum(axis=1) * (second**2).sum(axis=1))
    assert np.abs(correlation).max() < 0.2


def test_there_is_a_rhythm_at_the_back_of_the_head(two_minutes):
    raw = simulated_raw(Recipe(minutes=2.0))
    array = SensorArray.from_info(raw.info)
    magnetometers = array.kinds_C == MAGNETOMETER
    back = magnetometers & (array.positions_C3[:, 1] < np.quantile(array.positions_C3[magnetometers, 1], 0.25))
    front = magnetometers & (array.positions_C3[:, 1] > np.quantile(array.positions_C3[magnetometers, 1], 0.75))
    rhythm = band_power(two_minutes, 250.0, 9, 11)
    beside = band_power(two_minutes, 250.0, 5, 7) + band_power(two_minutes, 250.0, 13, 15)
    assert np.median((rhythm / beside)[back]) > 3
    assert np.median(rhythm[back]) > 3 * np.median(rhythm[front])


def test_the_spectrum_falls_with_frequency():
    signal = simulated_raw(Recipe(minutes=8.0, sfreq_hz=50.0, snr=0.0)).pick("mag").get_data()
    bands = [(0.5, 1), (1, 2), (2, 4), (4, 7)]
    power = np.array([np.median(band_power(signal, 50.0, low, high)) for low, high in bands])
    frequency = np.linspace(0.5, 7, 10_000)
    expected = [(1 / (frequency * (1 + frequency / 20)))[(frequency >= a) & (frequency < b)].sum() for a, b in bands]
    np.testing.assert_allclose(power / power.sum(), np.array(expected) / sum(expected), rtol=0.15)


@pytest.mark.parametrize(("system", "snr"), [("neuromag306", 0.02), ("biosemi64", 0.5)])
def test_the_signal_to_noise_ratio_is_that_asked_for(system, snr):
    # an independent measurement: the recording without responses is the noise
    recipe = Recipe(minutes=15.3, sfreq_hz=50.0, system=system, snr=snr)
    background = simulated_raw(replace(recipe, snr=0.0)).get_data()
    response = simulated_raw(recipe).get_data() - background
    talk = slice(100, -100)
    ratio = band_power(response[:, talk], 50.0, 0.5, 20) / band_power(background[:, talk], 50.0, 0.5, 20)
    assert abs(np.median(ratio) / snr - 1) < 0.08


def test_the_response_is_what_the_recording_has_more_than_its_background():
    recipe = Recipe(minutes=0.5, snr=1.0)
    raw, quiet = simulated_raw(recipe), simulated_raw(replace(recipe, snr=0.0))
    difference = raw.get_data() - quiet.get_data()
    response = raw.simulator.response(0, recipe.n_samples)
    np.testing.assert_allclose(difference, response, atol=1e-5 * np.abs(difference).max() + 1e-17)
    assert np.abs(response[:, :500]).max() < 1e-4 * np.abs(response).max()  # before the first word


def test_the_same_recipe_gives_the_same_samples_and_another_one_others():
    recipe = Recipe(minutes=0.2, sfreq_hz=100.0)
    first = simulated_raw(recipe).get_data()
    np.testing.assert_array_equal(simulated_raw(recipe).get_data(), first)
    for other in ({"seed": 1}, {"subject": 2}, {"session": 2}):
        changed = simulated_raw(replace(recipe, **other)).get_data()
        correlation = [abs(np.corrcoef(a, b)[0, 1]) for a, b in zip(first, changed, strict=True)]
        assert np.median(correlation) < 0.3


def test_any_pieces_are_the_same_as_the_whole():
    raw = simulated_raw(Recipe(minutes=0.6, sfreq_hz=100.0))
    whole = raw.get_data()
    fresh = simulated_raw(raw.simulator.recipe)
    for start, stop in ((2990, 3600), (0, 1), (999, 1001), (500, 2500), (1000, 2000), (3599, 3600)):
        np.testing.assert_array_equal(fresh.get_data(start=start, stop=stop), whole[:, start:stop])
    np.testing.assert_array_equal(fresh.get_data(picks=[305, 3], start=10, stop=20), whole[[305, 3], 10:20])
    cropped = raw.copy().crop(12.0, 20.0)
    np.testing.assert_array_equal(cropped.get_data(), whole[:, 1200:2001])
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(raw)).get_data(stop=100), whole[:, :100])


def test_a_quarter_of_a_day_takes_no_memory():
    tracemalloc.start()
    raw = simulated_raw(Recipe(minutes=6 * 60.0, sfreq_hz=250.0))
    for at_s in (0, 10_000, 21_000):
        raw.get_data(start=at_s * 250, stop=at_s * 250 + 2500)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert raw.n_times == 5_400_000  # 13 GB in double precision
    assert peak < 200e6


def ridge(features: np.ndarray, targets: np.ndarray, n_train: int, penalty: float) -> np.ndarray:
    features = features - features[:n_train].mean(axis=0)
    kernel = features @ features[:n_train].T
    penalties = penalty * np.trace(kernel[:n_train]) / n_train * np.eye(n_train)
    mean = targets[:n_train].mean(axis=0)
    return kernel[n_train:] @ np.linalg.solve(kernel[:n_train] + penalties, targets[:n_train] - mean) + mean


def rank_of_the_right_word(signal_CT: np.ndarray, simulator: Simulator, penalty: float) -> float:
    """Decode meaning vectors of words that were not heard in training; 1 is perfect, 0.5 chance."""
    words = [one.word.text for one in simulator.heard]
    vectors = hashed_meanings(set(words))
    sfreq_hz = simulator.recipe.sfreq_hz
    starts = [round(one.onset_s * sfreq_hz) for one in simulator.heard]
    windows = np.array([signal_CT[:, start : start + round(0.8 * sfreq_hz)].ravel() for start in starts])
    n_train = len(words) * 7 // 10
    found = ridge(windows, np.array([vectors[word] for word in words]), n_train, penalty)
    new = sorted(set(words[n_train:]) - set(words[:n_train]))
    assert len(new) > 40
    scores = found @ np.array([vectors[word] for word in new]).T
    ranks = [
        (scores[row] < scores[row, new.index(word)]).sum() / (len(new) - 1)
        for row, word in enumerate(words[n_train:])
        if word in new
    ]
    return float(np.mean(ranks))


@pytest.mark.parametrize(("snr", "at_least"), [(10.0, 0.98), (0.05, 0.85)])
def test_the_meaning_of_new_words_can_be_decoded(snr, at_least):
    raw = simulated_raw(Recipe(minutes=10.0, sfreq_hz=50.0, snr=snr))
    assert rank_of_the_right_word(raw.get_data()[::6], raw.simulator, 1e-2) > at_least


def test_without_noise_new_words_are_decoded_without_error():
    simulator = Simulator(Recipe(minutes=10.0, sfreq_hz=50.0))
    clean = simulator.response(0, simulator.recipe.n_samples)[::6]
    assert rank_of_the_right_word(clean, simulator, 1e-6) > 0.999


def test_without_a_response_decoding_is_at_chance():
    ranks = []
    for seed in range(3):
        raw = simulated_raw(Recipe(minutes=8.0, sfreq_hz=50.0, snr=0.0, seed=seed))
        ranks.append(rank_of_the_right_word(raw.get_data()[::6], raw.simulator, 1e-1))
    assert 0.44 < np.mean(ranks) < 0.56  # three times 70 words or so: one in a hundred is a standard error of 0.02


def test_meaning_vectors_can_be_given():
    recipe = Recipe(minutes=0.4, sfreq_hz=100.0, snr=1.0)
    given = {word: np.eye(3)[len(word) % 3] for word in vocabulary()}
    own, usual = Simulator(recipe, given), Simulator(recipe)
    assert own.brain.response.weights_JMD.shape[2] == 3 and usual.brain.response.weights_JMD.shape[2] == 24
    difference = own.response(0, 2400) - usual.response(0, 2400)
    assert np.abs(difference).max() > 0.1 * np.abs(usual.response(0, 2400)).max()
    with pytest.raises(InputError, match="have no meaning vector"):
        Simulator(recipe, {"the": np.ones(3)})


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"minutes": 0.0}, "minutes = 0.0; allowed: a number from 0.01 to 1440"),
        ({"snr": -1.0}, "snr = -1.0"),
        ({"snr": float("nan")}, "snr = nan"),
        ({"seed": 1.5}, "seed = 1.5; allowed: a whole number"),
        ({"subject": 0}, "subject = 0"),
    ],
)
def test_recipes_out_of_limits_are_refused(options, said):
    with pytest.raises(InputError, match=said):
        Recipe(**options)
