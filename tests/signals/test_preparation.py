"""Preparation in blocks equals MNE on the whole recording, and tells what a person should know."""

import datetime
import json
import subprocess
import sys
import warnings
from pathlib import Path

import mne
import numpy as np
import pytest

from megxl.errors import InputError
from megxl.signals.preparation import PREPARATION_VERSION, Preparation, prepare
from megxl.signals.reading import choose_channels, neuromag306_info, open_recording
from megxl.signals.sensors import SensorArray


def make_raw(seconds: float = 40.0, sfreq_hz: float = 200.0, sensors: int = 70, first_samp: int = 0) -> mne.io.RawArray:
    info = mne.pick_info(neuromag306_info(sfreq_hz), np.arange(sensors))
    data = np.random.default_rng(0).normal(size=(sensors, round(seconds * sfreq_hz))) * 1e-12 + 1e-10
    return mne.io.RawArray(data, info, first_samp=first_samp, verbose="ERROR")


def make_eeg() -> mne.io.RawArray:
    names = [
        "Fp1", "Fp2", "F3", "F4", "C3", "C4", "P3", "P4", "O1", "O2", "F7", "F8",
        "T7", "T8", "P7", "P8", "Fz", "Cz", "Pz"
    ]  # fmt: skip
    data = np.random.default_rng(0).normal(size=(len(names), 4000)) * 1e-5
    raw = mne.io.RawArray(data, mne.create_info(names, 100.0, "eeg"), verbose="ERROR")
    positions = mne.channels.make_standard_montage("spherical_1020" if _has("spherical_1020") else "standard_1020")
    return raw.set_montage(positions)


def _has(montage: str) -> bool:
    return montage in mne.channels.get_builtin_montages()


def by_mne(raw: mne.io.BaseRaw, names, low_hz=0.1, high_hz=40.0, sfreq_hz=50.0) -> np.ndarray:
    """The whole recording at once, as the published code prepares it."""
    raw = raw.copy().load_data(verbose="ERROR").filter(low_hz, high_hz, verbose="ERROR")
    raw.resample(sfreq_hz, verbose="ERROR")
    return raw.get_data(picks=list(names), verbose="ERROR")


def assert_same_signal(prepared, expected_CT):
    assert prepared.signal_CT.dtype == np.float32
    np.testing.assert_array_equal(prepared.signal_CT, expected_CT.astype(np.float32))


@pytest.mark.parametrize(
    "file",
    [
        "meg_neuromag306/test_raw.fif",
        "meg_ctf/testdata_ctf_short_discontinuous.ds",
        "meg_ctf/test_ctf_comp_raw.fif",
        "meg_kit/test_old_5s_kit157.sqd",
        "meg_kit/MQKIT_125_2sec.con",
        "meg_other/exported4D_solaris_raw.fif",
    ],
)
def test_real_recordings_come_out_exactly_as_mne_prepares_them_whole(shared, file):
    raw = open_recording(shared / "realdata" / file)
    names = choose_channels(raw)
    prepared = prepare(raw, names)
    assert_same_signal(prepared, by_mne(raw, names))
    assert prepared.sfreq_hz == 50.0
    assert prepared.sensors == SensorArray.from_info(raw.info, names)


def test_another_band_and_rate_equal_the_published_code(shared):
    golden = np.load(shared / "golden" / "data_reference.npz")
    raw = open_recording(shared / "realdata" / "meg_neuromag306" / "test_raw.fif")
    names = choose_channels(raw)
    settings = Preparation(low_hz=0.5, high_hz=30.0, sfreq_hz=100.0, method="mne")
    signal_CT = prepare(raw, names, settings).signal_CT
    assert signal_CT.shape == (306, 2398)
    error_CT = np.abs(signal_CT[::16, ::7] - golden["preprocess/fif/data"])
    assert (error_CT / golden["preprocess/fif/std"][::16, None]).max() < 1e-6


