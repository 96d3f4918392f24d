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
    assert "random or untrained" in capsys.readouterr().out
