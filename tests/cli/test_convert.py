"""`megxl convert`: the same weights there and back, and nothing overwritten unasked."""

import argparse

import pytest
import torch

from megxl.checkpoints.checkpoint import sha256_of
from megxl.cli import convert
from megxl.errors import InputError
from tests.checkpoints.making import assert_same_tensors, codec_file, codec_state, model_file


def megxl(*words) -> int:
    parser = argparse.ArgumentParser()
    convert.register(parser.add_subparsers())
    arguments = parser.parse_args(["convert", *map(str, words)])
    return arguments.run(arguments)


def test_there_and_back_gives_the_same_weights(tmp_path, capsys):
    source = model_file(tmp_path)
    assert megxl(source, tmp_path / "folder") == 0
    assert megxl(tmp_path / "folder", tmp_path / "back.ckpt") == 0
    assert_same_tensors(torch.load(tmp_path / "back.ckpt")["state_dict"], torch.load(source)["state_dict"])
    said = capsys.readouterr().out
    assert sha256_of(source) in said and sha256_of(tmp_path / "back.ckpt") in said
    assert "0 left out, 0 missing" in said and "skipped: loops, callbacks, optimizer_states, lr_schedulers" in said


def test_the_direction_follows_the_suffix(tmp_path):
    source = codec_file(tmp_path)
    megxl(source, tmp_path / "folder")
    assert (tmp_path / "folder" / "config.json").is_file()
    megxl(source, tmp_path / "copy.pt")
    assert "model_state_dict" in torch.load(tmp_path / "copy.pt")


def test_unknown_keys_need_consent_and_are_printed(tmp_path, capsys):
    source = codec_file(tmp_path, codec_state() | {"ema.a": torch.ones(1), "more": torch.ones(1)})
    with pytest.raises(InputError, match="--allow-unmatched"):
        megxl(source, tmp_path / "folder")
    megxl(source, tmp_path / "folder", "--allow-unmatched", "ema.*", "--allow-unmatched", "more")
    assert "left out: ema.a, more" in capsys.readouterr().out


def test_untrained_weights_are_said_to_be_so(tmp_path, capsys):
    megxl(model_file(tmp_path, global_step=1), tmp_path / "folder")
    assert "UNTRAINED WEIGHTS" in capsys.readouterr().out


def test_nothing_is_overwritten_without_being_told_to(tmp_path):
    source = codec_file(tmp_path)
    for out in (tmp_path / "folder", tmp_path / "copy.pt"):
        megxl(source, out)
        before = out.stat().st_ino
        with pytest.raises(InputError, match=r"exists already.*--overwrite"):
            megxl(source, out)
        assert out.stat().st_ino == before
        assert megxl(source, out, "--overwrite") == 0
        assert out.stat().st_ino != before


def test_the_input_is_never_overwritten(tmp_path):
    source = codec_file(tmp_path)
    folder = tmp_path / "folder"
    megxl(source, folder)
    (tmp_path / "link.pt").symlink_to(source)
    for given, out in (
        (source, source),
        (source, tmp_path / "link.pt"),
        (folder, folder),
        (folder / "model.safetensors", folder),
        (source, tmp_path),
    ):
        with pytest.raises(InputError, match="is, or holds, the checkpoint that is to be converted"):
            megxl(given, out, "--overwrite")


def test_a_folder_is_never_replaced_by_a_file(tmp_path):
    (tmp_path / "x.ckpt").mkdir()
    with pytest.raises(InputError, match=r"x\.ckpt is a folder, where a file is to be written"):
        megxl(codec_file(tmp_path), tmp_path / "x.ckpt", "--overwrite")


def test_a_place_that_cannot_be_is_refused_before_the_input_is_read(tmp_path):
    with pytest.raises(InputError, match=r"absent\) does not exist"):
        megxl(tmp_path / "not-there.pt", tmp_path / "absent" / "out")


@pytest.mark.parametrize("name", ["model.safetensors", "model.json"])
def test_a_folder_is_not_named_like_a_file(tmp_path, name):
    with pytest.raises(InputError, match="would become a folder"):
        megxl(model_file(tmp_path), tmp_path / name)
    assert not (tmp_path / name).exists()