@pytest.mark.slow
@pytest.mark.parametrize(("method", "limit"), [("mne", 1e-6), ("fast", 1e-5)])
@pytest.mark.parametrize("corpus", ["camcan", "armeni"])
def test_the_recording_stage_equals_the_published_code_on_a_miniature_corpus(shared, mini, corpus, method, limit):
    expected = json.loads((shared / "golden" / "data_reference.json").read_text())
    golden = np.load(shared / "golden" / "data_reference.npz")
    for number, stage in enumerate(expected["expected"][f"{corpus}/seg30"]["stageA"][:2]):
        raw = open_recording(mini / stage["raw"])
        prepared = prepare(raw, stage["channel_names"], Preparation(method=method), bads="keep")
        key = f"{corpus}/seg30/stageA/rec{number:02d}"
        std_C = golden[f"{key}/std"]
        assert prepared.signal_CT.shape == tuple(stage["shape"])
        error_CT = np.abs(prepared.signal_CT[::16, ::7] - golden[f"{key}/data"])
        assert (error_CT / std_C[::16, None]).max() < limit
        np.testing.assert_allclose(prepared.signal_CT.std(axis=1, dtype=np.float64), std_C, rtol=1e-6)
        np.testing.assert_allclose(prepared.sensors.positions_C3, golden[f"{key}/sensor_xyzdir"][:, :3], atol=1e-9)
        np.testing.assert_array_equal(prepared.sensors.kinds_C, golden[f"{key}/sensor_types"])


@pytest.mark.parametrize("dated", [False, True])
def test_marked_skips_and_edges_are_filtered_around_as_by_mne(dated):
    raw = make_raw(seconds=80, first_samp=1234)
    plain = by_mne(raw, raw.ch_names)
    if dated:
        raw.set_meas_date(datetime.datetime(2000, 1, 1, tzinfo=datetime.UTC))
    raw.set_annotations(mne.Annotations([30, 60, 10], [5, 0, 5], ["BAD_ACQ_SKIP", "EDGE boundary", "BAD_loud"]))
    expected = by_mne(raw, raw.ch_names)
    assert not np.array_equal(expected, plain)
    assert_same_signal(prepare(raw, raw.ch_names), expected)


def test_a_split_recording_is_prepared_as_the_one_that_it_is(tmp_path):
    raw = make_raw(seconds=61.237, sfreq_hz=250.0)
    raw.save(tmp_path / "whole_raw.fif", verbose="ERROR")
    raw.save(tmp_path / "parts_raw.fif", split_size="2MB", verbose="ERROR")
    whole, parts = open_recording(tmp_path / "whole_raw.fif"), open_recording(tmp_path / "parts_raw.fif")
    assert len(parts.filenames) > 2
    np.testing.assert_array_equal(prepare(parts, raw.ch_names).signal_CT, prepare(whole, raw.ch_names).signal_CT)


def test_the_recording_is_left_as_it_was(tmp_path):
    make_raw().save(tmp_path / "a_raw.fif", verbose="ERROR")
    raw = open_recording(tmp_path / "a_raw.fif")
    raw.info["bads"] = [raw.ch_names[3]]
    before = raw.copy()
    prepare(raw, raw.ch_names)
    assert not raw.preload
    assert raw.info["sfreq"] == 200.0
    assert (raw.info["bads"], raw.annotations) == (before.info["bads"], before.annotations)
    loaded = make_raw()
    data = loaded.get_data().copy()
    prepare(loaded, loaded.ch_names)
    np.testing.assert_array_equal(loaded.get_data(), data)


def test_rows_come_in_the_order_asked_for():
    raw = make_raw(sensors=40)
    names = [raw.ch_names[i] for i in (33, 2, 39, 0)]
    prepared = prepare(raw, names)
    assert prepared.sensors.names == tuple(names)
    assert_same_signal(prepared, by_mne(raw, raw.ch_names)[[33, 2, 39, 0]])


def test_drift_and_fast_waves_go_and_the_band_stays():
    raw = make_raw(seconds=200, sensors=4)
    time = raw.times
    raw._data[:] = [np.sin(2 * np.pi * f * time) * 1e-12 for f in (10.0, 0.01, 60.0, 35.0)]
    middle_CT = prepare(raw, raw.ch_names).signal_CT[:, 2000:-2000]
    rms_C = middle_CT.std(axis=1) / (1e-12 / np.sqrt(2))
    assert rms_C[0] == pytest.approx(1, abs=0.01)
    assert (rms_C[1:] < 0.02).all()  # 35 Hz: above half of the new rate


def test_a_rate_that_is_the_target_is_not_resampled():
    raw = make_raw(sfreq_hz=50.0 + 1e-8, sensors=4)
    prepared = prepare(raw, raw.ch_names)
    expected = raw.copy().filter(0.1, None, verbose="ERROR").get_data()
    assert_same_signal(prepared, expected)
    assert any("No low-pass at 40 Hz" in note for note in prepared.notes)


def test_a_rate_below_the_target_is_refused():
    raw = make_raw(sfreq_hz=49.0, sensors=4)
    with pytest.raises(InputError, match=r"49 samples a second; allowed: at least 50"):
        prepare(raw, raw.ch_names)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_samples_that_are_not_finite_are_refused_with_channel_and_time(value):
    raw = make_raw()
    raw._data[45, [500, 700]] = value
    with pytest.raises(InputError, match=rf"'{raw.ch_names[45]}' holds 2 samples .* first at 2\.500 s.*--exclude"):
        prepare(raw, raw.ch_names)


