"""`megxl embed`: features and a report from a recording, one sentence for each mistake."""

import errno
import os

import numpy as np
import pytest

from megxl.checkpoints.checkpoint import sha256_of
from megxl.cli import main
from megxl.extraction import embed_recording, load_embedding
from megxl.model.megxl import MEGXL
from megxl.tokenizer.biocodec import BioCodec
from tests.small import TINY, electrodes, short_recording, small_model, write_montage


def run(*words) -> int:
    return main([*map(str, words), "--device", "cpu"])


@pytest.fixture
def model(tmp_path):
    """Folder of a small model that carries its codec, in a place of its own."""
    return small_model().save_pretrained(tmp_path / "weights" / "model")


@pytest.fixture
def recording(tmp_path):
    path = tmp_path / "in" / "some_raw.fif"
    path.parent.mkdir()
    short_recording(bads=1).save(path, verbose="ERROR")
    return path


@pytest.fixture
def place(tmp_path):
    """Empty folder to write to."""
    (tmp_path / "place").mkdir()
    return tmp_path / "place"


@pytest.mark.parametrize("name", ["features", "features.npz"])
def test_a_recording_becomes_features_and_a_report(recording, model, place, capsys, name):
    out, report = place / name, place / "report.html"
    assert run("embed", recording, "--model", model, "--out", out, "--report", report) == 0
    said = capsys.readouterr()
    assert "15 x 25 x 64" in said.out and "RANDOM WEIGHTS" in said.out and "MEG 0113" in said.out
    (line,) = [line for line in said.out.splitlines() if "SHA-256" in line]  # the model carries its codec
    assert line.split()[1:] == ["model,", "SHA-256", sha256_of(model / "model.safetensors")]
    assert "preparing: 15 of 15 channels" in said.err and "tokens/s" in said.err
    expected = embed_recording(MEGXL.from_pretrained(model), recording)
    np.testing.assert_array_equal(load_embedding(out).features, expected.features)
    assert sorted(path.name for path in place.iterdir()) == [name, "report.html"]
    assert "RANDOM WEIGHTS" in report.read_text(encoding="utf-8")


def test_options_reach_the_extraction(recording, model, place):
    options = "--window 2.4 --channels grad --bads keep --pooling time --layer 1 --dtype bfloat16 --compat reference"
    words = [*options.split(), "--threads", "1", "--exclude", "MEG 0113", "MEG 0112"]
    assert run("embed", recording, "--model", model, "--out", place / "f", *words) == 0
    embedding = load_embedding(place / "f")
    assert embedding.features.shape == (25, 64) and len(embedding.sensors) == 8
    asked = {"window_s": 2.4, "channels": "grad", "exclude": ["MEG 0113", "MEG 0112"], "bads": "keep"}
    asked |= {"pooling": "time", "layer": 1, "dtype": "bfloat16", "compat": "reference"}
    assert asked.items() <= embedding.settings.items()


def test_a_report_inside_the_features_is_refused_although_the_folder_is_there(recording, model, place, capsys):
    words = ["embed", recording, "--model", model, "--out", place / "f", "--overwrite"]
    assert run(*words) == 0
    capsys.readouterr()
    assert run(*words, "--report", place / "f" / "r.html") == 2
    assert "put the report beside it" in capsys.readouterr().err and not (place / "f" / "r.html").exists()


def test_overwrite_allows_to_replace(recording, model, place, capsys):
    words = ["embed", recording, "--model", model, "--out", place / "f.npz", "--report", place / "r.html"]
    assert run(*words) == 0
    before = (place / "f.npz").read_bytes()
    assert run(*words, "--pooling", "time") == 2
    assert "exists already" in capsys.readouterr().err and (place / "f.npz").read_bytes() == before
    assert run(*words, "--pooling", "time", "--overwrite") == 0
    assert load_embedding(place / "f.npz").features.shape == (25, 64)


