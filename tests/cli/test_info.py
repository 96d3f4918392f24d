"""`megxl info`: what recordings, checkpoints and embeddings hold, as `megxl embed` would take them."""

import json

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from megxl.checkpoints.checkpoint import sha256_of
from megxl.cli import main
from megxl.extraction import embed_recording
from megxl.model.megxl import MEGXL
from tests.small import electrodes, short_recording, small_model


def facts(capsys, path) -> dict:
    capsys.readouterr()  # what was printed before
    assert main(["info", str(path), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def said(capsys, path) -> str:
    assert main(["info", str(path)]) == 0
    return capsys.readouterr().out


def test_a_recording(tmp_path, capsys):
    path = tmp_path / "some_raw.fif"
    short_recording(6.0, bads=2).save(path, verbose="ERROR")
    known = facts(capsys, path)
    assert known["what"] == "a recording" and known["channels"] == {"grad": 10, "mag": 5}
    assert known["duration_s"] == pytest.approx(6.0) and known["sfreq_hz"] == 250 and len(known["bads"]) == 2
    sensors, windows, tokens = known["embed"].split("; ")
    assert sensors == "would take 15 MEG sensors (2 of them bad: masked)"
    assert (windows, tokens) == ("windows of 150 s: 1, the last one shorter", "tokens a sensor: 25")
    text = said(capsys, path)
    assert text.startswith("some_raw.fif: a recording\n") and "grad 10, mag 5" in text


def test_what_embed_would_do_is_what_it_does(tmp_path, capsys):
    path = tmp_path / "some_raw.fif"
    short_recording(7.0).save(path, verbose="ERROR")
    embedding = embed_recording(small_model(), path)
    assert facts(capsys, path)["embed"].endswith(f"tokens a sensor: {len(embedding.times_s)}")


def test_a_recording_that_embed_would_refuse(tmp_path, capsys):
    path = tmp_path / "eeg_raw.fif"
    electrodes(4).set_montage(None).save(path, verbose="ERROR")
    assert facts(capsys, path)["embed"].startswith("would refuse: 4 of 4 electrodes have no position")


def test_a_checkpoint(tmp_path, capsys):
    folder = small_model().save_pretrained(tmp_path / "model")
    known = facts(capsys, folder)
    assert known["what"] == "a MEG-XL model" and known["config"]["width"] == 64
    assert known["sha256"] == sha256_of(folder / "model.safetensors")
    assert known["warning"].startswith("RANDOM WEIGHTS") and "!! RANDOM WEIGHTS" in said(capsys, folder)


def test_a_released_checkpoint(shared, capsys):
    path = shared / "golden" / "megxl_small.ckpt"
    known = facts(capsys, path)
    assert known["sha256"] == sha256_of(path) and known["steps"] == 1 and known["keys"]["matched"] > 200
    assert known["warning"].startswith("UNTRAINED WEIGHTS")


@pytest.mark.parametrize("name", ["features", "features.npz"])
def test_an_embedding(tmp_path, capsys, name):
    embedding = embed_recording(small_model(), short_recording(bads=1), pooling="sensor", out=tmp_path / name)
    known = facts(capsys, tmp_path / name)
    assert known["shape"] == [1, 15, 64] and known["settings"] == embedding.settings
    assert known["bad_sensors"] == [embedding.sensors.names[0]]
    assert known["warning"] == embedding.warning
    text = said(capsys, tmp_path / name)
    assert f"!! {embedding.warning}" in text and "1 x 15 x 64" in text


def test_maxshield_is_told_and_needs_consent(shared, tmp_path, capsys):
    path = shared / "realdata/meg_neuromag306/test_move_anon_erm_raw.fif"
    known = facts(capsys, path)
    assert known["maxshield"] is True and known["embed"].endswith("; only with --allow-maxshield")
    model = str(small_model().save_pretrained(tmp_path / "model"))
    words = ["embed", str(path), "--model", model, "--out", str(tmp_path / "f.npz"), "--pooling", "sensor"]
    assert main(words) == 2
    assert "--allow-maxshield" in capsys.readouterr().err and not (tmp_path / "f.npz").exists()
    assert main([*words, "--allow-maxshield"]) == 0


def test_damaged_embeddings_are_refused_in_a_sentence(tmp_path, capsys):
    np.savez(tmp_path / "other.npz", features=np.zeros(3))
    assert main(["info", str(tmp_path / "other.npz")]) == 2
    assert "does not hold features" in capsys.readouterr().err
    out = tmp_path / "features"
    embed_recording(small_model(), short_recording(), out=out)
    (out / "energy.npy").unlink()
    assert main(["info", str(out)]) == 2
    said = capsys.readouterr().err
    assert said.startswith("megxl: error: features is damaged or incomplete") and said.count("\n") == 1


def test_keys_that_nothing_knows_are_shown_not_refused(tmp_path, capsys):
    folder = small_model().save_pretrained(tmp_path / "model")
    path = folder / "model.safetensors"
    with safe_open(path, "pt") as file:
        save_file(load_file(path) | {"memory.of.tomorrow": torch.ones(2)}, path, file.metadata())
    assert facts(capsys, folder)["keys"]["unmatched"] == ["memory.of.tomorrow"]
    (row,) = [line for line in said(capsys, folder).splitlines() if "unknown keys" in line]
    assert row.split() == ["unknown", "keys", "memory.of.tomorrow"]


def test_the_table_is_for_people(tmp_path, capsys):
    path = tmp_path / "some_raw.fif"
    short_recording(6.0).save(path, verbose="ERROR")
    lines = [" ".join(line.split()) for line in said(capsys, path).splitlines()]
    assert "sampling rate 250 Hz" in lines and "duration 6 s" in lines
    assert not any("ctf" in line or "hz" in line for line in lines)
    folder = small_model().save_pretrained(tmp_path / "model")
    embed_recording(MEGXL.from_pretrained(folder), path, out=tmp_path / "f.npz", pooling="sensor")
    text = said(capsys, tmp_path / "f.npz")
    assert text.count(sha256_of(folder / "model.safetensors")) == 1  # of the model, which carries the codec
    assert any(line.split()[:2] == ["model", "config"] for line in text.splitlines())


def test_derived_tables_are_counted(shared, capsys):
    text = said(capsys, shared / "golden" / "megxl_small.ckpt")
    assert "derived 6," in text and "rope_embedding" not in text


def test_the_compensation_of_ctf_is_told_of_ctf(shared, capsys):
    assert "ctf compensation grade" in said(capsys, shared / "realdata/meg_ctf/somMDYO-18av.ds")


def test_a_run(tmp_path, capsys):
    pytest.importorskip("lightning.pytorch")
    from megxl.training.config import PretrainConfig
    from megxl.training.runs import Run

    corpora = [{"type": "camcan", "data_root": "/data"}]
    config = PretrainConfig.from_dict({"datasets_config": corpora, "run": str(tmp_path / "first")})
    Run.create(config, environment={}).set_status("failed", message="why it ended")
    known = facts(capsys, tmp_path / "first")
    assert (known["what"], known["state"], known["message"]) == ("a run of `megxl pretrain`", "failed", "why it ended")
    assert known["weights"] is None and known["report"] is None
    assert "why it ended" in said(capsys, tmp_path / "first")


def test_rates_and_durations_are_told_apart(tmp_path, capsys):
    pytest.importorskip("lightning.pytorch")
    from megxl.training.runs import Run
    from megxl.training.tokenizer.config import TokenizerConfig

    corpora = [{"type": "camcan", "data_root": "/data"}]
    config = TokenizerConfig.from_dict({"datasets_config": corpora, "run": str(tmp_path / "codec")})
    Run.create(config, environment={})
    (tmp_path / "codec" / "validation.csv").write_text("step,bits_per_s,block_s\n5,96.5,3\n")
    Run.open(tmp_path / "codec").set_status("running")
    assert "bits a second 96.5, block 3 s" in said(capsys, tmp_path / "codec")
