"""Geometry and kinds of sensors, against MNE's own tables and the published numbers."""

import inspect
import json
import re
import subprocess
import sys
from pathlib import Path

import mne
import numpy as np
import pytest
from mne.io.constants import FIFF

from megxl.errors import InputError
from megxl.signals import coils as module
from megxl.signals.sensors import ELECTRODE, SensorArray, neuromag306, neuromag306_channels, sensor_kind


@pytest.fixture
def channels() -> list[dict]:
    return neuromag306_channels()


def array_of(*points) -> SensorArray:
    points = np.array(points, dtype=float)
    return SensorArray(
        names=tuple(f"S{i}" for i in range(len(points))),
        positions_C3=points,
        orientations_C3=np.tile([0.0, 0.0, 1.0], (len(points), 1)),
        kinds_C=np.zeros(len(points)),
    )


def test_every_coil_number_is_the_constant_of_its_comment():
    lines = re.findall(r"^\s+(\d+),  # (\w+)$", inspect.getsource(module), flags=re.MULTILINE)
    tables = module.PLANAR_GRADIOMETER_COILS | module.AXIAL_GRADIOMETER_COILS | module.MAGNETOMETER_COILS
    assert {int(number) for number, _ in lines} == tables
    for number, name in lines:
        assert int(FIFF[f"FIFFV_COIL_{name}"]) == int(number), name


def test_coil_tables_agree_with_the_coil_definitions_that_mne_computes_fields_with():
    text = (Path(mne.__file__).parent / "data" / "coil_def.dat").read_text()
    shape_of = {int(coil): int(shape) for shape, coil in re.findall(r"^(\d)\s+(\d+)\s", text, flags=re.MULTILINE)}
    references = {4003, 4004, 4005, 5002, 5003, 5004, 6002, 7003, 7004, 7502, 7503}
    table_of_shape = {
        1: module.MAGNETOMETER_COILS,
        2: module.AXIAL_GRADIOMETER_COILS,
        3: module.PLANAR_GRADIOMETER_COILS,
    }
    for coil in shape_of.keys() - references:
        assert coil in table_of_shape[shape_of[coil]], coil


@pytest.mark.parametrize("bits", [0, 1 << 16, 3 << 16])
def test_ctf_gradient_order_in_the_upper_bits_does_not_change_the_kind(channels, bits):
    channels[0] |= {"coil_type": 5001 | bits, "unit": 112}
    array = SensorArray.from_info({"chs": channels})
    assert array.kinds_C[0] == 0
    np.testing.assert_array_equal(array.orientations_C3[0], channels[0]["loc"][9:12])


@pytest.mark.parametrize(("unit", "kind"), [(112, 1), (201, 0)])
def test_an_unknown_coil_is_judged_by_its_unit(channels, unit, kind):
    assert sensor_kind(channels[0] | {"coil_type": 9999, "unit": unit}) == kind


def test_magnes_gradiometer_is_a_gradiometer(channels):
    assert sensor_kind(channels[0] | {"coil_type": 4002, "unit": 112}) == 0


def test_planar_gradiometers_look_along_ex_and_magnetometers_along_their_normal(channels):
    array = SensorArray.from_info({"chs": channels})
    for row, channel in enumerate(channels):
        loc = channel["loc"]
        expected = loc[3:6] if channel["coil_type"] == 3012 else loc[9:12]
        np.testing.assert_array_equal(array.orientations_C3[row], expected)


def test_electrodes_have_kind_two_and_no_orientation():
    raw = mne.io.RawArray(np.zeros((3, 5)), mne.create_info(["Fz", "Cz", "Pz"], 100.0, "eeg"), verbose="ERROR")
    points = {"Fz": [0.0, 0.07, 0.08], "Cz": [0.0, 0.0, 0.1], "Pz": [0.0, -0.07, 0.08]}
    raw.set_montage(mne.channels.make_dig_montage(points, coord_frame="head"))
    array = SensorArray.from_info(raw.info)
    assert array.kinds_C.tolist() == [ELECTRODE] * 3
    assert not array.orientations_C3.any()
    np.testing.assert_allclose(array.positions_C3, list(points.values()), rtol=0, atol=1e-12)


