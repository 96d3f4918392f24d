"""Our checkpoint folder: weights come back bit by bit, and it is written whole or not at all."""

import json
import tempfile
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from megxl.checkpoints.checkpoint import Checkpoint
from megxl.checkpoints.folder import read_folder, write_checkpoint
from megxl.checkpoints.names import our_rows, table_of
from megxl.checkpoints.released import read_released, write_released
from megxl.errors import InputError
from megxl.sizes import BioCodecConfig, MEGXLConfig
from tests.checkpoints.making import CODEC, MODEL, assert_same_tensors, codec_file, model_file


@pytest.fixture
def codec(tmp_path):
    return read_released(codec_file(tmp_path))


@pytest.fixture
def model(tmp_path):
    return read_released(model_file(tmp_path))


def change_config(folder, **changes):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def change_tensors(folder, change):
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors")


def test_a_model_comes_back_as_it_was(tmp_path, model):
    again = read_folder(write_checkpoint(tmp_path / "m", model))
    assert_same_tensors(dict(sorted(again.tensors.items())), dict(sorted(model.tensors.items())))
    assert (again.kind, again.config, again.training) == (model.kind, model.config, model.training)
    assert again.config == {**MODEL, "tokenizer": CODEC}
    assert again.provenance["source"] == model.provenance
    assert (again.provenance["format"], again.provenance["file"], again.provenance["steps"]) == ("megxl", "m", 113000)


def test_the_origin_stays_and_does_not_grow(tmp_path, codec):
    again = codec
    for n in range(3):
        again = read_folder(write_checkpoint(tmp_path / f"c{n}", again))
    assert again.provenance["source"] == codec.provenance


@pytest.mark.parametrize("provenance", [{"weights": "random"}, {"weights": "loaded", "untrained": True}, {"steps": 12}])
def test_untrained_weights_are_marked_loudly(tmp_path, codec, provenance):
    folder = write_checkpoint(tmp_path / "c", replace(codec, provenance=provenance))
    card = (folder / "README.md").read_text()
    assert "RANDOMLY INITIALISED OR UNTRAINED WEIGHTS" in card and "- untrained" in card
    assert read_folder(folder).provenance["untrained"] is True


def test_the_card_says_what_it_is_and_how_to_load_it(tmp_path, model):
    card = (write_checkpoint(tmp_path / "m", model) / "README.md").read_text()
    assert card.startswith("---\nlibrary_name: megxl\n") and "license:" in card.split("---")[1]
    assert "UNTRAINED" not in card
    assert model.provenance["sha256"] in card and "megxl.MEGXL.from_pretrained" in card


def test_an_existing_checkpoint_is_replaced_whole(tmp_path, codec, model):
    folder = write_checkpoint(tmp_path / "x", codec)
    with pytest.raises(InputError, match=r"exists already.*overwrite=True"):
        write_checkpoint(folder, model)
    assert read_folder(write_checkpoint(folder, model, overwrite=True)).kind == "megxl"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["codec.pt", "model.ckpt", "x"]


def test_a_write_that_fails_half_way_leaves_the_old_checkpoint_and_no_litter(tmp_path, codec, model, monkeypatch):
    def full_disk(_):
        raise OSError(28, "No space left on device")

    folder = write_checkpoint(tmp_path / "x", codec)
    monkeypatch.setattr("megxl.checkpoints.folder.model_card", full_disk)
    with pytest.raises(OSError, match="No space left"):
        write_checkpoint(folder, model, overwrite=True)
    assert read_folder(folder).kind == "biocodec"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["codec.pt", "model.ckpt", "x"]


def test_an_empty_folder_is_used(tmp_path, codec):
    (tmp_path / "x").mkdir()
    assert read_folder(write_checkpoint(tmp_path / "x", codec)).kind == "biocodec"


@pytest.mark.parametrize("ours", [True, False])
def test_a_folder_with_anything_else_in_it_is_left_alone(tmp_path, codec, ours):
    folder = tmp_path / "x"
    if ours:
        write_checkpoint(folder, codec)
    folder.mkdir(exist_ok=True)
    (folder / "thesis.txt").write_text("years of work")
    with pytest.raises(InputError, match="something else in it and is never replaced"):
        write_checkpoint(folder, codec, overwrite=True)
    assert (folder / "thesis.txt").read_text() == "years of work"


def test_a_foreign_config_is_not_overwritten(tmp_path, codec):
    folder = tmp_path / "x"
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(InputError, match="something else in it and is never replaced"):
        write_checkpoint(folder, codec, overwrite=True)
    with pytest.raises(InputError, match="another program's"):
        read_folder(folder)


def test_tensors_that_do_not_fit_are_not_written(tmp_path, codec):
    tensors = codec.tensors | {"encoder.entry.bias": torch.zeros(5)}
    with pytest.raises(InputError, match=r"encoder\.entry\.bias has \(5,\), expected \(4,\)"):
        write_checkpoint(tmp_path / "x", replace(codec, tensors=tensors))
    assert not (tmp_path / "x").exists()


def test_tensors_that_share_memory_are_written(tmp_path, model):
    tensors = dict(model.tensors)
    for level in range(3):
        tensors[f"tokenizer.quantizer.levels.{level}.code_book"] = tensors["embedding.code_books"][level]
    assert read_folder(write_checkpoint(tmp_path / "x", replace(model, tensors=tensors))).kind == "megxl"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.pop("decoder.exit.bias"), r"1 missing \(decoder\.exit\.bias\)"),
        (lambda t: t.update(more=torch.ones(1)), r"1 unknown \(more\)"),
        (
            lambda t: t.update({"encoder.entry.bias": torch.ones(9)}),
            r"encoder\.entry\.bias has \(9,\), expected \(4,\)",
        ),
    ],
)
def test_wrong_tensors_are_named(tmp_path, codec, change, said):
    folder = write_checkpoint(tmp_path / "x", codec)
    change_tensors(folder, change)
    with pytest.raises(InputError, match=said):
        read_folder(folder)


