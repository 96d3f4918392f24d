"""`megxl demo`: a recording, its features and a report without any file of one's own."""

import pytest

from megxl.cli import main
from megxl.extraction import load_embedding
from megxl.signals.reading import open_recording
from tests.small import short_recording


def test_the_demo_makes_a_recording_features_and_a_report(tmp_path, capsys):
    words = ["demo", "--out", str(tmp_path / "new" / "demo"), "--seconds", "4", "--size", "tiny"]
    assert main(words) == 0
    out = tmp_path / "new" / "demo"
    assert sorted(path.name for path in out.iterdir()) == ["features.npz", "report.html", "simulated_raw.fif"]
    said = capsys.readouterr().out
    assert "RANDOM WEIGHTS" in said and "megxl embed RECORDING --model" in said
    embedding = load_embedding(out / "features.npz")
    assert embedding.features.shape == (1, 306, 64) and embedding.warning.startswith("RANDOM WEIGHTS")
    assert "RANDOM WEIGHTS" in (out / "report.html").read_text(encoding="utf-8")
    assert open_recording(out / "simulated_raw.fif").n_times == 1000
    assert main(words) == 2 and "exists already" in capsys.readouterr().err
    assert main([*words, "--overwrite"]) == 0


def test_the_demo_takes_a_recording_of_ones_own(tmp_path):
    short_recording().save(tmp_path / "own_raw.fif", verbose="ERROR")
    assert main(["demo", str(tmp_path / "own_raw.fif"), "--out", str(tmp_path / "demo"), "--size", "tiny"]) == 0
    embedding = load_embedding(tmp_path / "demo" / "features.npz")
    assert embedding.provenance["recording"]["files"] == ["own_raw.fif"] and len(embedding.sensors) == 15
    assert not (tmp_path / "demo" / "simulated_raw.fif").exists()


@pytest.mark.slow
def test_the_full_size_model_embeds_a_short_recording(tmp_path):
    assert main(["demo", "--out", str(tmp_path / "demo"), "--seconds", "4"]) == 0
    assert load_embedding(tmp_path / "demo" / "features.npz").features.shape == (1, 306, 512)


def test_a_recording_in_the_way_is_not_replaced(tmp_path, capsys):
    (tmp_path / "simulated_raw.fif").write_text("mine")
    words = ["demo", "--out", str(tmp_path), "--seconds", "4", "--size", "tiny"]
    assert main(words) == 2
    assert "simulated_raw.fif exists already" in capsys.readouterr().err
    assert [path.read_text() for path in tmp_path.iterdir()] == ["mine"]


@pytest.mark.parametrize("moment", ["make_recording", "save"])
def test_an_interrupt_before_there_is_a_recording_leaves_nothing(tmp_path, monkeypatch, moment):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    whole = "megxl.corpora.simulated.make_recording" if moment == "make_recording" else "mne.io.RawArray.save"
    monkeypatch.setattr(whole, interrupt)
    assert main(["demo", "--out", str(tmp_path / "new" / "demo"), "--seconds", "4", "--size", "tiny"]) == 130
    assert list(tmp_path.iterdir()) == []
