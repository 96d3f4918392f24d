"""`megxl prepare`: exit codes, one sentence for each mistake, what is said, and that it can be stopped."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from megxl.cli import main, window_progress
from megxl.corpora.simulated import make_recording
from megxl.data.cached_codes import CachedCodes
from megxl.data.code_grid import WindowGrid
from megxl.sizes import BioCodecConfig
from megxl.store.store import Store
from megxl.tokenizer.biocodec import BioCodec
from megxl.tokenizer.fingerprint import codec_fingerprint
from tests.cli.test_privacy import MARK, assert_anonymous, readable
from tests.cli.test_privacy import recording as full_of_names
from tests.data.small_corpus import make_small, spoil

SMALL = "tests.data.small_corpus:Small"
KEYS = [f"small/sub-{n:02d}_task-rest" for n in (1, 2, 3)]


@pytest.fixture
def root(tmp_path):
    return make_small(tmp_path / "root")


@pytest.fixture
def store(tmp_path):
    return tmp_path / "store"


def run(*words) -> int:
    return main(["prepare", *map(str, words), "--workers", "0"])


def test_a_corpus_becomes_a_store_with_a_summary_and_a_page(root, store, tmp_path, capsys):
    words = [SMALL, root, "--store", store, "--report", tmp_path / "page.html", "--summary", tmp_path / "summary.json"]
    assert run(*words) == 0
    said = capsys.readouterr()
    assert "3 recordings: 6 s in" in said.out and "6 (4 gradiometers, 2 magnetometers): 3 recordings" in said.out
    assert "prepared: 3 of 3 recordings" in said.err
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["holdings"]["left_over_s"] == pytest.approx(6.0) and len(summary["outcomes"]) == 3
    assert json.loads((tmp_path / "page.json").read_text())["recordings"][2]["key"] == KEYS[2]
    assert all(key in (tmp_path / "page.html").read_text() for key in KEYS)
    assert run(*words) == 2 and "exists already" in capsys.readouterr().err
    assert run(*words[:4]) == 0
    assert "3 recordings in the store already" in capsys.readouterr().out


def test_failures_are_listed_and_the_exit_code_is_1(root, store, capsys):
    spoil(root / "sub-02_task-rest_meg.fif", "emptied")
    assert run(SMALL, root, "--store", store) == 1
    said = capsys.readouterr()
    assert "failed     1 recording" in said.out
    assert f"failed: {KEYS[1]}: sub-02_task-rest_meg.fif is empty" in said.out
    assert Store(store).keys() == [KEYS[0], KEYS[2]]


def test_errors_that_nobody_foresaw_have_a_traceback_on_demand(root, store, capsys):
    assert run("tests.data.small_corpus:NeverRead", root, "--store", store, "--limit", 1) == 1
    said = capsys.readouterr()
    assert "AssertionError" in said.out and "--debug" in said.out and "Traceback" not in said.err
    assert run("tests.data.small_corpus:NeverRead", root, "--store", store, "--limit", 1, "--debug") == 1
    assert "Traceback" in capsys.readouterr().err


def test_damage_is_refused_until_repaired(root, store, capsys):
    assert run(SMALL, root, "--store", store) == 0
    (signal_file,) = (store / KEYS[1]).glob("signal-*.npy")
    spoil(signal_file, "truncated")
    capsys.readouterr()
    assert run(SMALL, root, "--store", store) == 1
    said = capsys.readouterr().out
    assert f"damaged: {KEYS[1]}" in said and "--repair" in said
    assert run(SMALL, root, "--store", store, "--dry-run") == 1
    assert run(SMALL, root, "--store", store, "--repair") == 0 and Store(store).verify() == {}


def test_a_dry_run_says_what_there_is_to_do_and_does_nothing(root, store, capsys):
    assert run(SMALL, root, "--store", store, "--dry-run", "--subjects", "sub-01", "sub-03") == 0
    said = capsys.readouterr().out
    assert "2: absent" in said and "left" not in said and KEYS[0] in said and KEYS[1] not in said and not store.exists()


def test_options_reach_the_corpus_and_the_preparation(root, store):
    words = "--set later_s=0.5 --low 0.5 --high 20 --rate 40 --method mne --bads keep --subjects sub-02"
    assert run(SMALL, root, "--store", store, *words.split()) == 0
    (stored,) = Store(store).recordings()
    asked = {"low_hz": 0.5, "high_hz": 20.0, "sfreq_hz": 40.0, "method": "mne", "bads": "keep"}
    assert asked.items() <= stored.preparation.items() and stored.sfreq_hz == 40.0
    assert stored.words[0]["onset_s"] == 1.0


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["armeny", "ROOT", "--store", "STORE"], "did you mean 'armeni'"),
        ([SMALL, "ROOT/none", "--store", "STORE"], "there is no such folder"),
        (["armeni", "ROOT", "--store", "STORE"], "holds no recording in the layout of armeni"),
        ([SMALL, "ROOT", "--store", "STORE", "--subjects", "sub-09"], "No recording has the subject 'sub-09'"),
        ([SMALL, "ROOT", "--store", "/proc/store"], "no store can be made there"),
        ([SMALL, "ROOT", "--store", "ROOT"], "holds something else"),
        ([SMALL, "ROOT", "--store", "STORE", "--set", "colour=red"], "no option 'colour'"),
        ([SMALL, "ROOT", "--store", "STORE", "--set", "colour"], "KEY=VALUE"),
        ([SMALL, "ROOT", "--store", "STORE", "--low", "50"], "0 < low_hz < high_hz"),
        ([SMALL, "ROOT", "--store", "STORE", "--limit", "-1"], "limit = -1"),
        ([SMALL, "ROOT", "--store", "STORE", "--report", "page.pdf"], "ends in .html"),
        ([SMALL, "ROOT", "--store", "STORE", "--codes", "none", "--window", "-3"], "window_s = -3"),
        ([SMALL, "ROOT", "--store", "STORE", "--window", "9", "--words"], "--window, --words: of use with --codes"),
    ],
)
def test_mistakes_end_with_one_sentence_and_2(root, store, capsys, words, sentence):
    assert run(*[word.replace("ROOT", str(root)).replace("STORE", str(store)) for word in words]) == 2
    said = capsys.readouterr().err
    assert sentence in said and said.startswith("megxl: error: ") and said.count("\n") == 1


def test_an_unwritable_store_is_refused_at_once(root, store, capsys, monkeypatch):
    assert run(SMALL, root, "--store", store) == 0
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # a superuser may write anywhere
    assert run(SMALL, root, "--store", store) == 2
    assert "cannot be written to" in capsys.readouterr().err


def test_no_name_of_a_person_enters_the_store_or_the_page(tmp_path, capsys):
    path = full_of_names.__wrapped__(tmp_path)
    path.rename(path.with_name("sub-01_task-rest_meg.fif"))
    words = [SMALL, path.parent, "--store", tmp_path / "store", "--report", tmp_path / "page.html"]
    assert run(*words, "--summary", tmp_path / "summary.json") == 0
    outputs = [path for path in (tmp_path / "store").rglob("*") if path.is_file()]
    assert len(outputs) >= 3
    for place in [*outputs, tmp_path / "page.html", tmp_path / "page.json", tmp_path / "summary.json"]:
        content = readable(place.read_bytes())
        assert_anonymous(content, place.name)
        assert str(tmp_path).encode() not in content
    said = capsys.readouterr()
    assert MARK not in (said.out + said.err).replace(str(tmp_path), "")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_it_stops_at_once_and_says_how_to_go_on(tmp_path, number, code):
    root, store = make_small(tmp_path / "root", subjects=1), tmp_path / "store"
    for other in range(2, 200):
        os.link(root / "sub-01_task-rest_meg.fif", root / f"sub-{other:03d}_task-rest_meg.fif")
    command = [sys.executable, "-m", "megxl", "prepare", SMALL, root, "--store", store, "--workers", "1"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, process_group=0)
    until = time.monotonic() + 60
    while not list(Path(store).glob("small/*/recording.json")):
        assert time.monotonic() < until and process.poll() is None
        time.sleep(0.05)
    os.killpg(process.pid, number)
    _, said = process.communicate(timeout=30)
    assert process.returncode == code and "the same command goes on" in said
    done = Store(store).keys()
    assert 0 < len(done) < 199 and Store(store).verify() == {}
    assert not list(Path(store).rglob(".*partial*"))


def test_codes_of_windows_and_words_lie_beside_the_recordings(root, store, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(window_progress, "_SECONDS_BETWEEN_LINES", 0.0)
    codec = BioCodec(BioCodecConfig(filters=2, width=8, code_width=4, lstm_layers=1)).eval()
    codec.save_pretrained(tmp_path / "codec")
    words = [SMALL, root, "--store", store, "--codes", tmp_path / "codec", "--window", "0.96", "--device", "cpu"]
    assert run(*words) == 0
    said, shown = capsys.readouterr()
    assert "6 items of 3 recordings encoded" in said and "of a sample came out again" in said
    assert [line for line in shown.splitlines() if "encoding:" in line] == [
        f"encoding: {done} of 6 windows" for done in range(1, 7)
    ]
    cached = CachedCodes(WindowGrid(window_s=0.96), codec_fingerprint(codec))
    recordings = Store(store).recordings()
    assert len({path.parent for path in store.rglob("codes.npy")}) == 3
    assert cached.check(recordings, codec) == 1.0
    assert run(*words, "--words") == 0
    said = capsys.readouterr().out
    assert "0 items of 0 recordings encoded, 3 had codes" in said and "codes of words" in said
    assert run(*words[:4], "--codes", tmp_path / "none") == 2 and "none" in capsys.readouterr().err


def test_damaged_codes_are_told_of_their_recording_and_repaired(root, store, tmp_path, capsys):
    codec = BioCodec(BioCodecConfig(filters=2, width=8, code_width=4, lstm_layers=1)).eval()
    codec.save_pretrained(tmp_path / "codec")
    words = [SMALL, root, "--store", store, "--codes", tmp_path / "codec", "--window", "0.96", "--device", "cpu"]
    assert run(*words) == 0
    (codes,) = (store / KEYS[1]).rglob("codes.npy")
    before = codes.read_bytes()
    codes.write_bytes(before[:-50])
    capsys.readouterr()
    assert run(*words) == 1
    assert f"no codes: {KEYS[1]} (windows): " in capsys.readouterr().out
    codes.write_bytes(before[:-1] + bytes([before[-1] ^ 1]))
    assert run(*words, "--repair") == 0 and codes.read_bytes() == before
    assert "1 recordings encoded" in capsys.readouterr().out


def test_outdated_recordings_get_no_codes_and_are_marked_on_the_page(root, store, tmp_path, capsys):
    codec = BioCodec(BioCodecConfig(filters=2, width=8, code_width=4, lstm_layers=1)).eval()
    codec.save_pretrained(tmp_path / "codec")
    assert run(SMALL, root, "--store", store) == 0
    words = ["--high", "20", "--limit", "1", "--codes", tmp_path / "codec", "--window", "0.96", "--device", "cpu"]
    assert run(SMALL, root, "--store", store, *words, "--report", tmp_path / "page.html") == 0
    assert "2 recordings still in the store as before (the settings changed)" in capsys.readouterr().out
    assert [path.parent.parent.parent.name for path in store.rglob("codes.npy")] == ["sub-01_task-rest"]
    assert (tmp_path / "page.html").read_text().count("OUTDATED") == 2


def test_another_audio_delay_moves_the_words_and_leaves_the_signal(tmp_path, store, capsys):
    folder = tmp_path / "own"
    folder.mkdir()
    make_recording(6.0).save(folder / "story_raw.fif", verbose="ERROR")
    (folder / "story_raw.tsv").write_text("onset\tduration\tword\n1\t0.2\ta\n2\t0.2\tb\n")
    assert run("files", folder, "--store", store) == 0
    (key,) = Store(store).keys()
    first = Store(store).recording(key)
    (signal_file,) = first.folder.glob("signal-*.npy")
    made_ns = signal_file.stat().st_mtime_ns
    assert run("files", folder, "--store", store, "--set", "audio_delay_s=0.25") == 0
    second = Store(store).recording(key)
    assert [word["onset_s"] for word in second.words] == [1.25, 2.25]
    # the file itself, not only its content: nothing was filtered again
    assert signal_file.stat().st_mtime_ns == made_ns and first.signal_sha256 == second.signal_sha256
    capsys.readouterr()
    assert run("files", folder, "--store", store, "--set", "audio_delay_s=0.25") == 0
    assert "1 recording in the store already" in capsys.readouterr().out
