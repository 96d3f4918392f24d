"""LibriBrain's HDF5 files as recordings that are read piece by piece."""

import json
import pickle
import tracemalloc
from pathlib import Path

import mne
import numpy as np
import pytest

from megxl.corpora.hdf5 import RawLibriBrain, read_sensors
from megxl.errors import InputError
from megxl.signals.neuromag306 import neuromag306_channels
from tests.corpora.making import write_libribrain

NAMES = [channel["ch_name"].replace(" ", "") for channel in neuromag306_channels()][:6]
SENSORS = read_sensors(Path("absent.json"))


def noise(n_samples: int, n_channels: int = len(NAMES)) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(n_channels, n_samples)).astype(np.float32) * np.float32(1e-12)


def write_sensors(path: Path, channels) -> Path:
    entries = [
        {"ch_name": name, "loc": np.asarray(loc).tolist(), "coil_type": coil_type} for name, loc, coil_type in channels
    ]
    path.write_text(json.dumps(entries))
    return path


def test_samples_are_those_of_the_file_wherever_they_are_read(tmp_path):
    signal_CT = noise(12_345)
    raw = RawLibriBrain(write_libribrain(tmp_path / "a.h5", signal_CT, NAMES), SENSORS)
    np.testing.assert_array_equal(raw.get_data(), signal_CT.astype(np.float64))
    for start, stop in ((0, 1), (4_999, 5_001), (5_000, 10_000), (12_000, 12_345)):
        np.testing.assert_array_equal(raw[:, start:stop][0], signal_CT[:, start:stop])
    np.testing.assert_array_equal(raw[[4, 1], 4_000:6_000][0], signal_CT[[4, 1], 4_000:6_000])
    np.testing.assert_array_equal(raw.get_data(picks=[NAMES[3]], start=7), signal_CT[[3], 7:])


def test_a_projector_mixes_all_channels(tmp_path):
    signal_CT = noise(300)
    raw = RawLibriBrain(write_libribrain(tmp_path / "a.h5", signal_CT, NAMES), SENSORS)
    vector_1C = np.full((1, len(NAMES)), len(NAMES) ** -0.5)
    data = {"nrow": 1, "ncol": len(NAMES), "row_names": None, "col_names": NAMES, "data": vector_1C}
    raw.add_proj(mne.Projection(active=False, data=data, kind=1, desc="mean"), verbose="ERROR")
    raw.apply_proj(verbose="ERROR")
    expected_CT = signal_CT.astype(np.float64) - signal_CT.astype(np.float64).mean(axis=0)
    np.testing.assert_allclose(raw[2:4, 100:200][0], expected_CT[2:4, 100:200], atol=1e-18)


def test_a_few_channels_of_a_long_recording_need_little_memory(tmp_path):
    names = [channel["ch_name"].replace(" ", "") for channel in neuromag306_channels()][:60]
    path = write_libribrain(tmp_path / "a.h5", noise(100_000, 60), names)
    raw = RawLibriBrain(path, SENSORS)
    tracemalloc.start()
    raw.get_data(picks=[0])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 6e6  # the whole is 24 MB


def test_no_file_stays_open_and_the_recording_can_be_sent_to_another_process(tmp_path):
    path = write_libribrain(tmp_path / "a.h5", noise(100), NAMES)
    raw = RawLibriBrain(path, SENSORS)
    raw.get_data(stop=10)
    assert path not in {link.resolve() for link in Path("/proc/self/fd").iterdir()}
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(raw))[:][0], raw[:][0])


def test_rate_and_earlier_filters_are_those_of_the_attributes(tmp_path):
    path = write_libribrain(tmp_path / "a.h5", noise(100), NAMES, sample_frequency=200.0, lowpass_cutoff=40.0)
    info = RawLibriBrain(path, SENSORS).info
    assert (info["sfreq"], info["highpass"], info["lowpass"]) == (200.0, 0.1, 40.0)


