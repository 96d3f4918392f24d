"""Noise made block by block: its spectra, and that blocks leave no trace."""

import numpy as np

from megxl.corpora.simulation.brain import alpha, pink
from megxl.corpora.simulation.noise import Drift, SpectralNoise
from megxl.corpora.simulation.recipe import Recipe

BLOCK = 1000


def make(powers, blocks: int, **options) -> np.ndarray:
    noise = SpectralNoise(Recipe(sfreq_hz=100.0, **options), powers, BLOCK)
    return np.concatenate([noise.make(index) for index in range(blocks)], axis=1)


def power(noise: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    windowed = noise * np.hanning(noise.shape[1])
    return np.fft.rfftfreq(noise.shape[1], 1 / 100.0), (np.abs(np.fft.rfft(windowed)) ** 2).mean(axis=0)


def test_pink_noise_falls_with_frequency_and_faster_above_20_hz():
    frequency, found = power(make([pink] * 40, 6))
    for low, high, expected in ((0.3, 3, -1.05), (30, 49, -1.65)):
        band = (frequency > low) & (frequency < high)
        slope = np.polyfit(np.log(frequency[band]), np.log(found[band]), 1)[0]
        assert abs(slope - expected) < 0.1


def test_alpha_has_its_peak_at_ten_hertz():
    frequency, found = power(make([alpha] * 40, 6))
    mean = (frequency * found).sum() / found.sum()
    width = np.sqrt(((frequency - mean) ** 2 * found).sum() / found.sum())
    assert abs(mean - 10) < 0.1 and abs(width - 0.8) < 0.1


def test_the_variance_is_one_everywhere():
    # 4000 rows: the variance of each sample is known to 2 %
    noise = make([pink] * 4000, 2)
    around = np.concatenate([noise[:, :40].var(axis=0), noise[:, 480:520].var(axis=0), noise[:, 980:1020].var(axis=0)])
    np.testing.assert_allclose(around, 1.0, atol=0.1)
    assert abs(around.mean() - 1) < 0.02


def test_blocks_go_over_into_each_other():
    noise = make([alpha] * 200, 3)
    steps = np.abs(np.diff(noise, axis=1)).mean(axis=0)
    assert steps[[BLOCK - 1, 2 * BLOCK - 1]].max() < 1.3 * steps.mean()


def test_any_block_can_be_made_first():
    recipe, powers = Recipe(sfreq_hz=100.0), [pink, alpha]
    in_order = make(powers, 4)
    np.testing.assert_array_equal(SpectralNoise(recipe, powers, BLOCK).make(3), in_order[:, 3 * BLOCK :])
    backwards = SpectralNoise(recipe, powers, BLOCK)
    parts = [backwards.make(index) for index in (3, 2, 1, 0)]
    np.testing.assert_array_equal(np.concatenate(parts[::-1], axis=1), in_order)


def test_sessions_and_subjects_have_noise_of_their_own():
    first = make([pink], 8)
    for other in ({"session": 2}, {"subject": 2}, {"seed": 1}):
        assert abs(np.corrcoef(first[0], make([pink], 8, **other)[0])[0, 1]) < 0.3


def test_nothing_lies_below_a_high_pass_edge():
    frequency, found = power(make([pink] * 40, 20, highpass_hz=0.4))
    below = found[(frequency > 0) & (frequency < 0.25)].mean()
    assert below < 0.003 * found[(frequency > 0.5) & (frequency < 0.7)].mean()
    assert np.abs(Drift(Recipe(highpass_hz=0.1), 3).make(0, 1000)).max() == 0.0


def test_drifts_are_slow_and_of_unit_variance():
    recipe = Recipe(sfreq_hz=50.0)
    drift = Drift(recipe, 20)
    whole = drift.make(0, 50 * 2400)
    assert abs(whole.var(axis=1).mean() - 1) < 0.1
    spectrum = np.abs(np.fft.rfft(whole * np.hanning(whole.shape[1]))) ** 2
    slow = np.fft.rfftfreq(whole.shape[1], 1 / 50.0) < 0.082
    assert spectrum[:, slow].sum() > 0.9999 * spectrum.sum()
    np.testing.assert_allclose(drift.make(5000, 5100), whole[:, 5000:5100], atol=1e-6)
