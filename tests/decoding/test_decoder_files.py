import json
import re
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file

from megxl.checkpoints.checkpoint import sha256_of
from megxl.data.channels import ChannelOrder
from megxl.data.groups import Grouping
from megxl.decoding.decoder_files import DecoderSpec, SavedDecoder, build_decoder, read_decoder, write_decoder
from megxl.errors import InputError
from megxl.model.megxl import MEGXL
from tests.decoding.test_building import spec
from tests.decoding.word_batches import small_codec, small_megxl, word_batch
from tests.store.made import sensors

ABOUT = {"run": "r1", "control": "none", "protocol": {"name": "strict", "leaks": []}, "recordings": ["armeni/sub-1"]}


def saved(one: DecoderSpec | None = None, channels: ChannelOrder | None = None, **options) -> SavedDecoder:
    one = one or spec()
    decoder = build_decoder(one, model=small_megxl(compat=one.compat), tokenizer=small_codec(), **options)
    for parameter in decoder.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    if one.backbone == "megxl":
        decoder.backbone.model.embedding.code_books.copy_(decoder.backbone.model.tokenizer.quantizer.code_books_QVK)
    return SavedDecoder(
        decoder=decoder.eval(),
        spec=one,
        vocabulary=("the", "a", "größe"),
        counts=(7, 5, 1),
        targets_VE=torch.randn(3, one.target_width),
        channels=channels,
        grouping=Grouping(words=4, keep={"condition": "sentence"}),
        sfreq_hz=50.0,
        preparation={"low_hz": 0.1, "high_hz": 40.0},
        about=ABOUT,
    )


@pytest.mark.parametrize(
    "one",
    [
        spec(),
        spec(head="linear", subjects=("a", "b")),
        spec(head="sensors", window_s=2.0),
        spec(head="sequence", sees="word"),
        spec(compat="reference"),
        spec("convolution", "sequence"),
        spec("codec", "linear"),
    ],
    ids=lambda one: f"{one.backbone}-{one.head}-{one.compat}",
)
def test_a_decoder_comes_back_to_the_bit(tmp_path, one):
    before = saved(one)
    after = read_decoder(write_decoder(tmp_path / "run" / "model", before))
    batch, subjects = word_batch(mask_BC=torch.rand(2, 5) > 0.2), ["b", "x"]
    assert not after.decoder.training
    assert torch.equal(after.decoder(batch, subjects), before.decoder(batch, subjects))
    assert torch.equal(after.targets_VE, before.targets_VE)
    for name in ("spec", "vocabulary", "counts", "channels", "grouping", "sfreq_hz", "preparation", "about"):
        assert getattr(after, name) == getattr(before, name), name


def test_the_backbone_is_a_checkpoint_of_its_own(tmp_path):
    before, batch = saved(), word_batch()
    model = MEGXL.from_pretrained(write_decoder(tmp_path / "model", before) / "backbone")
    assert torch.equal(
        model(batch.signal_BCT, batch.sensors), before.decoder.backbone.model(batch.signal_BCT, batch.sensors)
    )
    assert not any(name.startswith("backbone.") for name in load_file(tmp_path / "model" / "head.safetensors"))


def test_a_model_without_its_codec_takes_codes(tmp_path):
    before, batch = saved(), word_batch()
    codes_BCTQ = before.decoder.backbone.model.codes(batch.signal_BCT)
    before.decoder.backbone.model.tokenizer = None
    coded = replace(batch, signal_BCT=None, codes_BCTQ=codes_BCTQ)
    after = read_decoder(write_decoder(tmp_path / "model", before))
    assert torch.equal(after.decoder(coded), before.decoder(coded))


def test_the_order_of_sensors_comes_back(tmp_path):
    order = ChannelOrder(sensors=sensors(6))
    after = read_decoder(write_decoder(tmp_path / "model", saved(channels=order))).channels
    assert after is not None and after.sensors == order.sensors


def test_an_older_decoder_is_replaced_whole_or_not_at_all(tmp_path, monkeypatch):
    folder = write_decoder(tmp_path / "model", saved())
    newer = saved()
    with pytest.raises(InputError, match="exists already"):
        write_decoder(folder, newer, overwrite=False)
    before = read_decoder(folder).targets_VE
    newer.about["unwritable"] = float("nan")
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_decoder(folder, newer)
    assert torch.equal(read_decoder(folder).targets_VE, before)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    del newer.about["unwritable"]
    write_decoder(folder, newer)
    assert torch.equal(read_decoder(folder).targets_VE, newer.targets_VE)