def test_reference_sensors_and_triggers_are_left_out_by_default(channels):
    channels[1]["kind"], channels[2]["kind"] = 301, 3
    array = SensorArray.from_info({"chs": channels})
    assert len(array) == 304
    assert channels[1]["ch_name"] not in array.names


def test_names_choose_and_order_the_sensors(channels):
    names = ["MEG 2642", "MEG 0111", "MEG 0113"]
    array = SensorArray.from_info({"chs": channels}, names)
    assert array.names == tuple(names)
    assert array == neuromag306().select(names)
    assert array != neuromag306().select(names[::-1])


def break_channels(channels, what):
    for channel in channels[4:7]:
        if what == "nan":
            channel["loc"][1] = np.nan
        elif what == "zero":
            channel["loc"][:3] = 0
        elif what == "orientation nan":
            channel["loc"][3:] = np.nan
        elif what == "orientation zero":
            channel["loc"][3:] = 0
        elif what == "frame":
            channel["coord_frame"] = 4


@pytest.mark.parametrize(
    ("what", "mend"),
    [
        ("nan", "--montage"),
        ("zero", "raw.set_montage"),
        ("orientation nan", "--exclude"),
        ("orientation zero", "--exclude"),
        ("frame", "not both"),
    ],
)
def test_bad_geometry_is_counted_named_and_mendable(channels, what, mend):
    break_channels(channels, what)
    with pytest.raises(InputError, match=rf"3 of 306 .*{channels[4]['ch_name']}.*{mend}"):
        SensorArray.from_info({"chs": channels})


@pytest.mark.parametrize("value", [np.nan, 0.0])
def test_an_electrode_without_position_is_refused(channels, value):
    for channel in channels:
        channel["kind"], channel["coil_type"] = 2, 1
    channels[9]["loc"] = np.full(12, value)
    with pytest.raises(InputError, match=r"1 of 306 electrodes has no position.*MEG 0143.*--montage FILE"):
        SensorArray.from_info({"chs": channels})


def test_sensors_in_one_point_are_refused(channels):
    with pytest.raises(InputError, match="one point"):
        SensorArray.from_info({"chs": channels[:3]})  # one site of the helmet
    with pytest.raises(InputError, match=r"one sensor 'MEG 0113' has no geometry .* at least two are needed"):
        SensorArray.from_info({"chs": channels[:1]})


def test_unknown_repeated_missing_and_foreign_names_are_refused(channels):
    info = {"chs": [*channels, channels[0] | {"ch_name": "STI 014", "kind": 3}]}
    for names, text in [
        (["MEG 0113", "MEG 9999"], "MEG 9999"),
        (["MEG 0113", "MEG 0113"], "more than once"),
        (["MEG 0113", "STI 014"], "STI 014"),
        ([], "at least one"),
    ]:
        with pytest.raises(InputError, match=text):
            SensorArray.from_info(info, names)
    with pytest.raises(InputError, match="None of the 1 channels"):
        SensorArray.from_info({"chs": info["chs"][-1:]})


def test_normalised_positions_are_centred_with_mean_squared_norm_of_a_third():
    points = np.random.default_rng(0).normal(size=(7, 3)) * 0.1 + 3.0
    centred = points - points.sum(axis=0) / 7
    expected = centred / np.sqrt(3 * sum(x * x + y * y + z * z for x, y, z in centred) / 7)
    normalised = array_of(*points).normalized_positions()
    np.testing.assert_allclose(normalised, expected, rtol=0, atol=1e-14)
    assert np.mean(np.sum(normalised**2, axis=1)) == pytest.approx(1 / 3)