def test_geometry_is_that_of_the_list(tmp_path):
    loc = np.arange(12) / 100
    listed = read_sensors(write_sensors(tmp_path / "s.json", [(NAMES[0], loc, 3024), (NAMES[1], loc + 1, 3012)]))
    raw = RawLibriBrain(write_libribrain(tmp_path / "a.h5", noise(100, 2), NAMES[:2]), listed)
    np.testing.assert_array_equal(raw.info["chs"][0]["loc"], loc)
    np.testing.assert_array_equal(raw.info["chs"][1]["loc"], loc + 1)
    assert [channel["coil_type"] for channel in raw.info["chs"]] == [3024, 3012]
    assert raw.get_channel_types() == ["mag", "grad"]


def test_without_a_list_geometry_is_neuromags_own(tmp_path):
    known = {channel["ch_name"]: channel for channel in neuromag306_channels()}
    raw = RawLibriBrain(write_libribrain(tmp_path / "a.h5", noise(100), NAMES), read_sensors(tmp_path / "no.json"))
    assert raw.ch_names == NAMES
    for channel in raw.info["chs"]:
        own = known[f"MEG {channel['ch_name'][3:]}"]
        np.testing.assert_array_equal(channel["loc"], own["loc"])
        assert (channel["coil_type"], channel["unit"]) == (own["coil_type"], own["unit"])


def test_a_channel_that_nobody_knows_is_named(tmp_path):
    path = write_libribrain(tmp_path / "a.h5", noise(100, 3), [*NAMES[:2], "MEG9999"])
    with pytest.raises(InputError, match=r"a\.h5: 1 channels .*'MEG9999'"):
        RawLibriBrain(path, SENSORS)


def test_a_channel_that_is_no_sensor_needs_no_position(tmp_path):
    raw = RawLibriBrain(write_libribrain(tmp_path / "a.h5", noise(100, 3), [*NAMES[:2], "STI101"]), SENSORS)
    assert raw.get_channel_types()[2] == "misc"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"<!DOCTYPE html><html>Log in</html>", "a web page instead of data"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS pointer"),
        (b"", "is empty"),
        (b"\x89HDF\r\n\x1a\n" + bytes(500), "damaged or no HDF5"),
        (b"hello", "damaged or no HDF5"),
    ],
)
def test_other_things_under_the_name_are_told(tmp_path, content, said):
    path = tmp_path / "a.h5"
    path.write_bytes(content)
    with pytest.raises(InputError, match=said):
        RawLibriBrain(path, SENSORS)


def test_a_truncated_file_is_refused(tmp_path):
    path = write_libribrain(tmp_path / "a.h5", noise(10_000), NAMES)
    path.write_bytes(path.read_bytes()[:100_000])
    with pytest.raises(InputError, match=r"a\.h5 is damaged"):
        RawLibriBrain(path, SENSORS)


def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        RawLibriBrain(tmp_path / "a.h5", SENSORS)


def test_files_of_another_kind_are_refused(tmp_path):
    import h5py

    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["other"] = [1, 2]
    with pytest.raises(InputError, match="no table 'data'"):
        RawLibriBrain(tmp_path / "a.h5", SENSORS)
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file["data"] = noise(10)
    with pytest.raises(InputError, match="lacks the attribute 'sample_frequency'"):
        RawLibriBrain(tmp_path / "b.h5", SENSORS)


def test_a_wrong_number_of_names_is_refused(tmp_path):
    path = write_libribrain(tmp_path / "a.h5", noise(100), NAMES, channel_names=", ".join(NAMES[:3]))
    with pytest.raises(InputError, match="names 3 channels and has data of 6"):
        RawLibriBrain(path, SENSORS)


@pytest.mark.parametrize(
    "content", ["<html>", "{}x", '[{"ch_name": "MEG0111"}]', '[{"ch_name": "a", "loc": [1], "coil_type": 1}]']
)
def test_a_list_of_sensors_that_is_none_is_refused(tmp_path, content):
    path = tmp_path / "s.json"
    path.write_text(content)
    with pytest.raises(InputError, match=r"s\.json is no list of sensors"):
        read_sensors(path)