def test_a_model_without_codec_takes_the_one_given_or_the_one_in_the_default_place(
    recording, tmp_path, place, capsys, monkeypatch
):
    codec = BioCodec()
    bare = MEGXL(TINY, codec)
    bare.tokenizer = None
    bare.save_pretrained(tmp_path / "bare")
    codec.save_pretrained(tmp_path / "codec")
    words = ["embed", recording, "--model", tmp_path / "bare", "--out", place / "f.npz", "--overwrite"]
    monkeypatch.chdir(tmp_path)
    assert run(*words) == 2
    assert "brainstorm/neuro_tokenizers/biocodec_ckpt.pt" in capsys.readouterr().err
    assert run(*words, "--tokenizer", tmp_path / "codec") == 0
    said = capsys.readouterr().out
    assert all(
        f"{name}, SHA-256 {sha256_of(tmp_path / name / 'model.safetensors')}" in said for name in ("bare", "codec")
    )
    given = load_embedding(place / "f.npz").features.copy()
    default = tmp_path / "brainstorm" / "neuro_tokenizers"
    default.mkdir(parents=True)
    assert main(["convert", str(tmp_path / "codec"), str(default / "biocodec_ckpt.pt")]) == 0
    assert run(*words) == 0
    np.testing.assert_array_equal(load_embedding(place / "f.npz").features, given)


def test_electrodes_with_a_montage(tmp_path, model, place, capsys):
    raw = electrodes(9)
    montage = write_montage(tmp_path / "places.csv", raw.get_montage().get_positions()["ch_pos"])
    raw.set_montage(None).save(tmp_path / "eeg_raw.fif", verbose="ERROR")
    words = ["embed", tmp_path / "eeg_raw.fif", "--model", model, "--out", place / "f.npz"]
    assert run(*words) == 2
    said = capsys.readouterr().err
    assert "have no position" in said and "--montage" in said and list(place.iterdir()) == []
    assert run(*words, "--montage", montage) == 0
    assert sum("never saw EEG" in note for note in load_embedding(place / "f.npz").notes) == 1


