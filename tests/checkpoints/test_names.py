"""Names of tensors, both ways: one table for released and own files."""

import math

import pytest

from megxl.checkpoints.names import codec_rows, model_rows, our_rows
from megxl.model.megxl import MEGXL
from megxl.sizes import BioCodecConfig, MEGXLConfig
from megxl.tokenizer.biocodec import BioCodec
from tests.checkpoints.making import CODEC, MODEL

PUBLISHED_CODEC = {
    "filters": 32, "strides": (2, 2, 3), "blocks": 2, "kernel": 3, "lstm_layers": 2, "width": 128, "levels": 6,
    "codes": 256, "code_width": 16,
}  # fmt: skip
PUBLISHED_MODEL = {
    **MODEL, "width": 512, "layers": 8, "heads": 8, "levels": 6, "codes": 256, "code_width": 16, "fourier_width": 250,
}  # fmt: skip


def numbers(rows) -> int:
    return sum(math.prod(row.shape) for row in rows)


def test_the_published_codec_has_its_number_of_parameters():
    rows = [row for row in codec_rows(PUBLISHED_CODEC) if "_codebook" not in row.released]
    assert numbers(rows) == 3_152_770


def test_the_published_model_has_its_number_of_parameters():
    rows = [row for row in model_rows(PUBLISHED_MODEL) if row.ours and not row.released.endswith(".B")]
    trained = [row for row in rows if not row.released.startswith("biocodec_embedding")]
    assert numbers(trained) == 22_112_768
    assert numbers(row for row in trained if ".layers." in row.released) == 21_016_576


def test_names_and_shapes_are_those_of_the_released_files_in_their_order(shared):
    lines = (shared / "golden" / "state_dict_keys.tsv").read_text().splitlines()
    published = [(name, shape) for name, shape, _ in (line.split("\t") for line in lines if not line.startswith("#"))]
    small = {**PUBLISHED_MODEL, "width": 64, "layers": 3, "heads": 4, "fourier_width": 50, "tokenizer": PUBLISHED_CODEC}
    rows = model_rows(small)
    assert [row.released for row in rows] == [name for name, _ in published]
    assert all(str(row.shape) == shape for row, (_, shape) in zip(rows, published, strict=True) if row.ours)


@pytest.mark.parametrize("rows", [codec_rows(CODEC), model_rows({**MODEL, "tokenizer": CODEC})])
def test_names_are_one_to_one(rows):
    kept = [row for row in rows if row.ours]
    assert len({row.released for row in rows}) == len(rows)
    assert len({(row.ours, row.part) for row in kept}) == len(kept)


def test_our_table_stacks_the_code_books():
    rows = {row.released: row.shape for row in our_rows(model_rows(MODEL))}
    assert rows["embedding.code_books"] == (3, 16, 4)
    assert not any(name is None or "rope" in name for name in rows)


@pytest.mark.parametrize("sizes", [{"blocks": 1, "strides": (2, 3, 4)}, {"blocks": 3}, {"strides": (5,)}])
def test_places_in_the_published_layout_count_every_module(sizes):
    # brute force: write down the encoder's modules one by one and look where the named ones stand
    config = {**CODEC, **sizes}
    modules = ["entry"]
    for s in range(len(config["strides"])):
        modules += [f"stages.{s}.blocks.{b}.dilated" for b in range(config["blocks"])] + [
            "activation",
            f"stages.{s}.down",
        ]
    modules += ["recurrence.lstm", "activation", "exit"]
    for row in codec_rows(config):
        if row.released.startswith("encoder.") and ".pointwise" not in row.ours:
            ours = modules[int(row.released.split(".")[2])]
            assert row.ours.startswith(f"encoder.{ours}.")


def test_the_model_and_codec_have_these_names():
    model = MEGXL(MEGXLConfig(**MODEL), BioCodec(BioCodecConfig(**CODEC)))
    expected = {row.released: row.shape for row in our_rows(model_rows({**MODEL, "tokenizer": CODEC}))}
    assert {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()} == expected
