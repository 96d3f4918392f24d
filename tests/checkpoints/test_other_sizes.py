"""Codecs and models of other sizes than the published go to the released formats and back, number by number."""

from dataclasses import asdict

import pytest
import torch

from megxl.checkpoints.files import read_checkpoint
from megxl.checkpoints.released import write_released
from megxl.cli import main
from megxl.model.megxl import MEGXL
from megxl.sizes import BioCodecConfig, MEGXLConfig
from megxl.tokenizer.biocodec import BioCodec
from tests.checkpoints.making import assert_same_tensors

SIZES = {
    "one stride": BioCodecConfig(filters=3, strides=(5,), levels=1, codes=16, width=8, code_width=2),
    "two strides": BioCodecConfig(filters=4, strides=(2, 5), levels=3, codes=300, width=12, code_width=4, kernel=5),
    "other order": BioCodecConfig(filters=4, strides=(5, 2), levels=8, codes=16, width=8, code_width=8, blocks=1),
    "many codes": BioCodecConfig(filters=2, strides=(2, 2, 2), levels=1, codes=1024, width=8, code_width=3),
    "four strides": BioCodecConfig(filters=2, strides=(1, 2, 3, 2), levels=2, codes=5, width=6, lstm_layers=1),
}


def trained(config: BioCodecConfig) -> BioCodec:
    """Codec with statistics of a training in its code books, and what it says of it."""
    torch.manual_seed(0)
    codec = BioCodec(config).eval()
    for level in codec.quantizer.levels:
        level.counts.uniform_(0, 9)
        level.sums.normal_()
    codec.recipe = {"epoch": 2, "signal": {"sfreq_hz": 50.0, "low_hz": 0.1, "high_hz": 40.0, "block_s": None}}
    codec.provenance = {"weights": "loaded", "steps": 2000, "recordings": {"armeni": {"train": ["a"]}}}
    return codec


@pytest.mark.parametrize("config", SIZES.values(), ids=SIZES)
@pytest.mark.parametrize("bare", [False, True])
def test_a_codec_of_any_size_survives_the_released_file(tmp_path, config, bare):
    codec = trained(config)
    path = write_released(tmp_path / "codec.pt", codec.to_checkpoint())
    content = torch.load(path, weights_only=True)
    state = content["model_state_dict"]
    # by the rules of the published layout
    assert {"epoch", "model_state_dict", "optimizer_state_dict", "scheduler_state_dict"} <= content.keys()
    assert all(name.startswith("_orig_mod.") for name in state)
    assert state["_orig_mod.encoder.model.0.conv.conv.parametrizations.weight.original0"].shape == (
        config.filters,
        1,
        1,
    )
    top = config.filters * 2 ** len(config.strides)
    transposed = "_orig_mod.decoder.model.3.convtr.convtr.parametrizations.weight.original"
    assert state[f"{transposed}0"].shape == (top, 1, 1)
    assert state[f"{transposed}1"].shape == (top, top // 2, 2 * config.strides[-1])
    if bare:  # all sizes can be measured: nothing but the published sections is needed for the weights
        del content["megxl"]
        torch.save(content, path)
    again = BioCodec.from_pretrained(path)
    assert again.config == config
    assert_same_tensors(dict(again.state_dict()), dict(codec.state_dict()))
    assert again.recipe == ({"epoch": 2} if bare else codec.recipe)
    signal_BCT = torch.randn(1, 2, 101)
    assert torch.equal(again.tokenize(signal_BCT), codec.tokenize(signal_BCT))


@pytest.mark.parametrize("config", SIZES.values(), ids=SIZES)
def test_convert_leads_to_the_released_format_and_back(tmp_path, capsys, config):
    codec = trained(config)
    sizes = MEGXLConfig(
        width=16, layers=1, heads=2, fourier_width=8, levels=config.levels, codes=config.codes, dropout=0.2,
        code_width=config.code_width, samples_per_token=config.samples_per_token, sfreq_hz=64.0,
    )  # fmt: skip
    for kind, made in (("codec", codec), ("model", MEGXL(sizes, codec))):
        ending = "pt" if kind == "codec" else "ckpt"
        made.save_pretrained(tmp_path / kind)
        assert main(["convert", str(tmp_path / kind), str(tmp_path / f"out.{ending}")]) == 0
        assert main(["convert", str(tmp_path / f"out.{ending}"), str(tmp_path / f"{kind}-back")]) == 0
        one, two = (read_checkpoint(tmp_path / name) for name in (kind, f"{kind}-back"))
        made_up = {"rope_length"}  # of a table that released models have and fresh ones need not
        told = {name: value for name, value in two.training.items() if name not in made_up}
        assert (one.config, one.training) == (two.config, told)
        assert_same_tensors(two.tensors, one.tensors)
    assert one.config == asdict(sizes) | {"tokenizer": asdict(config)}
    assert "warning" not in capsys.readouterr().err


def test_info_shows_the_signals_that_a_tokenizer_was_trained_on(tmp_path, capsys):
    codec = trained(SIZES["one stride"])
    sizes = MEGXLConfig(width=16, layers=1, heads=2, fourier_width=8, levels=1, codes=16, code_width=2,
                        samples_per_token=5)  # fmt: skip
    codec.save_pretrained(tmp_path / "codec")
    MEGXL(sizes, codec).save_pretrained(tmp_path / "model")
    for name in ("codec", "model"):
        assert main(["info", str(tmp_path / name)]) == 0
        assert "sampling rate 50 Hz, low 0.1 Hz, high 40 Hz" in capsys.readouterr().out
