"""Electrodes against their average: equals referring the recording itself, in float64, before filter and resampling."""

import mne
import numpy as np
import pytest

from megxl.errors import InputError
from megxl.signals import reference
from megxl.signals.preparation import Preparation, prepare
from megxl.signals.reading import choose_channels, open_recording
from megxl.signals.sensors import SensorArray
from tests.signals.test_preparation import by_mne

NAMES = ["Fp1", "Fp2", "F3", "F4", "C3", "C4", "P3", "P4", "O1", "O2", "Fz", "Cz", "Pz"]


def make_eeg(seconds: float = 90.0) -> mne.io.RawArray:
    """Electrodes that share most of what they see, as those with a common reference do."""
    rng = np.random.default_rng(3)
    samples = round(500 * seconds)
    data = 2e-5 * rng.normal(size=samples) + 5e-6 * rng.normal(size=(len(NAMES), samples)) + 3e-4
    raw = mne.io.RawArray(data, mne.create_info(NAMES, 500.0, "eeg"), verbose="ERROR")
    return raw.set_montage("standard_1005", verbose="ERROR")


def referred(raw: mne.io.BaseRaw, good) -> mne.io.RawArray:
    """The recording less the mean of some electrodes, sample by sample."""
    data = raw.get_data()
    data = data - data[[raw.ch_names.index(name) for name in good]].mean(axis=0)
    return mne.io.RawArray(data, raw.info.copy(), verbose="ERROR")


def assert_near(signal_CT, expected_CT, method="fast"):
    # white noise at the ends is where the fast method errs most; a wrong average errs by a hundredth and more
    share = {"fast": 1e-4, "mne": 1e-5}[method]
    np.testing.assert_allclose(signal_CT, expected_CT, rtol=0, atol=share * expected_CT.std())


def told(prepared):
    return prepared.provenance["preparation"]["reference"]


@pytest.mark.parametrize("method", ["mne", "fast"])
def test_the_average_of_all_equals_that_of_mne_before_filter_and_resampling(method, monkeypatch):
    monkeypatch.setattr(reference, "_AT_ONCE", 1000)
    raw = make_eeg()
    expected_CT = by_mne(raw.copy().set_eeg_reference("average", verbose="ERROR"), NAMES)
    prepared = prepare(raw, NAMES, Preparation(method=method))
    assert prepared.provenance["preparation"]["method"] == method
    assert_near(prepared.signal_CT, expected_CT, method)
    assert told(prepared) == "average" and prepared.notes == [
        "Electrodes are referred to the average of the good ones: 13 of 13."
    ]
    # most of what the electrodes share is gone
    assert prepared.signal_CT.std() < 0.5 * prepare(raw, NAMES, Preparation(reference="recorded")).signal_CT.std()


def test_electrodes_keep_their_reference_where_that_is_asked_for():
    raw = make_eeg(70)
    prepared = prepare(raw, NAMES, Preparation(reference="recorded", method="mne"))
    np.testing.assert_array_equal(prepared.signal_CT, by_mne(raw, NAMES).astype(np.float32))
    assert told(prepared) == "recorded"
    assert prepared.notes == ["Electrodes keep the reference of the recording."]
    with pytest.raises(InputError, match=r"reference = 'mastoids'; allowed: average, recorded"):
        Preparation(reference="mastoids")  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("method", ["mne", "fast"])
def test_bad_electrodes_take_no_part_in_the_average_and_are_referred_to_it(method):
    raw = make_eeg()
    raw._data[2] *= 50
    raw.info["bads"] = ["F3"]
    good = [name for name in NAMES if name != "F3"]
    masked = prepare(raw, NAMES, Preparation(method=method))
    assert masked.provenance["preparation"]["method"] == method
    assert_near(masked.signal_CT, by_mne(referred(raw, good), NAMES), method)
    assert masked.bads == ("F3",)
    kept = prepare(raw, NAMES, Preparation(method=method), bads="keep")
    assert_near(kept.signal_CT, by_mne(referred(raw, NAMES), NAMES), method)
    mended = prepare(raw, NAMES, Preparation(method=method), bads="interpolate")
    before = referred(raw, good).interpolate_bads(verbose="ERROR")
    assert_near(mended.signal_CT, by_mne(before, NAMES), method)


