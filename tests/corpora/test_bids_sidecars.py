"""Tables beside a BIDS recording as they come: short rows, links to nothing, spaces of coordinates."""

import json

import mne
import numpy as np
import pytest

from megxl.corpora.bids_sidecars import apply_channels, apply_electrodes, electrode_files
from megxl.corpora.layouts import named_recording
from megxl.errors import InputError
from tests.corpora.making import touch


def raw():
    return mne.io.RawArray(np.zeros((3, 100)), mne.create_info(["Fz", "Cz", "Pz"], 100.0, "eeg"), verbose="ERROR")


def table(tmp_path, text, name="channels.tsv"):
    path = tmp_path / name
    path.write_text(text)
    return path


def test_a_row_without_its_last_empty_cell_still_marks_its_channel_bad(tmp_path):
    recording = raw()
    path = table(tmp_path, "name\ttype\tstatus\tdescription\nFz\tEEG\tgood\tx\nCz\tEEG\tbad\nPz\tEEG\n")
    assert apply_channels(recording, path) == []
    assert recording.info["bads"] == ["Cz"]


def test_rows_that_cannot_be_read_are_told(tmp_path):
    path = table(tmp_path, "name\ttype\tstatus\nFz\tEEG\tgood\nCz\nPz\tEEG\tbad\tmore\tcells\n")
    assert apply_channels(raw(), path) == [
        "2 of 3 rows left out, malformed: channels.tsv, first in line 3, 1 cells instead of 3."
    ]


def test_a_link_to_nothing_is_refused_in_a_sentence(tmp_path):
    (tmp_path / "channels.tsv").symlink_to(tmp_path / "annex" / "x")
    with pytest.raises(InputError, match=r"^channels\.tsv is a link to nothing: get its content first \(datalad get"):
        apply_channels(raw(), tmp_path / "channels.tsv")


def electrodes_of(tmp_path, *names):
    touch(tmp_path, "sub-1/eeg/sub-1_task-a_eeg.edf", *(f"sub-1/eeg/sub-1_{name}" for name in names))
    file = named_recording("x", tmp_path, tmp_path / "sub-1/eeg/sub-1_task-a_eeg.edf")
    return [path.name.removeprefix("sub-1_") for path in electrode_files(file)]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (
            ["space-CTF_electrodes.tsv", "space-CTF_coordsystem.json", "space-Zed_coordsystem.json"],
            ["space-CTF_electrodes.tsv", "space-CTF_coordsystem.json"],
        ),
        (["electrodes.tsv", "coordsystem.json", "space-Zed_coordsystem.json"], ["electrodes.tsv", "coordsystem.json"]),
        (["electrodes.tsv", "space-Zed_coordsystem.json"], ["electrodes.tsv", "space-Zed_coordsystem.json"]),
        (["space-CTF_electrodes.tsv", "coordsystem.json"], ["space-CTF_electrodes.tsv", "coordsystem.json"]),
        (["space-CTF_electrodes.tsv", "space-Zed_coordsystem.json"], ["space-CTF_electrodes.tsv"]),
        (["space-Zed_coordsystem.json"], []),
    ],
)
def test_positions_go_with_the_system_of_their_own_space(tmp_path, names, expected):
    assert electrodes_of(tmp_path, *names) == expected


def test_positions_without_a_system_are_taken_as_metres_and_told(tmp_path):
    recording = raw()
    path = table(tmp_path, "name\tx\ty\tz\nFz\t0\t0.08\t0.04\nCz\t0\t0\t0.11\nPz\t0\t-0.08\t0.05\n", "electrodes.tsv")
    assert apply_electrodes(recording, path)[0] == (
        "No coordsystem.json says in which unit positions are, metres are taken: electrodes.tsv."
    )
    np.testing.assert_allclose(recording.info["chs"][1]["loc"][:3], [0, 0, 0.11])


def test_a_system_that_is_no_json_is_refused_by_name(tmp_path):
    electrodes = table(tmp_path, "name\tx\ty\tz\n", "electrodes.tsv")
    with pytest.raises(InputError, match=r"coordsystem\.json is not JSON"):
        apply_electrodes(raw(), electrodes, table(tmp_path, "{", "coordsystem.json"))
    with pytest.raises(InputError, match="'pixels'; allowed: m, cm, mm"):
        system = table(tmp_path, json.dumps({"EEGCoordinateUnits": "pixels"}), "coordsystem.json")
        apply_electrodes(raw(), electrodes, system)
