"""No header field that identifies a person, a place or a day reaches any output."""

import base64
import re
from datetime import UTC, date, datetime

import mne
import pytest

from megxl.cli import main
from tests.small import short_recording, small_model

MARK = "Xq7Zebra"
DAY = datetime(1987, 6, 5, 4, 3, 2, tzinfo=UTC)
TRACES = [
    MARK,
    MARK.lower(),
    "1987-06-05",
    "1987, 6, 5",
    "05 Jun 1987",
    str(int(DAY.timestamp())),
    "1951-02-03",
    "987654321",
]


@pytest.fixture
def recording(tmp_path):
    """Every field that can name somebody is a marker, the folder's name too."""
    raw = short_recording(bads=1).copy()
    raw.set_meas_date(DAY)
    raw.info["subject_info"] = {
        "id": 987654321,
        "his_id": MARK,
        "last_name": MARK,
        "first_name": MARK,
        "middle_name": MARK,
        "birthday": date(1951, 2, 3),
        "sex": 2,
        "hand": 1,
        "weight": 77.7,
        "height": 1.77,
    }
    raw.info["experimenter"] = raw.info["description"] = MARK
    raw.info["device_info"] = {"type": MARK, "model": MARK, "serial": MARK, "site": MARK}
    raw.info["helium_info"] = {"he_level_raw": 1.0, "helium_level": 2.0, "orig_file_guid": MARK, "meas_date": DAY}
    with raw.info._unlock():
        raw.info["proj_name"], raw.info["proj_id"] = MARK, 987654321
    raw.set_annotations(mne.Annotations([1.0], [0.5], [f"BAD_{MARK}"], orig_time=DAY))
    folder = tmp_path / MARK
    folder.mkdir()
    raw.save(folder / "some_raw.fif", verbose="ERROR")
    return folder / "some_raw.fif"


def readable(content: bytes) -> bytes:
    """File and what is packed in it as base64."""
    packed = re.findall(rb"base64,([A-Za-z0-9+/=]{100,})", content)
    return b"\n".join([content, *(base64.b64decode(part) for part in packed)])


def assert_anonymous(content: bytes, where: str) -> None:
    for trace in TRACES:
        for encoded in (trace.encode(), trace.encode("utf-16-le"), trace.encode("utf-32-le")):
            assert encoded not in content, f"{trace} in {where}"


def test_the_recording_itself_is_full_of_traces(recording):
    with pytest.raises(AssertionError, match=MARK):
        assert_anonymous(readable(recording.read_bytes()), "recording")


def test_no_output_names_anybody(tmp_path, recording, capsys, monkeypatch):
    model = small_model().save_pretrained(tmp_path / MARK / "model")
    monkeypatch.chdir(recording.parent)
    (tmp_path / "out").mkdir()
    for name in ("features", "features.npz"):
        words = ["embed", "some_raw.fif", "--model", str(model), "--overwrite", "--report", f"../out/{name}.html"]
        assert main([*words, "--out", f"../out/{name}"]) == 0
        assert main(["info", f"../out/{name}", "--json"]) == 0
    assert main(["info", "some_raw.fif", "--json"]) == 0 and main(["info", "some_raw.fif"]) == 0
    outputs = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert len(outputs) == 3 + 7
    for path in outputs:
        content = readable(path.read_bytes())
        assert_anonymous(content, path.name)
        assert str(tmp_path).encode() not in content
    said = capsys.readouterr()
    assert_anonymous((said.out + said.err).encode(), "what is printed")
