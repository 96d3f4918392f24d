"""braindecode's chs_info: of real recordings, typed by hand, read from JSON, lacking something."""

import json

import mne
import numpy as np
import pytest

from megxl.errors import InputError
from megxl.signals.reading import choose_channels, open_recording
from megxl.signals.sensors import MissingPositions, SensorArray, neuromag306, neuromag306_channels
from tests.small import electrodes

REAL = [
    ("meg_neuromag306/test_raw.fif", "auto"),
    ("meg_neuromag306/test_raw.fif", "eeg"),
    ("meg_ctf/test_ctf_comp_raw.fif", "auto"),
    ("meg_kit/test.sqd", "auto"),
    ("meg_other/exported4D_solaris_raw.fif", "auto"),
]


def as_configured(channels) -> list[dict]:
    """Entries as a configuration of braindecode stores them: JSON, without the coordinate frame."""
    kept = ("ch_name", "kind", "coil_type", "unit", "cal", "range", "loc")
    return json.loads(
        json.dumps([{key: plain(channel[key]) for key in kept if key in channel} for channel in channels])
    )


def plain(value):
    return value if isinstance(value, str) else np.asarray(value, dtype=float if np.ndim(value) else None).tolist()


@pytest.mark.parametrize(("file", "channels"), REAL)
def test_real_recordings_have_the_geometry_of_their_info(shared, file, channels):
    raw = open_recording(shared / "realdata" / file)
    raw.pick(choose_channels(raw, channels))
    expected = SensorArray.from_info(raw.info, raw.ch_names)
    assert SensorArray.from_chs_info(raw.info["chs"]) == expected
    assert SensorArray.from_chs_info(as_configured(raw.info["chs"])) == expected


def test_rows_keep_the_order_of_the_entries():
    array = SensorArray.from_chs_info(neuromag306_channels()[::-1])
    assert array == neuromag306().select(neuromag306().names[::-1])


def test_electrodes_typed_by_hand_need_a_name_a_kind_and_three_numbers():
    raw = electrodes(5)
    typed = [{"ch_name": c["ch_name"], "kind": "EEG", "loc": c["loc"][:3].tolist()} for c in raw.info["chs"]]
    assert SensorArray.from_chs_info(typed) == SensorArray.from_info(raw.info)
    assert "coil_type" not in typed[0]


def test_names_alone_are_no_positions_and_the_sentence_says_where_they_come_from():
    names = ["Fz", "Cz", "Pz"]
    with pytest.raises(
        MissingPositions, match=r"3 of 3 electrodes have no position.*'Fz'.*chs_info.*set_montage"
    ) as told:
        SensorArray.from_chs_info([{"ch_name": name, "kind": "eeg"} for name in names])
    assert told.value.names == tuple(names)
    raw = mne.io.RawArray(np.zeros((3, 10)), mne.create_info(names, 100.0, "eeg"), verbose="ERROR")
    montage = mne.channels.make_dig_montage(dict(zip(names, np.eye(3) / 10, strict=True)), coord_frame="head")
    SensorArray.from_chs_info(raw.set_montage(montage).info["chs"])


PLACED = {"ch_name": "Cz", "kind": "eeg", "loc": [0.0, 0.0, 0.1]}


@pytest.mark.parametrize(
    ("entries", "sentence"),
    [
        ([], "list of dictionaries"),
        (None, "list of dictionaries"),
        (["Cz"], "list of dictionaries"),
        ([{"kind": "eeg"}], r"chs_info\[0\] has no 'ch_name'"),
        ([PLACED | {"kind": "stim"}], "'Cz' has the kind 'stim'; allowed: 2 or 'eeg'"),
        ([PLACED | {"kind": 3}], "'Cz' has the kind 3"),
        ([{"ch_name": "Cz", "loc": [0, 0, 1]}], "'Cz' has the kind None"),
        ([PLACED | {"kind": "mag"}], "'Cz' has no 'coil_type'"),
        ([PLACED | {"kind": "mag", "coil_type": None}], "'Cz' has no 'coil_type'"),
        ([PLACED | {"kind": "mag", "coil_type": 3024}], "no orientation"),
        ([PLACED | {"loc": [0.1, 0.2]}], r"'loc' of 'Cz' has the shape \(2,\)"),
        ([PLACED | {"loc": "front"}], "'loc' of 'Cz' is 'front'"),
        ([PLACED, PLACED], "more than once"),
    ],
)
def test_entries_that_lack_something_are_refused_by_name(entries, sentence):
    with pytest.raises(InputError, match=sentence):
        SensorArray.from_chs_info(entries)


def test_what_json_calls_null_is_not_known():
    other = {"ch_name": "Pz", "kind": "eeg", "loc": [0.0, -0.1, 0.0]}
    nulls = {"coord_frame": None, "unit": None}
    told = SensorArray.from_chs_info([PLACED | nulls, other])
    np.testing.assert_array_equal(told.positions_C3, SensorArray.from_chs_info([PLACED, other]).positions_C3)
