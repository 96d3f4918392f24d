"""`megxl info` of a store, of a corpus in it, of one recording: counts, hours, sizes, and whatever is wrong."""

import json

import numpy as np
import pytest

from megxl.cli import main
from tests.store.made import prepared, put, store_of


@pytest.fixture
def store(tmp_path):
    """Three recordings of 400 s, one of 200 s with more sensors and a licence, codes of one of them."""
    store = store_of(tmp_path / "store", "armeni/sub-1_run-2", "armeni/sub-1_run-10", "mous/a", seconds=400)
    put(store, "mous/b", prepared(200, n_sensors=6), licence="CC0")
    put_codes(store, "mous/a")
    return store


def put_codes(store, key: str, **other) -> None:
    """Codes of 250 kB as they lie beside a recording."""
    codes = store.folder(key) / "codes" / f"windows-{len(other)}"
    codes.mkdir(parents=True)
    np.save(codes / "codes.npy", np.zeros((2, 5, 25_000), dtype=np.uint8))
    grid = {"kind": "windows", "window_s": 150.0}
    known = {"signal_sha256": store.recording(key).signal_sha256, "grid": grid, "tokenizer": "f" * 64}
    (codes / "codes.json").write_text(json.dumps({"shape": [2, 5, 25_000], **known, **other}))


def facts(capsys, path) -> dict:
    assert main(["info", str(path), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_store(store, capsys):
    known = facts(capsys, store.path)
    assert known["what"] == "a store of prepared recordings" and known["warning"] is None and known["problems"] == []
    assert known["recordings"] == 4 and known["duration_h"] == pytest.approx(1400 / 3600, abs=1e-3)
    on_disk = sum(path.stat().st_size for path in (store.path).glob("*/**/*") if path.is_file())
    locks = sum(path.stat().st_size for path in (store.path / ".locks").rglob("*") if path.is_file())
    assert known["size_mb"] == pytest.approx((on_disk - locks) / 1e6, abs=1e-3)
    mous = known["corpora"]["mous"]
    assert (mous["recordings"], mous["subjects"], mous["sensors"], mous["sfreq_hz"]) == (2, 2, "4 to 6", 50.0)
    assert mous["words"] == 4 and mous["licence"] == "CC0"
    assert mous["codes"]["recordings"] == {"windows of 150 s by the tokenizer ffffffff": 1}
    assert mous["codes"]["size_mb"] == pytest.approx(0.25, abs=1e-3)
    armeni = known["corpora"]["armeni"]
    assert (armeni["recordings"], armeni["subjects"], armeni["sensors"], armeni["codes"]) == (2, 1, 4, {})


def test_a_corpus_in_a_store(store, capsys):
    known = facts(capsys, store.path / "armeni")
    assert known["what"] == "the corpus armeni in a store" and list(known["corpora"]) == ["armeni"]
    assert known["recordings"] == 2


def test_what_is_damaged_or_odd_is_named(store, capsys):
    (store.folder("mous/b") / "recording.json").unlink()
    next(store.folder("mous/a").glob("signal-*")).write_bytes(b"short")
    (store.path / "armeni" / "holiday.jpg").touch()
    known = facts(capsys, store.path)
    assert known["warning"] == "2 OF 4 RECORDINGS ARE DAMAGED" and known["recordings"] == 2
    odd, short, missing = known["problems"]
    assert odd == "armeni/holiday.jpg: is no folder of a recording"
    assert short.startswith("mous/a: signal-") and short.endswith("has 5 bytes instead of 320,128")
    assert missing == "mous/b: recording.json is missing"
    assert facts(capsys, store.path / "armeni")["problems"] == [odd]
    assert main(["info", str(store.path)]) == 0
    shown = capsys.readouterr().out
    assert "!! 2 OF 4 RECORDINGS ARE DAMAGED" in shown and missing.removeprefix("mous/b: ") in shown


def test_codes_are_counted_by_what_they_are(store, capsys):
    for key, other in (("mous/b", {}), ("mous/a", {"signal_sha256": "0"})):
        put_codes(store, key, **other)
    (store.folder("mous/b") / "codes" / "windows-0" / "codes.npy").write_bytes(b"short")
    known = facts(capsys, store.path / "mous")
    assert known["corpora"]["mous"]["codes"]["recordings"] == {
        "windows of 150 s by the tokenizer ffffffff": 2, "of an older signal (can be deleted)": 1
    }  # fmt: skip
    assert known["problems"] == ["mous/b/codes/windows-0: codes.npy is missing or damaged"] and not known["warning"]


def test_recordings_prepared_in_other_ways_are_a_warning(store, capsys):
    other = prepared(200, provenance={"preparation": {"low_hz": 1.0, "high_hz": 40.0, "mne": "9"}})
    put(store, "mous/c", other)
    known = facts(capsys, store.path)
    assert known["warning"] == "mous WAS PREPARED IN 2 WAYS"
    assert known["corpora"]["mous"]["prepared"] == [
        "2 recordings with low_hz 0.1, high_hz 40.0", "1 recording with low_hz 1.0, high_hz 40.0"
    ]  # fmt: skip


def test_a_corpus_keeps_its_name(tmp_path, capsys):
    store = store_of(tmp_path / "store", "meg_masc/a", seconds=1)
    assert main(["info", str(store.path)]) == 0
    assert "meg_masc" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("part", "folder"),
    [("store.json", ""), ("mous/a/recording.json", "mous/a"), ("mous/a/signal-*.npy", "mous/a"),
     ("mous/a/codes/*/codes.npy", "mous/a")],
)  # fmt: skip
def test_a_file_of_a_store_is_refused_with_its_folder(store, capsys, part, folder):
    (path,) = store.path.glob(part)
    assert main(["info", str(path)]) == 2
    assert capsys.readouterr().err.endswith(f"is a part of a store: ask for the folder {store.path / folder}.\n")


def test_a_recording_in_a_store(store, capsys):
    known = facts(capsys, store.path / "mous" / "b")
    stored = store.recording("mous/b")
    assert known["what"] == "a prepared recording in a store" and known["key"] == "mous/b"
    assert (known["duration_s"], known["words"], known["licence"]) == (200.0, 2, "CC0")
    assert known["sensors"] == {"gradiometers": 4, "magnetometers": 2}
    assert known["sha256"] == stored.signal_sha256 and known["preparation"] == stored.preparation


def test_a_damaged_recording_is_refused_in_a_sentence(store, capsys):
    (store.folder("mous/b") / "recording.json").write_text("{}")
    assert main(["info", str(store.path / "mous" / "b")]) == 2
    said = capsys.readouterr().err
    assert said.startswith("megxl: error: mous/b is damaged in the store: recording.json is cut short or was changed.")
    assert said.count("\n") == 1 and "--repair" in said


def test_the_table_of_an_empty_store(tmp_path, capsys):
    assert main(["info", str(store_of(tmp_path / "store").path)]) == 0
    assert [line.split() for line in capsys.readouterr().out.splitlines()[1:3]] == [
        ["recordings", "0"],
        ["duration", "0", "h"],
    ]