MISTAKES = {
    "no recording": ("embed", "{in}/nothing.fif", "--model", "{model}", "--out", "{place}/f.npz"),
    "a text as recording": ("embed", "{in}/notes.txt", "--model", "{model}", "--out", "{place}/f.npz"),
    "a damaged recording": ("embed", "{in}/cut_raw.fif", "--model", "{model}", "--out", "{place}/f.npz"),
    "no model": ("embed", "{rec}", "--model", "{in}/nothing.ckpt", "--out", "{place}/f.npz"),
    "a recording as model": ("embed", "{rec}", "--model", "{rec}", "--out", "{place}/f.npz"),
    "a codec as model": ("embed", "{rec}", "--model", "{in}/codec", "--out", "{place}/f.npz"),
    "a model as codec": ("embed", "{rec}", "--model", "{model}", "--tokenizer", "{model}", "--out", "{place}/f"),
    "another codec": ("embed", "{rec}", "--model", "{model}", "--tokenizer", "{in}/codec", "--out", "{place}/f"),
    "a layer too deep": ("embed", "{rec}", "--model", "{model}", "--out", "{place}/f.npz", "--layer", "3"),
    "a broken window": ("embed", "{rec}", "--model", "{model}", "--out", "{place}/f.npz", "--window", "1"),
    "a window of nothing": ("embed", "{rec}", "--model", "{model}", "--out", "{place}/f.npz", "--window", "0"),
    "no electrodes": ("embed", "{rec}", "--model", "{model}", "--out", "{place}/f.npz", "--channels", "eeg"),
    "an unknown channel": ("embed", "{rec}", "--model", "{model}", "--out", "{place}/f.npz", "--exclude", "MEG 9999"),
    "no folder": ("embed", "{rec}", "--model", "{model}", "--out", "{place}/no/f.npz"),
    "a report of another kind": (
        "embed",
        "{rec}",
        "--model",
        "{model}",
        "--out",
        "{place}/f",
        "--report",
        "{place}/r.pdf",
    ),
    "a page as features": (
        "embed",
        "{rec}",
        "--model",
        "{model}",
        "--out",
        "{place}/q.html",
        "--report",
        "{place}/q.html",
    ),
    "a report among the features": (
        "embed",
        "{rec}",
        "--model",
        "{model}",
        "--out",
        "{in}/f",
        "--report",
        "{in}/f/r.html",
    ),
    "a text as features": ("embed", "{rec}", "--model", "{model}", "--out", "{place}/f.txt"),
    "a window of no length": ("embed", "{rec}", "--model", "{model}", "--out", "{place}/f", "--window", "nan"),
    "one array as features": ("embed", "{rec}", "--model", "{model}", "--out", "{place}/f.npy"),
    "an endless name": ("embed", "{rec}", "--model", "{model}", "--out", "{place}/" + 256 * "f"),
    "a device of no kind": ("embed", "{rec}", "--model", "{model}", "--out", "{place}/f", "--device", "foo"),
    "no threads": ("embed", "{rec}", "--model", "{model}", "--out", "{place}/f.npz", "--threads", "0"),
    "nothing to describe": ("info", "{in}/nothing"),
    "neither file nor folder": ("info", "/dev/null"),
    "an endless name to describe": ("info", 256 * "f"),
    "an archive of others": ("info", "{in}/other.npz"),
    "a demo of nothing": ("demo", "--recording", "{in}/nothing.fif", "--out", "{place}/demo"),
    "a demo of a text": ("demo", "--recording", "{in}/notes.txt", "--out", "{place}/demo"),
    "a demo below a file": ("demo", "--out", "{in}/notes.txt/demo"),
    "a demo into a file": ("demo", "--out", "{in}/notes.txt"),
    "figures to nowhere": ("bench", "model", "--json", "{place}/no/speed.json"),
    "a bench on no device": ("bench", "model", "--device", "foo"),
    "a demo of no processors": ("demo", "--out", "{place}/demo", "--processors", "0"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_gets_one_sentence_and_leaves_nothing(recording, model, place, capsys, mistake):
    folder = recording.parent
    (folder / "notes.txt").write_text("not a recording")
    (folder / "cut_raw.fif").write_bytes(recording.read_bytes()[:20_000])
    np.savez(folder / "other.npz", a=np.zeros(3))
    if "{in}/codec" in MISTAKES[mistake]:
        BioCodec().save_pretrained(folder / "codec")
    places = {"rec": recording, "in": folder, "model": model, "place": place}
    assert main([word.format(**places) for word in MISTAKES[mistake]]) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.startswith("megxl: error: ")
    assert said.err.count("\n") == 1 and "Traceback" not in said.err and len(said.err) < 500
    assert list(place.iterdir()) == []


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (PermissionError(errno.EACCES, "Permission denied", "/data/f"), "/data/f: Permission denied."),
        (OSError(errno.ENOSPC, "No space left on device"), "No space left on device."),
    ],
)
def test_what_the_operating_system_refuses_is_a_sentence(recording, model, place, capsys, monkeypatch, error, sentence):
    def refuse(*_):
        raise error

    monkeypatch.setattr(os, "mkdir", refuse)
    assert run("embed", recording, "--model", model, "--out", place / "f.npz") == 2
    assert capsys.readouterr().err.splitlines()[-1] == f"megxl: error: {sentence}"
    assert list(place.iterdir()) == []


def test_a_gpu_that_is_not_there_is_named(recording, model, place, capsys):
    words = ["embed", str(recording), "--model", str(model), "--out", str(place / "f"), "--device"]
    assert main([*words, "cuda:64"]) == 2
    assert "sees no cuda:64 device" in capsys.readouterr().err
    assert main([*words, "cuda:x"]) == 2
    assert "--device cuda:x is not known" in capsys.readouterr().err
