"""A model takes the tokenizer that it was trained with and no other, whatever its sizes."""

import dataclasses

import pytest
import torch

from megxl.checkpoints.files import read_checkpoint
from megxl.checkpoints.folder import write_checkpoint
from megxl.checkpoints.released import write_released
from megxl.errors import InputError
from megxl.model.megxl import MEGXL
from megxl.model.pairing import refuse_other_tokenizer
from megxl.sizes import BioCodecConfig, MEGXLConfig
from megxl.tokenizer.biocodec import BioCodec

CODEC = BioCodecConfig(filters=4, width=8, strides=(2, 5), levels=8, codes=300, code_width=4)
SIZES = MEGXLConfig(
    width=16, layers=1, heads=2, fourier_width=8, levels=8, codes=300, code_width=4, samples_per_token=10
)


@pytest.fixture
def codec() -> BioCodec:
    torch.manual_seed(0)
    return BioCodec(CODEC).eval()


def same(codec: BioCodec) -> BioCodec:
    other = BioCodec(codec.config).eval()
    other.load_state_dict(codec.state_dict())
    return other


@pytest.mark.parametrize(
    "name", ["quantizer.levels.7.code_book", "encoder.exit.bias", "quantizer.levels.0.project_in.weight"]
)
@pytest.mark.parametrize("form", ["model", "model.ckpt"])
def test_one_other_number_is_enough_to_refuse_a_tokenizer_of_equal_sizes(tmp_path, codec, name, form):
    write = write_released if "." in form else write_checkpoint
    write(tmp_path / form, MEGXL(SIZES, codec).to_checkpoint())
    other = same(codec)
    other.state_dict()[name].view(-1)[-1] += 1e-3
    assert MEGXL.from_pretrained(tmp_path / form, same(codec)).tokenizer.config == CODEC
    with pytest.raises(InputError, match=rf"not the one .*first difference: {name}"):
        MEGXL.from_pretrained(tmp_path / form, other)


def test_statistics_of_a_tokenizer_s_training_do_not_count(tmp_path, codec):
    MEGXL(SIZES, codec).save_pretrained(tmp_path / "model")
    other = same(codec)
    for level in other.quantizer.levels:
        level.counts += 3
        level.sums *= 2
    MEGXL.from_pretrained(tmp_path / "model", other)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"levels": 6}, "levels = 6, the model wants 8"),
        ({"codes": 256}, "codes = 256, the model wants 300"),
        ({"strides": (2, 2, 3)}, "samples_per_token = 12, the model wants 10"),
        ({"strides": (5, 2)}, r"first difference: strides = \(5, 2\), not \(2, 5\)"),
        ({"width": 12}, "first difference: width = 12, not 8"),
    ],
)
def test_other_sizes_are_named(tmp_path, codec, changes, said):
    MEGXL(SIZES, codec).save_pretrained(tmp_path / "model")
    with pytest.raises(InputError, match=said):
        MEGXL.from_pretrained(tmp_path / "model", BioCodec(dataclasses.replace(CODEC, **changes)))


def test_a_model_without_its_codec_knows_it_by_the_code_books(tmp_path, codec, monkeypatch):
    model = MEGXL(SIZES, codec)
    model.tokenizer = None
    bare = write_checkpoint(tmp_path / "bare", model.to_checkpoint())
    refuse_other_tokenizer(read_checkpoint(bare), same(codec))
    other = same(codec)
    other.quantizer.levels[3].code_book[299, 3] += 1e-6
    with pytest.raises(InputError, match="code books are not those"):
        refuse_other_tokenizer(read_checkpoint(bare), other)
    monkeypatch.chdir(tmp_path)
    write_released(tmp_path / "brainstorm" / "neuro_tokenizers" / "biocodec_ckpt.pt", other.to_checkpoint())
    with pytest.raises(InputError, match=r"biocodec_ckpt\.pt was taken, since no tokenizer was named: .*code books"):
        MEGXL.from_pretrained("bare")


def test_what_a_codec_says_of_its_training_stays_with_the_model(tmp_path, codec):
    codec.recipe = {"signal": {"sfreq_hz": 250.0, "block_s": 3.0}}
    model = MEGXL(SIZES, codec)
    for place, write in (("model", write_checkpoint), ("model.ckpt", write_released)):
        write(tmp_path / place, model.to_checkpoint())
        again = MEGXL.from_pretrained(tmp_path / place)
        assert again.tokenizer.recipe == codec.recipe and "tokenizer" not in again.recipe
        assert again.to_checkpoint().training == read_checkpoint(tmp_path / place).training
