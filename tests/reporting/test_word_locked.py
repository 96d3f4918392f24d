"""What follows words: against a plain average, with responses that were planted, and with none."""

import numpy as np
import pytest

from megxl.errors import InputError
from megxl.reporting import word_locked as room
from megxl.reporting.word_locked import word_locked
from tests.reporting.planted import SENSORS, SFREQ_HZ, noise, planted, response, stored


def test_the_average_is_the_mean_of_the_windows_of_all_words(tmp_path):
    bare = planted(tmp_path / "store", seconds=100.0, size=0.5)
    signal_CT = bare.read().astype(np.float64)
    signal_CT[4, 2000:2040] *= 40.0  # an artefact
    recording = stored(tmp_path / "store", "all", signal_CT, bare.words, bads=(SENSORS.names[3],))
    result = word_locked(recording)
    signal_CT = recording.read().astype(np.float64)
    q25_C1, median_C1, q75_C1 = (np.quantile(signal_CT, q, axis=1, keepdims=True) for q in (0.25, 0.5, 0.75))
    iqr_C1 = q75_C1 - q25_C1
    clipped_CT = np.clip(signal_CT - median_C1, -5 * iqr_C1, 5 * iqr_C1)
    # above 0.5 Hz, with half of the gain there
    n_samples = signal_CT.shape[1]
    hz = np.fft.rfftfreq(n_samples, 1 / SFREQ_HZ)
    gain_F = np.select([hz < 0.3, hz > 0.7], [0, 1], 0.5 - 0.5 * np.cos(np.pi * (hz - 0.3) / 0.4))
    filtered_CT = np.fft.irfft(np.fft.rfft(clipped_CT) * gain_F, n_samples)
    onsets = np.array([round(word["onset_s"] * SFREQ_HZ) for word in recording.words])
    lags = np.arange(-2500, 2500)
    everywhere_CL = np.stack([filtered_CT[:, (onsets + lag) % n_samples].mean(axis=1) for lag in lags], axis=1)
    everywhere_CL[3] = 0
    truth_CK = everywhere_CL[:, 2500 - 25 : 2500 + 51]
    assert len(onsets) == result.n_words and result.times_s[25] == 0 and result.times_s[-1] == 1.0
    np.testing.assert_allclose(result.average_CK, truth_CK, rtol=0, atol=1e-9 * np.abs(truth_CK).max())
    assert not result.good_C[3] and result.good_C.sum() == len(SENSORS) - 1
    gfp_L = np.sqrt(np.mean(np.square(np.delete(everywhere_CL / iqr_C1, 3, axis=0)), axis=0))
    np.testing.assert_allclose(result.gfp_K, gfp_L[2500 - 25 : 2500 + 51], rtol=1e-9)
    far = np.abs(lags) > 5.6 * SFREQ_HZ
    assert result.chance == pytest.approx(gfp_L[far].mean(), rel=1e-9)
    assert result.chance_high == pytest.approx(np.quantile(gfp_L[far], 0.99), rel=1e-9)


def test_sensors_in_blocks_are_the_same_as_all_at_once(tmp_path, monkeypatch):
    recording = planted(tmp_path / "store", seconds=130.0)
    whole = word_locked(recording)
    monkeypatch.setattr(room, "_BLOCK_BYTES", 8 * 9000 * 5)
    monkeypatch.setattr(room, "_READ_S", 7.0)
    parts = word_locked(recording)
    np.testing.assert_allclose(parts.average_CK, whole.average_CK, rtol=1e-9, atol=1e-25)
    assert parts.p == pytest.approx(whole.p, rel=1e-6)


def test_a_planted_response_is_seen_where_it_is(tmp_path):
    result = word_locked(planted(tmp_path / "store"))
    assert result.verdict == "aligned" and result.p < 1e-6 and "(p < 1e-06, " in result.sentence
    assert result.peak_s == pytest.approx(0.15, abs=0.04)
    assert result.gfp_K.max() > 2 * result.chance_high


@pytest.mark.parametrize("late_s", [0.5, -0.5, 1.4])
def test_a_wrong_clock_is_found_and_named(tmp_path, late_s):
    results = [word_locked(planted(tmp_path / "store", seed=seed, late_s=late_s)) for seed in range(3)]
    assert [result.verdict for result in results] == ["shifted"] * 3
    for result in results:
        assert result.delay_s == pytest.approx(late_s, abs=0.2)
        assert f"moved by about {result.delay_s:+.2f} s" in result.sentence


def test_a_clock_that_is_far_off_is_found_by_a_wider_scan(tmp_path):
    recording = planted(tmp_path / "store", late_s=7.0, size=0.3)
    assert word_locked(recording).verdict == "no response"
    wide = word_locked(recording, scan_s=10.0)
    assert wide.verdict == "shifted" and wide.delay_s == pytest.approx(7.0, abs=0.2)


def test_noise_is_rarely_taken_for_a_response(tmp_path):
    verdicts = [
        word_locked(planted(tmp_path / "store", seed=seed, seconds=90.0, size=0.0)).verdict for seed in range(100)
    ]
    # one in a hundred is what p < 0.01 allows: five or more have a chance of 0.3 %
    assert verdicts.count("no response") >= 96


def test_words_in_a_steady_rhythm_are_not_called_shifted_by_a_period(tmp_path):
    # the responses are those of the words one place on; moved by a period all fit but one, so nobody can tell
    onsets_s = np.arange(2, 290, 0.8)
    words = [{"text": "a", "onset_s": float(onset_s)} for onset_s in onsets_s]
    train_T = np.zeros(15000)
    train_T[np.round((onsets_s + 0.8) * SFREQ_HZ).astype(int)] = 1
    evoked_T = np.convolve(train_T, response())[:15000]
    for seed in range(6):
        rng = np.random.default_rng(seed)
        signal_CT = 1e-13 * (noise(rng, 300.0) + 0.5 * np.outer(rng.standard_normal(len(SENSORS)), evoked_T))
        result = word_locked(stored(tmp_path / "store", "a", signal_CT, words))
        assert abs(result.delay_s) <= 0.3 and result.verdict != "shifted"


def test_few_words_are_not_judged(tmp_path):
    recording = planted(tmp_path / "store")
    few = stored(tmp_path / "store", "few", recording.read().astype(float), recording.words[:12])
    result = word_locked(few)
    assert result.verdict == "cannot say" and "12 words are too few" in result.sentence


def test_what_cannot_be_averaged_is_refused_with_a_reason(tmp_path):
    place, recording = tmp_path / "store", planted(tmp_path / "store")
    signal_CT = recording.read().astype(float)
    with pytest.raises(InputError, match="files/none has no words"):
        word_locked(stored(place, "none", signal_CT, []))
    with pytest.raises(InputError, match="files/short lasts 10 s: to know chance for shifts of 2 s takes 90 s"):
        word_locked(stored(place, "short", signal_CT[:, :500], recording.words))
    late = [{"text": "a", "onset_s": 1e4}]
    with pytest.raises(InputError, match="none of its 1 words begins within the recording"):
        word_locked(stored(place, "late", signal_CT, late))


def test_a_flat_sensor_takes_no_part(tmp_path):
    recording = planted(tmp_path / "store")
    signal_CT = recording.read().astype(float)
    signal_CT[5] = 0.0
    result = word_locked(stored(tmp_path / "store", "flat", signal_CT, recording.words))
    assert not result.good_C[5] and np.isfinite(result.gfp_K).all()
