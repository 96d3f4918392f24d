"""Faults that are planted are found and named, sound sensors are left in peace, wherever the pieces end."""

import json
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from megxl.errors import InputError
from megxl.signals.quality import TOO_SMALL, Inspector, QualityReport, inspect

SFREQ_HZ = 100.0
NAMES = ["A", "B", "C", "D"]


def noise(rows=4, samples=1000):
    return np.random.default_rng(0).normal(size=(rows, samples)) * 1e-12


def look(signal, names=NAMES, kinds=None):
    return inspect(signal, names, SFREQ_HZ, kinds)


def test_a_sound_signal_has_no_findings():
    assert look(noise(), kinds=[1] * 4) == QualityReport()
    assert look(noise()).notes == []


def test_flat_sensors_are_named_wherever_they_rest():
    signal = noise()
    signal[1], signal[3] = 0.0, 4.2e-9
    report = look(signal)
    assert report.flat == ["B", "D"]
    assert report.notes == ["2 sensors are flat and become zero: B, D."]
    assert look(signal[:2], NAMES[:2]).notes == ["1 sensor is flat and becomes zero: B."]


def test_samples_that_are_not_finite_are_counted_and_the_first_is_known():
    signal = noise()
    signal[2, [17, 40]] = np.inf
    signal[2, 300] = np.nan
    report = look(signal)
    assert report.nonfinite == {"C": 3}
    assert report.first_nonfinite == {"C": 17}
    assert report.notes == [
        "Sensors with NaN or infinite samples (1; how many samples), set to zero throughout: C (3)."
    ]


def test_infinities_of_both_signs_do_not_hide_each_other():
    signal = noise()
    signal[0, 250:252] = np.inf, -np.inf
    assert look(signal).nonfinite == {"A": 2}


def test_a_sensor_that_stays_at_its_limit_is_saturated():
    signal = noise()
    signal[0, 100:150] = signal[0].max() + 1e-12
    report = look(signal)
    assert list(report.saturated) == ["A"]
    assert report.saturated["A"] == 49 / 1000


def test_both_limits_count_for_saturation_and_older_ones_do_not():
    signal = noise(1)
    signal[0, 10:60] = 1e-11  # a limit until a higher one comes
    signal[0, 300:311] = 2e-11
    signal[0, 500:511] = -2e-11
    assert look(signal, ["A"]).saturated == {"A": 20 / 1000}


def test_a_quiet_sensor_with_few_converter_levels_is_not_saturated():
    levels = np.random.default_rng(1).integers(-3, 4, size=(1, 1000))
    levels[0, 1:][levels[0, 1:] == levels[0, :-1]] = 0  # it touches its extremes often and never stays
    assert look(levels * 1e-14, ["A"]).saturated == {}


def test_jumps_are_counted_by_seconds():
    signal = noise()
    signal[1, 450:] += 1e-9  # a flux jump that stays
    signal[3, [250, 720]] -= 1e-9  # two spikes
    report = look(signal)
    assert report.jumpy == {"B": 1, "D": 2}
    assert "Sensors that jump (2; in how many seconds): B (1), D (2)." in report.notes


def test_a_step_between_two_seconds_is_a_jump():
    signal = noise()
    signal[0, 400:] += 1e-9
    assert look(signal).jumpy == {"A": 1}


def test_three_jumps_in_every_second_are_seen_by_comparison_with_other_sensors():
    signal = noise(9, 6000)
    for start in (100, 400, 700):
        signal[8, start::1000] += 1e-9
    signal[7] *= 100  # noise without a jump, however large its steps are
    report = inspect(signal, list("ABCDEFGHI"), 1000.0, [1] * 9)
    assert (report.jumpy, report.jumpy_at_start) == ({"I": 5}, ["I"])
    assert inspect(signal, list("ABCDEFGHI"), 1000.0).jumpy == {"I": 5}


def test_a_jump_in_the_first_second_is_said_apart():
    signal = noise()
    signal[2, 1:] += 1e-9
    report = look(signal)
    assert (report.jumpy, report.jumpy_at_start) == ({}, ["C"])
    assert report.notes == ["Sensors that jump in the first second (1): C."]


