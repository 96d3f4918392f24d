"""Flat, saturated and not finite sensors are found and named; sound ones are left in peace."""

import numpy as np

from megxl.signals.quality import QualityReport, inspect


def noise(rows=4, samples=1000):
    return np.random.default_rng(0).normal(size=(rows, samples)) * 1e-12


NAMES = ["A", "B", "C", "D"]


def test_a_sound_signal_has_no_findings():
    assert inspect(noise(), NAMES) == QualityReport()
    assert inspect(noise(), NAMES).notes == []


def test_flat_sensors_are_named_wherever_they_rest():
    signal = noise()
    signal[1], signal[3] = 0.0, 4.2e-9
    report = inspect(signal, NAMES)
    assert report.flat == ["B", "D"]
    assert report.notes == ["2 sensors are flat and become zero: B, D."]
    assert inspect(signal[:2], NAMES[:2]).notes == ["1 sensor is flat and becomes zero: B."]


def test_samples_that_are_not_finite_are_counted_and_the_first_is_known():
    signal = noise()
    signal[2, [17, 40]] = np.inf
    signal[2, 300] = np.nan
    report = inspect(signal, NAMES)
    assert report.nonfinite == {"C": 3}
    assert report.first_nonfinite == {"C": 17}
    assert report.notes == [
        "Sensors with NaN or infinite samples (1; how many samples), set to zero throughout: C (3)."
    ]


def test_a_sensor_that_stays_at_its_limit_is_saturated():
    signal = noise()
    signal[0, 100:150] = signal[0].max() + 1e-12
    report = inspect(signal, NAMES)
    assert list(report.saturated) == ["A"]
    assert report.saturated["A"] == 49 / 1000


def test_a_quiet_sensor_with_few_converter_levels_is_not_saturated():
    levels = np.random.default_rng(1).integers(-3, 4, size=(1, 1000))
    levels[0, 1:][levels[0, 1:] == levels[0, :-1]] = 0  # it touches its extremes often and never stays
    assert inspect(levels * 1e-14, ["A"]).saturated == {}


def test_reports_of_other_sensors_are_joined():
    signal = noise()
    signal[1] = 0
    signal[3, 5] = np.nan
    joined = inspect(signal[:2], NAMES[:2])
    joined.extend(inspect(signal[2:], NAMES[2:]))
    assert joined == inspect(signal, NAMES)