def test_normalised_positions_equal_the_published_ones(shared):
    golden = np.load(shared / "golden" / "data_reference.npz")
    normalised = array_of(*golden["norm_positions/in"][:, :3]).normalized_positions()
    np.testing.assert_allclose(normalised, golden["norm_positions/out"][:, :3], rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("file", "key"),
    [
        ("meg_neuromag306/test_raw.fif", "preprocess/fif"),
        ("meg_ctf/testdata_ctf_short_discontinuous.ds", "armeni/seg30/stageA/rec00"),
    ],
)
def test_geometry_equals_the_published_one(shared, file, key):
    golden = np.load(shared / "golden" / "data_reference.npz")
    array = SensorArray.from_info(mne.io.read_raw(shared / "realdata" / file, verbose="ERROR").info)
    np.testing.assert_allclose(array.positions_C3, golden[f"{key}/sensor_xyzdir"][:, :3], rtol=0, atol=1e-12)
    np.testing.assert_allclose(array.orientations_C3, golden[f"{key}/sensor_xyzdir"][:, 3:], rtol=0, atol=1e-12)
    np.testing.assert_array_equal(array.kinds_C, golden[f"{key}/sensor_types"])


def test_the_array_keeps_its_own_read_only_copies():
    points = np.random.default_rng(0).normal(size=(4, 3))
    array = SensorArray(names=tuple("abcd"), positions_C3=points, orientations_C3=points, kinds_C=np.zeros(4))
    points[:] = 7
    assert not (array.positions_C3 == 7).any()
    with pytest.raises(ValueError, match="read-only"):
        array.positions_C3[0] = 0


@pytest.mark.parametrize(
    "change",
    [
        {"positions_C3": np.ones((3, 3))},
        {"orientations_C3": np.ones((4, 2))},
        {"kinds_C": np.zeros((4, 1))},
        {"kinds_C": np.full(4, 3)},
        {"names": tuple("abca")},
        {"positions_C3": np.full((4, 3), np.inf)},
    ],
)
def test_fields_that_disagree_are_refused(change):
    good = {
        "names": tuple("abcd"),
        "positions_C3": np.eye(4, 3),
        "orientations_C3": np.ones((4, 3)),
        "kinds_C": np.zeros(4),
    }
    SensorArray(**good)
    with pytest.raises(InputError):
        SensorArray(**(good | change))


def test_json_keeps_every_digit():
    array = neuromag306()
    assert SensorArray.from_json(json.loads(json.dumps(array.to_json()))) == array
    with pytest.raises(InputError, match="kinds"):
        SensorArray.from_json({key: value for key, value in array.to_json().items() if key != "kinds"})


def test_the_neuromag_table_is_the_array_of_the_real_system(shared):
    info = mne.io.read_info(shared / "realdata" / "sensor_geometry" / "neuromag306-info.fif", verbose="ERROR")
    real, table = SensorArray.from_info(info), neuromag306()
    assert table.names == real.names
    np.testing.assert_array_equal(table.kinds_C, real.kinds_C)
    np.testing.assert_allclose(table.positions_C3, real.positions_C3, rtol=0, atol=1e-7)
    np.testing.assert_allclose(table.orientations_C3, real.orientations_C3, rtol=0, atol=1e-6)


def test_the_neuromag_table_is_a_helmet_of_unit_vectors():
    array = neuromag306()
    assert np.bincount(array.kinds_C).tolist() == [204, 102]
    np.testing.assert_allclose(np.linalg.norm(array.orientations_C3, axis=1), 1, atol=2e-4)
    radii = np.linalg.norm(array.positions_C3, axis=1)
    assert 0.08 < radii.min() < radii.max() < 0.16
    assert len(np.unique(array.positions_C3, axis=0)) == 102


def test_the_module_imports_without_mne_or_torch():
    code = (
        "import sys, megxl.signals.sensors as s; s.neuromag306(); print({'mne', 'torch', 'scipy'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