def test_nan_in_a_sensor_that_is_marked_bad_is_counted_and_changes_no_other():
    raw = make_eeg()
    names = raw.ch_names
    raw.info["bads"] = ["C3"]
    clean = {how: prepare(raw, names, bads=how) for how in ("mask", "interpolate")}
    row = names.index("C3")
    raw._data[row, [7, 900]] = [np.nan, np.inf]
    masked, mended = prepare(raw, names, bads="mask"), prepare(raw, names, bads="interpolate")
    assert not masked.signal_CT[row].any()
    np.testing.assert_array_equal(
        np.delete(masked.signal_CT, row, axis=0), np.delete(clean["mask"].signal_CT, row, axis=0)
    )
    np.testing.assert_array_equal(mended.signal_CT, clean["interpolate"].signal_CT)
    for prepared in (masked, mended):
        assert any("NaN or infinite" in note and "C3 (2)" in note for note in prepared.notes)
    with pytest.raises(InputError, match="'C3' holds 2 samples"):
        prepare(raw, names, bads="keep")


@pytest.mark.parametrize("seconds", [40, 120])  # by both methods
def test_a_sensor_that_is_not_finite_can_be_masked(seconds):
    raw = make_raw(seconds=seconds, sfreq_hz=250.0, sensors=6)
    names = raw.ch_names
    clean_CT = prepare(raw, names).signal_CT
    raw.info["bads"] = [names[4]]
    raw._data[1, [100, 200]] = np.nan
    raw._data[4, 5] = -np.inf
    masked = prepare(raw, names, nonfinite="mask")
    assert masked.bads == (names[1], names[4])
    assert not masked.signal_CT[[1, 4]].any()
    good = [0, 2, 3, 5]
    np.testing.assert_array_equal(masked.signal_CT[good], clean_CT[good])
    assert masked.quality.nonfinite == {names[1]: 2, names[4]: 1}
    assert any(f"{names[1]} (2), {names[4]} (1)" in note for note in masked.notes)
    assert prepare(raw, names, nonfinite="mask", bads="keep").bads == (names[1], names[4])
    with pytest.raises(InputError, match=rf"'{names[1]}' holds 2 samples .* first at 0\.400 s"):
        prepare(raw, names)


def test_interpolation_takes_nothing_from_a_sensor_that_is_not_finite():
    raw = make_eeg()
    raw.info["bads"] = ["C3", "C4"]
    expected_CT = prepare(raw, raw.ch_names, bads="interpolate").signal_CT
    raw.info["bads"] = ["C3"]
    raw._data[raw.ch_names.index("C4"), 77] = np.nan
    mended = prepare(raw, raw.ch_names, bads="interpolate", nonfinite="mask")
    np.testing.assert_array_equal(mended.signal_CT, expected_CT)
    assert mended.bads == ()


@pytest.mark.parametrize("seconds", [40, 120])
def test_numbers_that_float32_cannot_hold_are_refused(seconds):
    raw = make_raw(seconds=seconds, sfreq_hz=250.0, sensors=4)
    raw._data[2] *= 1e60
    with pytest.raises(InputError, match=rf"'{raw.ch_names[2]}' holds numbers too large .*--exclude"):
        prepare(raw, raw.ch_names)


def test_a_recording_that_was_prepared_before_is_taken_as_it_is(tmp_path):
    once = make_raw(seconds=60, sensors=5)
    once.filter(0.1, 40.0, verbose="ERROR").resample(50.0, verbose="ERROR")
    once.save(tmp_path / "once_raw.fif", fmt="double", verbose="ERROR")
    raw = open_recording(tmp_path / "once_raw.fif")
    prepared = prepare(raw, raw.ch_names)
    np.testing.assert_array_equal(prepared.signal_CT, once.get_data().astype(np.float32))
    assert any("Taken as it is: by its header" in note for note in prepared.notes)
    assert prepared.provenance["preparation"]["method"] == "as it is"
    once._data[3, 7] = np.nan
    with pytest.raises(InputError, match="holds 1 samples"):
        prepare(once, once.ch_names)
    masked = prepare(once, once.ch_names, nonfinite="mask")
    assert masked.bads == (once.ch_names[3],)
    assert not masked.signal_CT[3].any()