def test_seconds_at_rest_are_counted_but_not_those_in_which_all_rest():
    signal = noise(4, 1050)
    signal[0, 195:405] = 3e-12  # two whole seconds
    signal[:, 600:800] = 0.0  # the acquisition paused
    signal[1, 1000:] = 0.0  # the last second is broken off
    report = look(signal)
    assert report.flat_s == {"A": 2}
    assert "Sensors that rest for whole seconds (1; how many): A (2)." in report.notes
    assert look(signal[:1], ["A"]).flat_s == {"A": 4}  # a sensor alone


def test_a_sensor_at_rest_for_half_of_the_recording_is_not_called_quiet():
    signal = noise(9)
    signal[0, 400:] = 0.0
    report = look(signal, list("ABCDEFGHI"), [1] * 9)
    assert (report.flat_s, report.quiet, report.unit_suspects) == ({"A": 6}, {}, {})


def test_sensors_are_compared_with_their_like():
    names = list("ABCDEFGHIJKLMNOPQRST")
    signal = noise(20)
    signal[10:] *= 50  # of another kind
    signal[2] *= 12
    signal[13] /= 12
    report = look(signal, names, [1] * 10 + [0] * 10)
    assert (list(report.noisy), list(report.quiet)) == (["C"], ["N"])
    assert report.noisy["C"] == pytest.approx(12, rel=0.15)
    assert report.quiet["N"] == pytest.approx(1 / 12, rel=0.15)
    for without in (look(signal, names), look(signal[:7], names[:7], [1] * 7), look(signal[:, :150], names, [1] * 20)):
        assert (without.noisy, without.quiet) == ({}, {})  # kinds, peers or seconds are missing


def test_a_real_sensor_that_was_clipped_is_saturated(shared):
    from megxl.signals.reading import choose_channels, open_recording

    raw = open_recording(shared / "realdata" / "meg_ctf" / "test_ctf_raw.fif")
    names = choose_channels(raw)
    signal = raw.get_data(picks=names)
    signal[5] = np.clip(signal[5], *np.quantile(signal[5], [0.01, 0.99]))
    assert list(inspect(signal, names, raw.info["sfreq"]).saturated) == [names[5]]


def test_waves_bursts_and_drifts_are_no_jumps():
    time_s = np.arange(3000) / SFREQ_HZ
    signal = noise(3, 3000)
    signal[0] += 5e-11 * np.sin(2 * np.pi * 2 * time_s)
    signal[1, 1000:1200] *= 8
    signal[2] += 1e-9 * time_s
    assert look(signal, ["A", "B", "C"]).jumpy == {}


@pytest.mark.parametrize(
    ("kind", "si", "factor", "unit"),
    [
        (0, 5e-12, 1e13, "fT or fT/cm"),
        (0, 5e-12, 1e12, "pT or pT/cm"),
        (1, 5e-13, 1e15, "fT"),
        (1, 5e-13, 1e12, "pT"),
        (2, 1e-5, 1e6, "uV"),
        (2, 1e-5, 1e3, "mV"),
        (1, 5e-13, 1e-9, TOO_SMALL),
    ],
)
def test_numbers_that_are_no_si_units_are_found_whatever_their_offset(kind, si, factor, unit):
    signal = np.random.default_rng(0).normal(size=(2, 1000)) * si + 20 * si
    signal[1] *= factor
    report = look(signal, ["A", "B"], [kind] * 2)
    assert report.unit_suspects == {"B": unit}
    assert any("(1): B." in note for note in report.notes)
    assert look(signal, ["A", "B"]).unit_suspects == {}  # what the sensors measure is not known


def test_sensors_with_the_same_samples_are_found_together():
    signal = noise(5)
    signal[3], signal[4] = signal[0], signal[0]
    signal[2] = signal[1]
    signal[2, np.argmax(signal[2])] *= 1.001  # nearly the same is not the same
    report = look(signal, [*NAMES, "E"])
    assert report.duplicates == [["A", "D", "E"]]
    assert "Sensors that hold the same samples: A, D, E." in report.notes