def test_unknown_tensors_can_be_left_out_by_consent(tmp_path, codec):
    folder = write_checkpoint(tmp_path / "x", codec)
    change_tensors(folder, lambda tensors: tensors.update(more=torch.ones(1)))
    assert read_folder(folder, ["mo*"]).report.unmatched == ("more",)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"format_version": 2}, "format version 2; this megxl .* reads version 1"),
        ({"format_version": None}, "format version None"),
        ({"kind": "bert"}, "unknown kind 'bert'"),
        ({"config": None}, "config is missing"),
        ({"config": {**CODEC, "filters": 0}}, r"x/config\.json: BioCodecConfig: filters must be a whole number"),
        ({"config": {**CODEC, "levels": 10**9}}, "levels must be a whole number from 1 to 1,000, not 1000000000"),
        ({"config": {**CODEC, "strides": 12}}, "strides must be a list"),
        ({"config": {**CODEC, "strides": [2] * 99}}, "strides must be a list of 1 to 32"),
        ({"config": {**CODEC, "flavour": 1}}, "unknown flavour"),
        ({"config": {k: v for k, v in CODEC.items() if k != "codes"}}, "lacks codes"),
        ({"config": {**CODEC, "levels": 4}}, "missing"),
    ],
)
def test_a_configuration_that_cannot_be_is_named(tmp_path, codec, changes, said):
    folder = write_checkpoint(tmp_path / "x", codec)
    change_config(folder, **changes)
    with pytest.raises(InputError, match=said):
        read_folder(folder)


@pytest.mark.parametrize("kept", [0, 7, 100, 0.5, -1])
def test_truncated_tensors_are_named(tmp_path, codec, kept):
    path = write_checkpoint(tmp_path / "x", codec) / "model.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept * len(whole)) if isinstance(kept, float) else kept])
    with pytest.raises(InputError, match=r"x/model\.safetensors is truncated or damaged"):
        read_folder(path.parent)


def test_a_folder_around_a_checkpoint_says_where_it_lies(tmp_path, codec):
    run = tmp_path / "run"
    last = write_released(run / "checkpoints" / "last.ckpt", codec)
    for folder in (run, last.parent):  # before the run is finished
        with pytest.raises(InputError, match=f"no checkpoint folder. Give what lies in it: {last}"):
            read_folder(folder)
    write_checkpoint(run / "model", codec)
    with pytest.raises(InputError, match=f"Give what lies in it: {run / 'model'}"):
        read_folder(run)


def test_a_folder_without_its_parts_is_named(tmp_path, codec):
    with pytest.raises(InputError, match=r"has no config\.json"):
        read_folder(tmp_path)
    folder = write_checkpoint(tmp_path / "x", codec)
    (folder / "model.safetensors").unlink()
    with pytest.raises(InputError, match=r"model\.safetensors is missing"):
        read_folder(folder)
    (folder / "config.json").write_text("{")
    with pytest.raises(InputError, match="is not JSON"):
        read_folder(folder)


@given(
    codec=st.builds(
        BioCodecConfig,
        filters=st.integers(1, 3),
        strides=st.lists(st.integers(1, 3), min_size=1, max_size=3).map(tuple),
        blocks=st.integers(1, 2),
        kernel=st.integers(1, 4),
        lstm_layers=st.integers(1, 2),
        width=st.integers(1, 4),
        levels=st.integers(1, 3),
        codes=st.integers(1, 4),
        code_width=st.integers(1, 3),
    ),
    head_width=st.integers(1, 3),
    carried=st.booleans(),
    others=st.fixed_dictionaries(
        {
            "layers": st.integers(1, 2),
            "heads": st.sampled_from([2, 4, 6]),
            "fourier_width": st.integers(1, 3).map(lambda half: 2 * half),
            "sensor_kinds": st.sampled_from([2, 3]),
            "sfreq_hz": st.floats(0, exclude_min=True, allow_infinity=False) | st.integers(1, 1000),
            "mask_duration_s": st.floats(0, exclude_min=True, allow_infinity=False),
            "masked_blocks": st.integers(0, 50),
            "dropout": st.floats(0, 1, exclude_max=True),
        }
    ),
)
@settings(max_examples=25, deadline=None)
def test_every_valid_configuration_survives_both_formats(codec, head_width, carried, others):
    shared = {name: getattr(codec, name) for name in ("levels", "codes", "code_width", "samples_per_token")}
    model = asdict(MEGXLConfig(**others, **shared, width=2 * others["heads"] * head_width))
    for kind, config in (
        ("biocodec", asdict(codec)),
        ("megxl", model | ({"tokenizer": asdict(codec)} if carried else {})),
    ):
        tensors = {row.ours: torch.ones(row.shape) for row in our_rows(table_of(kind, config))}
        with tempfile.TemporaryDirectory() as place:
            folder = write_checkpoint(Path(place) / "ours", Checkpoint(kind=kind, config=config, tensors=tensors))
            ours = read_folder(folder)
            assert ours.config == config
            assert read_released(write_released(Path(place) / "released", ours)).config == config


def test_weights_are_as_readable_as_the_other_files(tmp_path):
    folder = write_checkpoint(tmp_path / "model", read_released(model_file(tmp_path)))
    assert len({(folder / name).stat().st_mode for name in ("config.json", "model.safetensors", "README.md")}) == 1