@pytest.mark.parametrize(("sfreq_hz", "highpass", "lowpass"), [(50.2, 0.1, 25.0), (50.0, 0.0, 25.0), (50.0, 0.1, 41.0)])
def test_what_was_prepared_otherwise_is_prepared(sfreq_hz, highpass, lowpass):
    raw = make_raw(seconds=40, sfreq_hz=sfreq_hz, sensors=5)
    with raw.info._unlock():
        raw.info["highpass"], raw.info["lowpass"] = highpass, lowpass
    assert not any("as it is" in note for note in prepare(raw, raw.ch_names).notes)


def test_what_is_found_in_the_recording_comes_with_it():
    raw = make_raw(seconds=24, sensors=6)
    raw._data[3] = raw._data[2]
    raw._data[5] *= 1e15
    report = prepare(raw, raw.ch_names).quality
    assert report.duplicates == [raw.ch_names[2:4]]
    assert list(report.unit_suspects) == [raw.ch_names[5]]
    assert report.too_short_s == 24.0


def test_what_mne_warns_of_names_no_folder(monkeypatch):
    raw = make_raw(sensors=4)
    monkeypatch.setattr(raw, "get_data", lambda *a, get_data=raw.get_data, **k: warn_and(get_data, *a, **k))
    notes = prepare(raw, raw.ch_names).notes
    assert notes == ["MNE, while filtering: see empty_room.fif"]


def warn_and(function, *args, **options):
    warnings.warn("see /mnt/Zaphod B/erm/empty_room.fif", RuntimeWarning, stacklevel=1)
    return function(*args, **options)


def test_a_short_recording_is_noted_once():
    raw = make_raw(seconds=24)
    assert prepare(raw, raw.ch_names).notes == [
        "The recording has 24.0 s, less than the 33 s of the high-pass filter: its ends are distorted; "
        "longer recordings are better."
    ]
    assert prepare(make_raw(seconds=40), raw.ch_names).notes == []


def test_of_stretches_that_are_too_short_for_the_filter_the_shortest_is_noted():
    raw = make_raw(seconds=80, sensors=4)
    raw.set_annotations(mne.Annotations([12.5, 60], [1.5, 1], "BAD_ACQ_SKIP"))  # leaves 12.5, 46 and 19 s
    notes = prepare(raw, raw.ch_names).notes
    assert [note for note in notes if "filter" in note] == [
        "The shortest stretch between skips has 12.5 s, less than the 33 s of the high-pass filter: "
        "its ends are distorted; longer recordings are better."
    ]


def test_seconds_that_are_marked_bad_are_noted_and_kept():
    raw = make_raw(sensors=4)
    plain_CT = prepare(raw, raw.ch_names).signal_CT
    raw.set_annotations(mne.Annotations([5, 8, 30], [4, 3, 2], ["BAD_loud", "bad muscle", "word"]))
    prepared = prepare(raw, raw.ch_names)
    assert prepared.notes == ["6.0 s are marked bad; they were kept like the rest."]
    np.testing.assert_array_equal(prepared.signal_CT, plain_CT)


def test_flat_and_saturated_sensors_are_noted_but_kept():
    raw = make_raw()
    raw._data[5] = 3e-9
    raw._data[50, 1000:1200] = 1e-9
    prepared = prepare(raw, raw.ch_names)
    assert f"1 sensor is flat and becomes zero: {raw.ch_names[5]}." in prepared.notes
    assert any("look saturated (1" in note and raw.ch_names[50] in note for note in prepared.notes)
    assert prepared.signal_CT.shape[0] == 70


def test_bad_sensors_are_listed_kept_or_interpolated():
    raw = make_eeg()
    raw.info["bads"] = ["C3", "O2"]
    as_recorded = Preparation(reference="recorded")
    masked, kept, mended = (
        prepare(raw, raw.ch_names, as_recorded, bads=how) for how in ("mask", "keep", "interpolate")
    )
    assert (masked.bads, kept.bads, mended.bads) == (("C3", "O2"), (), ())
    np.testing.assert_array_equal(masked.signal_CT, kept.signal_CT)
    bad_C = np.isin(raw.ch_names, ["C3", "O2"])
    np.testing.assert_array_equal(mended.signal_CT[~bad_C], kept.signal_CT[~bad_C])
    for prepared, verb in ((masked, "take no part"), (kept, "treated as good"), (mended, "interpolated")):
        assert any(
            f"marked bad (2), which {verb}" in note.replace("are ", "").replace("were ", "") for note in prepared.notes
        )
        assert any("C3, O2" in note for note in prepared.notes)