def test_flat_sensors_are_no_duplicates():
    assert look(np.zeros((2, 500)), ["A", "B"]).duplicates == []


# what is odd about real recordings: their own lists of bad sensors, or a look at them, agree
REAL_FINDINGS = {
    "meg_neuromag306/test_raw.fif": {"noisy": ["MEG 2443"]},
    "meg_neuromag306/test_move_anon_erm_raw.fif": {},
    "meg_neuromag306/triux_bmlhus_erm_raw_sss.fif": {},
    "meg_ctf/testdata_ctf_short_discontinuous.ds": {},
    "meg_ctf/somMDYO-18av.ds": {},
    "meg_ctf/test_ctf_raw.fif": {},
    "meg_kit/test_old_5s_kit157.sqd": {},
    "meg_kit/010409_Motor_task_coregist-export_tiny_1s.con": {"flat": ["MEG 099"]},
    "meg_kit/MQKIT_125_2sec.con": {},
    "meg_other/exported4D_solaris_raw.fif": {},
}


@pytest.mark.parametrize("file", REAL_FINDINGS)
def test_real_sensors_are_left_in_peace(shared, file):
    from megxl.signals.reading import choose_channels, open_recording
    from megxl.signals.sensors import SensorArray

    raw = open_recording(shared / "realdata" / file, allow_maxshield=True)
    names = choose_channels(raw)
    kinds = SensorArray.from_info(raw.info, names).kinds_C
    report = inspect(raw.get_data(picks=names), names, raw.info["sfreq"], kinds)
    assert {key: list(value) for key, value in report.to_json().items() if value} == REAL_FINDINGS[file]


def faulty() -> np.ndarray:
    signal = noise(8, 950)
    signal[0] = 3.0
    signal[1, [3, 499, 500, 949]] = np.nan, np.inf, -np.inf, np.nan
    signal[2, 10:60], signal[2, 90:130] = signal[2].max() * 2, signal[2].max() * 3  # limits, until the next one
    signal[3, 500:] += 1e-9
    signal[4] *= 1e15
    signal[6] = signal[5]
    signal[7] = np.round(signal[7] * 1e12) * -0.0
    return signal


@given(st.lists(st.integers(0, 950), max_size=12))
def test_where_pieces_end_changes_nothing(cuts):
    signal, names = faulty(), list("ABCDEFGH")
    edges = [0, *sorted(cuts), 950]
    inspector = Inspector(names, SFREQ_HZ, [1] * 8)
    for start, stop in pairwise(edges):
        inspector.update(signal[:, start:stop])
    assert inspector.report() == inspect(signal, names, SFREQ_HZ, [1] * 8)


def test_the_faults_that_the_pieces_were_tried_with_are_found():
    report = look(faulty(), list("ABCDEFGH"), [1] * 8)
    assert (report.flat, report.nonfinite, report.first_nonfinite) == (["A", "H"], {"B": 4}, {"B": 3})
    assert (list(report.saturated), list(report.jumpy)) == (["C"], ["D"])
    assert (report.unit_suspects, report.duplicates) == ({"E": "fT"}, [["F", "G"]])


def test_some_sensors_after_the_others_are_as_all_at_once():
    signal, names = faulty(), list("ABCDEFGH")
    inspector = Inspector(names, SFREQ_HZ, [1] * 8)
    for block in (slice(5, 8), slice(0, 5)):
        part = inspector.of(names[block])
        part.update(signal[block, :333])
        part.update(signal[block, 333:])
        part.report()
    assert inspector.report() == inspect(signal, names, SFREQ_HZ, [1] * 8)


def test_a_report_goes_through_json():
    report = look(faulty(), list("ABCDEFGH"), [1] * 8)
    report.too_short_s = 9.5
    assert QualityReport.from_json(json.loads(json.dumps(report.to_json()))) == report
    with pytest.raises(InputError, match="no field 'smell'"):
        QualityReport.from_json({"smell": 1})