def test_another_folder_is_never_replaced(tmp_path):
    folder = write_decoder(tmp_path / "model", saved())
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="something else in it"):
        write_decoder(folder, saved())


@pytest.mark.parametrize("name", ["head.safetensors", "targets.safetensors", "backbone/model.safetensors"])
@pytest.mark.parametrize("how", ["flipped", "truncated", "deleted"])
def test_damaged_files_are_named(tmp_path, name, how):
    folder = write_decoder(tmp_path / "model", saved())
    content = bytearray((folder / name).read_bytes())
    content[-5] ^= 1
    (folder / name).unlink()
    if how != "deleted":
        (folder / name).write_bytes(content if how == "flipped" else content[:-100])
    with pytest.raises(InputError, match=re.escape(name) + (" is missing" if how == "deleted" else " is not the file")):
        read_decoder(folder)


def changed(folder, **changes) -> None:
    said = json.loads((folder / "decoder.json").read_text())
    (folder / "decoder.json").write_text(json.dumps(said | changes))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"format": "other"}, "another program's"),
        ({"format_version": 2}, "format version 2, this megxl reads version 1"),
        ({"spec": spec(hidden=25).to_json()}, r"head.layers.0.bias with the shape \(24,\).*describes \(25,\)"),
        ({"spec": spec(width=512).to_json()}, "features of width 16, but the head was made for width 512"),
        ({"spec": spec(head="linear").to_json()}, r"head.layers.0.bias with the shape \(24,\).*describes None"),
        ({"spec": spec(target_width=9).to_json()}, "shape"),
        ({"spec": {"backbone": "megxl"}}, "exactly the fields"),
        ({"spec": None}, "is damaged"),
        ({"vocabulary": ["the"]}, "1 words have targets of shape"),
        ({"counts": None}, "is damaged"),
        ({"grouping": {"syllables": 3}}, "is damaged"),
        ({"sha256": {}}, "is not the file"),
    ],
)
def test_a_description_that_does_not_fit_is_refused(tmp_path, changes, told):
    folder = write_decoder(tmp_path / "model", saved())
    changed(folder, **changes)
    with pytest.raises(InputError, match=told):
        read_decoder(folder)


def test_a_folder_without_a_decoder_is_refused(tmp_path):
    with pytest.raises(InputError, match="no decoder was saved there"):
        read_decoder(tmp_path)
    (tmp_path / "decoder.json").write_text("{")
    with pytest.raises(InputError, match="is not JSON"):
        read_decoder(tmp_path)


def test_targets_that_are_not_of_the_vocabulary_are_refused():
    one = saved()
    fields = vars(one)
    with pytest.raises(InputError, match=r"shape \(2, 10\) and 3 counts; allowed: \(3, 10\)"):
        SavedDecoder(**(fields | {"targets_VE": torch.zeros(2, 10)}))
    with pytest.raises(InputError, match="NaN"):
        SavedDecoder(**(fields | {"targets_VE": torch.full((3, 10), torch.nan)}))


def test_tensors_that_the_decoder_does_not_have_are_named(tmp_path):
    folder = write_decoder(tmp_path / "model", saved())
    tensors = load_file(folder / "head.safetensors")
    save_file(tensors | {"head.extra": torch.zeros(1)}, folder / "head.safetensors")
    said = json.loads((folder / "decoder.json").read_text())
    changed(folder, sha256=said["sha256"] | {"head.safetensors": sha256_of(folder / "head.safetensors")})
    with pytest.raises(InputError, match=r"head.extra with the shape \(1,\).*describes None"):
        read_decoder(folder)


def test_the_other_backbones_need_no_model(tmp_path):
    assert {path.name for path in write_decoder(tmp_path / "a", saved(spec("convolution", "linear"))).iterdir()} == {
        "decoder.json", "head.safetensors", "targets.safetensors"
    }  # fmt: skip
    assert (write_decoder(tmp_path / "b", saved(spec("codec", "linear"))) / "tokenizer" / "config.json").is_file()