def test_interpolation_after_preparation_equals_interpolation_before_it():
    raw = make_eeg()
    raw.info["bads"] = ["C3", "O2"]
    mended_CT = prepare(raw, raw.ch_names, Preparation(reference="recorded"), bads="interpolate").signal_CT
    expected_CT = by_mne(raw.copy().interpolate_bads(verbose="ERROR"), raw.ch_names)
    np.testing.assert_allclose(mended_CT, expected_CT, rtol=0, atol=1e-6 * expected_CT.std())
    assert not np.allclose(mended_CT, by_mne(raw, raw.ch_names), rtol=0, atol=0.1 * expected_CT.std())


def test_meg_sensors_are_interpolated_as_by_mne(shared):
    raw = open_recording(shared / "realdata" / "meg_neuromag306" / "test_raw.fif")
    names = choose_channels(raw, "mag")
    raw.info["bads"] = [names[7]]
    mended_CT = prepare(raw, names, bads="interpolate").signal_CT
    whole = raw.copy().pick(names).load_data(verbose="ERROR").interpolate_bads(verbose="ERROR")
    expected_CT = by_mne(whole, names)
    np.testing.assert_allclose(mended_CT, expected_CT, rtol=0, atol=1e-5 * expected_CT.std())


def test_interpolation_that_is_impossible_is_refused():
    raw = make_raw(sensors=40)  # no digitised head: MNE cannot place its sphere
    raw.info["bads"] = [raw.ch_names[1]]
    with pytest.raises(
        InputError, match=rf"1 bad sensor \(first: '{raw.ch_names[1]}'\) cannot be interpolated .*--exclude"
    ):
        prepare(raw, raw.ch_names, bads="interpolate")
    eeg = make_eeg()
    eeg.info["bads"] = list(eeg.ch_names)
    with pytest.raises(InputError, match="All 19 sensors are marked bad"):
        prepare(eeg, eeg.ch_names, bads="interpolate")


def test_bad_options_are_refused():
    raw = make_raw(seconds=1, sensors=4)
    with pytest.raises(InputError, match="allowed: mask, interpolate, keep"):
        prepare(raw, raw.ch_names, bads="drop")  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputError, match="allowed: refuse, mask"):
        prepare(raw, raw.ch_names, nonfinite="drop")  # pyright: ignore[reportArgumentType]
    for options in ({"low_hz": 0.0}, {"low_hz": 50.0}, {"sfreq_hz": 0.1}, {"method": "scipy"}):
        with pytest.raises(InputError, match="allowed"):
            Preparation(**options)
    with pytest.raises(InputError, match="not in the recording"):
        prepare(raw, ["MEG 9999"])


def test_geometry_is_checked_before_anything_is_read():
    raw = make_raw(seconds=1, sensors=4)
    raw.info["chs"][2]["loc"][:3] = np.nan
    raw.get_data = None  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(InputError, match="1 of 4 sensors has no position"):
        prepare(raw, raw.ch_names)


def test_provenance_tells_what_was_done_and_fits_into_json():
    raw = make_raw(sensors=4)
    told = json.loads(json.dumps(prepare(raw, raw.ch_names, bads="keep").provenance))
    assert told["preparation"] == {
        "low_hz": 0.1,
        "high_hz": 40.0,
        "sfreq_hz": 50.0,
        "method": "mne",
        "why_not_fast": "it is shorter than twice the filter",
        "bads": "keep",
        "nonfinite": "refuse",
        "version": PREPARATION_VERSION,
        "mne": mne.__version__,
    }
    assert told["sfreq_hz"] == 200.0
    assert "notes" not in told  # they stand with the others in `notes`


def test_preparing_prints_nothing(shared):
    path = Path(shared / "realdata" / "meg_ctf" / "test_ctf_comp_raw.fif")
    code = (
        "from megxl.signals.reading import *; from megxl.signals.preparation import prepare\n"
        f"raw = open_recording({str(path)!r}); raw.info['bads'] = raw.ch_names[40:41]\n"
        "try: prepare(raw, choose_channels(raw), bads='interpolate')\n"
        "except ValueError: pass\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")


@pytest.mark.parametrize("where", [slice(0, 1), slice(-1, None), slice(8000, None), slice(None)])
def test_infinite_samples_that_are_masked_are_no_warning_of_the_filter(where):
    raw = make_raw(seconds=80, sfreq_hz=1000.0, sensors=4)
    raw._data[1, where] = np.inf
    prepared = prepare(raw, raw.ch_names, nonfinite="mask")
    assert prepared.provenance["preparation"]["method"] == "fast"
    assert prepared.bads == (raw.ch_names[1],)
    assert not [note for note in prepared.notes if note.startswith("MNE")]
    assert not prepared.signal_CT[1].any()
    assert np.isfinite(prepared.signal_CT).all()