@pytest.mark.parametrize("method", ["mne", "fast"])
def test_electrodes_that_are_left_out_or_broken_take_no_part_and_stay_silent(method):
    raw = make_eeg()
    raw._data[4, 500:600] = np.nan  # C3
    raw._data[5] = 1e-3  # C4: dead
    chosen = [name for name in NAMES if name != "Fp1"]
    prepared = prepare(raw, chosen, Preparation(method=method), nonfinite="mask")
    assert prepared.provenance["preparation"]["method"] == method
    good = [name for name in chosen if name not in ("C3", "C4")]
    raw._data[4] = 0.0
    expected_CT = by_mne(referred(raw, good), chosen)
    expected_CT[[chosen.index("C3"), chosen.index("C4")]] = 0.0
    assert_near(prepared.signal_CT, expected_CT, method)
    assert np.abs(prepared.signal_CT[[chosen.index("C3"), chosen.index("C4")]]).max() < 1e-12
    assert prepared.bads == ("C3",)
    assert "Flat electrodes take no part in the average: C4." in prepared.notes


def test_a_reference_that_is_in_the_file_as_zeros_becomes_real_data():
    raw = make_eeg()
    raw._data[NAMES.index("Cz")] = 0.0
    prepared = prepare(raw, NAMES)
    assert_near(prepared.signal_CT, by_mne(referred(raw, NAMES), NAMES))
    assert prepared.signal_CT[NAMES.index("Cz")].std() > 1e-6
    assert "The reference of the recording is in it as zeros; the average gives it a signal: Cz." in prepared.notes
    assert prepared.bads == ()


def test_several_electrodes_that_are_zero_are_broken_ones():
    raw = make_eeg()
    raw._data[:2] = 0.0
    prepared = prepare(raw, NAMES)
    assert np.abs(prepared.signal_CT[:2]).max() == 0.0
    assert_near(prepared.signal_CT[2:], by_mne(referred(raw, NAMES[2:]), NAMES[2:]))
    assert "Flat electrodes take no part in the average: Fp1, Fp2." in prepared.notes


def test_there_is_no_average_of_one():
    raw = make_eeg()
    raw.info["bads"] = ["Fp1"]
    prepared = prepare(raw, NAMES[:2], Preparation(method="mne"))
    np.testing.assert_array_equal(prepared.signal_CT, by_mne(raw, NAMES[:2]).astype(np.float32))
    assert told(prepared) == "recorded"
    assert any("too few are good for an average: 1 of 2" in note for note in prepared.notes)


def test_meg_beside_electrodes_is_left_alone_and_all_are_placed_in_the_device(shared):
    raw = open_recording(shared / "realdata" / "meg_neuromag306" / "test_raw.fif")
    both, meg, eeg = (prepare(raw, choose_channels(raw, kinds)) for kinds in ("meg+eeg", "meg", "eeg"))
    electrodes_C = both.sensors.kinds_C == 2
    assert np.bincount(both.sensors.kinds_C).tolist() == [204, 102, 60]
    np.testing.assert_array_equal(both.signal_CT[~electrodes_C], meg.signal_CT)
    np.testing.assert_array_equal(both.signal_CT[electrodes_C], eeg.signal_CT)
    assert "reference" not in meg.provenance["preparation"] and told(both) == "average"
    np.testing.assert_array_equal(both.sensors.positions_C3[~electrodes_C], meg.sensors.positions_C3)
    to_device = mne.transforms.invert_transform(raw.info["dev_head_t"])
    expected_C3 = mne.transforms.apply_trans(to_device, eeg.sensors.positions_C3)
    np.testing.assert_allclose(both.sensors.positions_C3[electrodes_C], expected_C3, rtol=0, atol=1e-7)
    # each electrode lies within the helmet, some centimetres from its nearest coil
    nearest_C = np.linalg.norm(
        both.sensors.positions_C3[electrodes_C][:, None] - meg.sensors.positions_C3[None], axis=-1
    ).min(axis=1)
    assert nearest_C.min() > 0.015 and nearest_C.max() < 0.05


def test_meg_and_eeg_need_both_kinds_and_the_place_of_the_head(shared):
    raw = open_recording(shared / "realdata" / "meg_neuromag306" / "test_raw.fif")
    names = choose_channels(raw, "meg+eeg")
    raw.info["dev_head_t"] = None
    with pytest.raises(InputError, match=r"60 of 366 sensors .first: 'EEG 001'.*dev_head_t.*not both"):
        SensorArray.from_info(raw.info, names)
    with pytest.raises(InputError, match=r"No channel of the kind 'meg\+eeg' is left; the recording has: 13 eeg"):
        choose_channels(make_eeg(1), "meg+eeg")
