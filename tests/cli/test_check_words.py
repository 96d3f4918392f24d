"""`megxl check-words`: verdicts on a terminal, a page, and exit codes."""

import pytest

from megxl.cli import main
from megxl.store.store import Store
from tests.reporting.planted import planted, stored


@pytest.fixture
def store(tmp_path):
    place = tmp_path / "store"
    planted(place, seed=1)
    planted(place, seed=2, late_s=0.6)
    return place


def test_verdicts_are_printed_and_the_page_is_written(store, tmp_path, capsys):
    assert main(["check-words", str(store), "--out", str(tmp_path / "words.html")]) == 0
    said = capsys.readouterr().out
    assert "files/sub-1  aligned: A response follows the words" in said
    assert "shifted: The response is strongest if onsets are moved by about +0.5" in said
    assert "1 of 2 recordings are not seen to be aligned" in said
    assert "files/sub-2" in (tmp_path / "words.html").read_text()


def test_recordings_can_be_chosen(store, capsys):
    assert main(["check-words", str(store), "--recording", "files/sub-1"]) == 0
    assert "sub-2" not in capsys.readouterr().out


def test_recordings_without_words_are_counted(store, capsys):
    recording = planted(store, seed=3)
    stored(store, "mute", recording.read().astype(float), [])
    assert main(["check-words", str(store)]) == 0
    assert "without words  1 recording\n" in capsys.readouterr().out


def test_a_damaged_recording_is_named_and_the_others_are_done(store, capsys):
    signal = next((store / "files" / "sub-1").glob("signal*.npy"))
    content = bytearray(signal.read_bytes())
    content[5000] ^= 1
    signal.write_bytes(content)
    assert main(["check-words", str(store)]) == 1
    said = capsys.readouterr().out
    assert "not averaged" in said and "files/sub-1" in said and "shifted" in said


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--shift-scan", "0"], "--shift-scan 0: allowed are 0.5 to 300 s"),
        (["--recording", "files/sub-9"], "files/sub-9"),
        (["--corpus", "foo"], "store has no corpus 'foo'; there are: files."),
        (["--corpus", "files", "--recording", "armeni/sub-1"], "armeni/sub-1 is no recording of the corpus files"),
        (["--out", "words.txt"], "ends in .html"),
    ],
)
def test_what_cannot_be_meant_is_refused(store, capsys, arguments, problem):
    assert main(["check-words", str(store), *arguments]) == 2
    assert problem in capsys.readouterr().err


def test_a_store_without_words_is_refused(tmp_path, capsys):
    recording = planted(tmp_path / "other")
    stored(tmp_path / "store", "mute", recording.read().astype(float), [])
    assert main(["check-words", str(tmp_path / "store")]) == 2
    assert "The only recording in" in capsys.readouterr().err
    stored(tmp_path / "store", "silent", recording.read().astype(float), [])
    assert main(["check-words", str(tmp_path / "store"), "--corpus", "files"]) == 2
    assert "None of the 2 recordings of files in" in capsys.readouterr().err


def test_an_empty_store_is_refused(tmp_path, capsys):
    Store.create(tmp_path / "store")
    assert main(["check-words", str(tmp_path / "store")]) == 2
    assert "store holds no recordings" in capsys.readouterr().err
