import json
from contextlib import nullcontext
from dataclasses import replace

import pytest
import torch

from megxl.decoding.building import DecoderSpec, build_decoder
from megxl.decoding.heads import LinearProbe, MLPHead, SensorAttentionHead
from megxl.decoding.sequence import SequenceHead
from megxl.errors import InputError
from tests.decoding.word_batches import SMALL_CODEC, SMALL_MODEL, small_codec, small_megxl, word_batch

HEADS = {"mlp": MLPHead, "linear": LinearProbe, "sensors": SensorAttentionHead, "sequence": SequenceHead}
WIDTHS = {"megxl": SMALL_MODEL.width, "codec": SMALL_CODEC.width, "convolution": 12}


def spec(backbone: str = "megxl", head: str = "mlp", **changes) -> DecoderSpec:
    known = {"backbone": backbone, "head": head, "sensors": 5, "width": WIDTHS[backbone], "target_width": 10}
    return DecoderSpec(**(known | {"hidden": 24} | changes))


@pytest.mark.parametrize("backbone", WIDTHS)
@pytest.mark.parametrize("head", HEADS)
def test_every_head_goes_on_every_backbone_that_it_can(backbone, head):
    if (backbone, head) == ("convolution", "sensors"):
        with pytest.raises(InputError, match="has put them together already"):
            spec(backbone, head)
        return
    decoder = build_decoder(spec(backbone, head), model=small_megxl(), tokenizer=small_codec())
    assert type(decoder.head) is HEADS[head] and decoder.target_width == 10
    assert decoder.eval()(word_batch()).shape == (2, 4, 10)


def test_values_reach_the_head():
    mlp = build_decoder(spec(hidden=31, dropout=0.3, sensors=7), model=small_megxl()).head
    assert mlp.layers[0].weight.shape == (31, 7 * 16) and mlp.layers[3].p == 0.3
    attention = build_decoder(spec(head="sensors", hidden=2048), model=small_megxl()).head
    assert attention.out[0].out_features == 768
    assert build_decoder(spec(head="sequence", sees="nothing"), model=small_megxl()).head.sees == "nothing"


def test_a_frozen_model_is_frozen():
    assert not build_decoder(spec(), model=small_megxl(), trains=False).backbone.trains
    assert build_decoder(spec(), model=small_megxl()).backbone.trains


def test_subjects_get_an_embedding():
    decoder = build_decoder(spec(subjects=["a", "b"]), model=small_megxl())
    assert decoder.subjects.numbers == {"a": 0, "b": 1} and decoder.subjects.vectors_SD.shape == (2, 16)


def test_the_window_reaches_the_backbone():
    for backbone in WIDTHS:
        decoder = build_decoder(spec(backbone, window_s=1.5), model=small_megxl(), tokenizer=small_codec())
        assert decoder.backbone.window_s == 1.5


def test_a_checkpoint_of_another_width_is_named():
    with pytest.raises(InputError, match=r"features of width 16, but the head was made for width 512"):
        build_decoder(spec(width=512), model=small_megxl())


def test_a_model_that_computes_otherwise_is_refused():
    with pytest.raises(InputError, match="compat='reference'"):
        build_decoder(spec(), model=small_megxl(compat="reference"))


@pytest.mark.parametrize(("backbone", "missing"), [("megxl", "needs a model"), ("codec", "needs a tokenizer")])
def test_a_backbone_without_its_checkpoint_is_refused(backbone, missing):
    with pytest.raises(InputError, match=missing):
        build_decoder(spec(backbone))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"backbone": "bendr"}, "backbone = 'bendr'; allowed: megxl, convolution, codec"),
        ({"head": "tree"}, "head = 'tree'; allowed: mlp, linear, sensors, sequence"),
        ({"sees": "all"}, "sees = 'all'"),
        ({"compat": "old"}, "compat = 'old'"),
        ({"sensors": None}, r"sensors \(which head = 'mlp' needs\) = None"),
        ({"width": 0}, "width = 0"),
        ({"target_width": 2.5}, "target_width = 2.5"),
        ({"hidden": True}, "hidden = True"),
        ({"dropout": 1.0}, "dropout = 1.0"),
        ({"window_s": 0.0}, "window_s = 0.0"),
    ],
)
def test_what_cannot_be_is_refused(changes, told):
    with pytest.raises(InputError, match=told):
        DecoderSpec(**({"sensors": 5} | changes))


def test_a_description_goes_through_json():
    one = spec(head="sequence", sees="word", subjects=("a", "ü"), window_s=2.5, sensors=None)
    assert DecoderSpec.from_json(json.loads(json.dumps(one.to_json()))) == one
    with pytest.raises(InputError, match=r"differing: \['depth'\]"):
        DecoderSpec.from_json(one.to_json() | {"depth": 3})
    with pytest.raises(InputError, match=r"differing: \['sees'\]"):
        DecoderSpec.from_json({name: value for name, value in one.to_json().items() if name != "sees"})


def test_only_flat_heads_want_a_number_of_sensors():
    wanted = {(backbone, head): spec(backbone, head).rows for backbone in WIDTHS for head in ("mlp", "sequence")}
    assert {pair for pair, rows in wanted.items() if rows} == {("megxl", "mlp"), ("codec", "mlp")}


def test_the_published_decoder_has_the_published_head():
    with torch.device("meta"):
        head = build_decoder(DecoderSpec(sensors=306, width=16), model=small_megxl()).head
    assert head.layers[0].weight.shape == (2048, 306 * 16) and head.layers[4].weight.shape == (1024, 2048)


@pytest.mark.parametrize("backbone", WIDTHS)
@pytest.mark.parametrize("head", ["mlp", "sequence"])
def test_a_step_never_waits_for_what_a_device_computed(monkeypatch, backbone, head):
    """Tensors of the device "meta" hold no data: whoever asks for a number or for the places of a mask fails."""
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())  # it does not know this device
    decoder = build_decoder(spec(backbone, head, subjects=("a",)), model=small_megxl(), tokenizer=small_codec())
    batch = word_batch(mask_BC=torch.rand(2, 5) > 0.2)
    if backbone != "convolution":
        codes_BCTQ = torch.zeros(2, 5, 50, SMALL_CODEC.levels, dtype=torch.uint8)
        batch = replace(batch, signal_BCT=None, codes_BCTQ=codes_BCTQ)
    predicted = decoder.to("meta").train()(batch.to("meta"), ["a", "b"])
    predicted.square().sum().backward()
    assert predicted.shape == (2, 4, 10) and decoder.head.target_width == 10
    with pytest.raises(RuntimeError, match="meta"):
        predicted.sum().item()
