"""The simulated recording, against the physics of a dipole in a sphere and the levels of real ones."""

import numpy as np

from megxl.corpora.simulated import dipole_fields, lead_field, make_recording, pink_noise
from megxl.signals.reading import neuromag306_info
from megxl.signals.sensors import MAGNETOMETER, SensorArray

PLACES = np.array([[0.0, 0.03, 0.05], [0.04, -0.02, 0.03], [-0.05, 0.0, 0.02]])
MOMENTS = 1e-8 * np.array([[1.0, 0.3, -0.2], [0.1, 1.0, 0.7], [-0.4, 0.6, 0.9]])


def field(x: float, y: float, z: float) -> np.ndarray:
    return dipole_fields(np.array([x, y, z]), PLACES, MOMENTS)


def test_the_radial_field_is_that_of_the_primary_current_alone():
    # the currents that flow back through a sphere add nothing to it (Sarvas 1987, section 3)
    place = np.array([0.03, 0.05, 0.10])
    distance = place - PLACES
    primary = 1e-7 * np.cross(MOMENTS, distance) / np.linalg.norm(distance, axis=1, keepdims=True) ** 3
    np.testing.assert_allclose(field(*place) @ place, primary @ place, rtol=1e-10)


def test_the_field_outside_has_neither_sources_nor_curl():
    place, step = np.array([0.03, 0.05, 0.10]), 1e-5
    gradient = np.stack([(field(*(place + e)) - field(*(place - e))) / (2 * step) for e in step * np.eye(3)])
    scale = np.abs(gradient).max()
    for n in range(len(PLACES)):
        jacobian = gradient[:, n]
        assert abs(np.trace(jacobian)) < 1e-6 * scale
        assert np.abs(jacobian - jacobian.T).max() < 1e-6 * scale


def test_a_radial_dipole_is_not_seen():
    radial = dipole_fields(np.array([0.0, 0.0, 0.12]), PLACES, 1e-8 * PLACES / 0.05)
    assert np.abs(radial).max() < 1e-12 * np.abs(field(0, 0, 0.12)).max()


def test_planar_gradiometers_measure_the_slope_of_the_field():
    info = neuromag306_info(250.0)
    gains = lead_field(info, PLACES, MOMENTS)
    loc = info["chs"][0]["loc"]  # MEG0113 or MEG0112: planar
    assert info["chs"][0]["coil_type"] == 3012
    step = 1e-4 * loc[3:6]
    slope = (field(*(loc[:3] + step)) - field(*(loc[:3] - step))) @ loc[9:12] / 2e-4
    np.testing.assert_allclose(gains[0], slope, rtol=0.05)  # over 16.8 mm the slope bends


def test_levels_are_those_of_real_recordings():
    raw = make_recording(20.0)
    magnetometers = SensorArray.from_info(raw.info).kinds_C == MAGNETOMETER
    level = raw.get_data().std(axis=1)
    assert 3e-13 < np.median(level[magnetometers]) < 5e-13
    assert 3e-12 < np.median(level[~magnetometers]) < 2e-11


def test_there_is_a_rhythm_at_the_back_and_a_response_to_tones():
    raw = make_recording(60.0).pick("mag")
    signal, y = raw.get_data(), SensorArray.from_info(raw.info).positions_C3[:, 1]
    power = np.abs(np.fft.rfft(signal)) ** 2
    frequency = np.fft.rfftfreq(signal.shape[1], 1 / 250.0)
    peak = power[:, np.abs(frequency - 10) < 0.5].max(axis=1) / np.median(power[:, np.abs(frequency - 10) < 3], axis=1)
    assert np.median(peak[y < np.quantile(y, 0.3)]) > 20
    starts = (raw.annotations.onset * 250).round().astype(int)
    mean = np.mean([signal[:, start : start + 100] for start in starts], axis=0)
    strength = (mean - mean[:, :5].mean(axis=1, keepdims=True)).std(axis=0)
    assert 0.08 <= strength[:38].argmax() / 250 <= 0.12


def test_pink_noise_falls_with_frequency():
    noise = pink_noise(np.random.default_rng(0), 50, 5000)
    power = (np.abs(np.fft.rfft(noise)) ** 2).mean(axis=0)
    frequency = np.fft.rfftfreq(5000, 1 / 250.0)
    band = (frequency > 1) & (frequency < 100)
    slope = np.polyfit(np.log(frequency[band]), np.log(power[band]), 1)[0]
    assert -1.05 < slope < -0.95
    np.testing.assert_allclose(noise.std(axis=1), 1.0)


def test_the_same_seed_gives_the_same_recording():
    np.testing.assert_array_equal(make_recording(3.0).get_data(), make_recording(3.0).get_data())
    assert not np.array_equal(make_recording(3.0).get_data(), make_recording(3.0, seed=1).get_data())
