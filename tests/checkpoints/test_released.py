"""Released files: to our folder and back bit by bit, with every contradiction in them named."""

import copy
import os
from dataclasses import replace

import pytest
import torch

from megxl.checkpoints.folder import read_folder, write_checkpoint
from megxl.checkpoints.released import read_released, write_released
from megxl.errors import InputError
from tests.checkpoints.making import (
    CODEC,
    MODEL,
    assert_same_tensors,
    codec_content,
    codec_file,
    codec_state,
    hyper_parameters,
    model_content,
    model_file,
    model_state,
    saved,
)
from tests.rights import forbidden


def test_the_golden_model_goes_to_our_folder_and_back_bit_by_bit(shared, tmp_path):
    golden = shared / "golden" / "megxl_small.ckpt"
    folder = write_checkpoint(tmp_path / "model", read_released(golden))
    back = torch.load(write_released(tmp_path / "back.ckpt", read_folder(folder)))
    original = torch.load(golden)
    assert_same_tensors(back["state_dict"], original["state_dict"])
    assert back["hyper_parameters"] == original["hyper_parameters"]
    types = {name: type(value) for name, value in original["hyper_parameters"].items()}
    assert {name: type(value) for name, value in back["hyper_parameters"].items()} == types
    for name in ("epoch", "global_step", "pytorch-lightning_version"):
        assert back[name] == original[name]


def test_the_golden_codec_goes_to_our_folder_and_back_bit_by_bit(shared, tmp_path):
    golden = shared / "golden" / "biocodec_ckpt.pt"
    folder = write_checkpoint(tmp_path / "codec", read_released(golden))
    back, original = torch.load(write_released(tmp_path / "back.pt", read_folder(folder))), torch.load(golden)
    assert_same_tensors(back["model_state_dict"], original["model_state_dict"])
    assert back["epoch"] == original["epoch"]


def test_golden_sizes_steps_and_keys_are_reported(shared):
    checkpoint = read_released(shared / "golden" / "megxl_small.ckpt")
    sizes = {"width": 64, "layers": 3, "heads": 4, "fourier_width": 50, "levels": 6, "codes": 256, "code_width": 16}
    assert {name: checkpoint.config[name] for name in sizes} == sizes
    assert checkpoint.config["tokenizer"]["strides"] == (2, 2, 3)
    assert (checkpoint.report.matched, len(checkpoint.report.derived)) == (226, 6)
    assert checkpoint.report.skipped_sections == ("loops", "callbacks", "optimizer_states", "lr_schedulers")
    assert (checkpoint.provenance["steps"], checkpoint.provenance["untrained"]) == (1, True)


@pytest.mark.parametrize(
    "sizes", [{}, {"blocks": 1}, {"strides": (2, 3)}, {"blocks": 3, "kernel": 5, "lstm_layers": 1}]
)
@pytest.mark.parametrize("prefix", ["_orig_mod.", ""])
def test_a_codec_of_any_size_is_measured_on_its_tensors(tmp_path, sizes, prefix):
    config = {**CODEC, **sizes}
    state = codec_state(config)
    checkpoint = read_released(saved(tmp_path / "c.pt", codec_content(state, prefix)))
    assert checkpoint.config == config
    assert torch.equal(
        checkpoint.tensors["decoder.exit.bias"],
        state[f"decoder.model.{3 + (config['blocks'] + 2) * len(config['strides'])}.conv.conv.bias"],
    )


@pytest.mark.parametrize("carried", [True, False])
def test_a_model_with_or_without_codec_survives_the_way_back(tmp_path, carried):
    state = model_state(codec=CODEC if carried else None, rope_length=60)
    checkpoint = read_released(model_file(tmp_path, state))
    assert ("tokenizer" in checkpoint.config) is carried
    assert checkpoint.report.missing == (() if carried else ("tokenizer.*",))
    back = torch.load(write_released(tmp_path / "back.ckpt", checkpoint))
    assert_same_tensors(back["state_dict"], state)
    assert back["hyper_parameters"] == hyper_parameters()


def test_our_folder_to_released_and_back_is_the_same_file(tmp_path):
    first = write_checkpoint(tmp_path / "first", read_released(model_file(tmp_path)))
    released = write_released(tmp_path / "back.ckpt", read_folder(first))
    second = write_checkpoint(tmp_path / "second", read_released(released))
    assert (first / "model.safetensors").read_bytes() == (second / "model.safetensors").read_bytes()
    one, two = read_folder(first), read_folder(second)
    assert (one.config, one.training) == (two.config, two.training)


@pytest.mark.parametrize("carried", [True, False])
def test_sizes_that_the_released_format_cannot_say_survive_it(tmp_path, carried):
    sizes = {"dropout": 0.3, "sfreq_hz": 50.0} | ({} if carried else {"samples_per_token": 6})
    checkpoint = read_released(model_file(tmp_path, model_state(codec=CODEC if carried else None)))
    changed = replace(checkpoint, config=checkpoint.config | sizes)
    again = read_released(write_released(tmp_path / "back.ckpt", changed)).config
    assert again == changed.config and isinstance(again["sfreq_hz"], float)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({**MODEL, "tokenizer": {**CODEC, "filters": 8}}, r"says tokenizer = .*but the rest of the file"),
        ({**MODEL, "mask_duration_s": 2.0, "tokenizer": CODEC}, r"says mask_duration_s = 2\.0, but the rest .* 3\.0"),
        (MODEL, "says tokenizer = None"),
        ({**MODEL, "dropout": 2, "tokenizer": CODEC}, "dropout must be a number from 0"),
        ({"width": 16}, "lacks code_width, codes"),
        ([16], r"must be a table of sizes, not \[16\]"),
    ],
)
def test_stored_sizes_that_contradict_the_file_are_named(tmp_path, config, said):
    with pytest.raises(InputError, match=rf"model\.ckpt \(megxl\.config\).*{said}"):
        read_released(model_file(tmp_path, megxl={"config": config}))


def test_the_same_checkpoint_gives_the_same_bytes(tmp_path):
    checkpoint = read_released(model_file(tmp_path))
    one, two = (write_released(tmp_path / name, checkpoint) for name in ("one.ckpt", "two.ckpt"))
    assert one.read_bytes() == two.read_bytes()


@pytest.mark.skipif(not hasattr(os, "setresuid"), reason="needs a way to give up root")
def test_a_read_only_folder_is_named(tmp_path):
    checkpoint = read_released(codec_file(tmp_path))
    with forbidden(0o444) as folder, pytest.raises(InputError, match=rf"x\.pt: the folder {folder} cannot be written"):
        write_released(folder / "x.pt", checkpoint)


def test_code_books_are_stacked_by_level(tmp_path):
    state = model_state()
    stacked = read_released(model_file(tmp_path, state)).tensors["embedding.code_books"]
    assert all(torch.equal(stacked[q], state[f"biocodec_embedding_{q}"]) for q in range(3))


def test_tensors_do_not_depend_on_the_file_any_more(tmp_path):
    path = codec_file(tmp_path)
    checkpoint = read_released(path)
    before = checkpoint.tensors["encoder.entry.bias"].clone()
    path.write_bytes(b"\xff" * path.stat().st_size)
    assert torch.equal(checkpoint.tensors["encoder.entry.bias"], before)


def test_lightning_opens_what_we_write(tmp_path):
    lightning = pytest.importorskip("lightning.pytorch")
    state = model_state()

    class Model(lightning.LightningModule):
        def __init__(self, **kwargs):
            super().__init__()
            self.save_hyperparameters()
            for name, tensor in state.items():
                *places, last = name.split(".")
                module = self
                for place in places:
                    if place not in module._modules:
                        module.add_module(place, torch.nn.Module())
                    module = module._modules[place]
                module.register_buffer(last, torch.zeros_like(tensor))

    path = write_released(tmp_path / "back.ckpt", read_released(model_file(tmp_path, state)))
    model = Model.load_from_checkpoint(path, strict=True)
    assert dict(model.hparams) == hyper_parameters()
    assert_same_tensors(model.state_dict(), {name: state[name] for name in model.state_dict()})


@pytest.mark.parametrize("steps", [None, 0, 999, 1000, 113000])
def test_few_steps_count_as_untrained(tmp_path, steps):
    provenance = read_released(model_file(tmp_path, global_step=steps)).provenance
    assert provenance["steps"] == steps
    assert provenance["untrained"] is (steps is not None and steps < 1000)


def test_random_weights_stay_marked_through_the_released_format(tmp_path):
    checkpoint = replace(read_released(codec_file(tmp_path)), provenance={"weights": "random"})
    again = read_released(write_released(tmp_path / "random.pt", checkpoint))
    assert again.provenance["untrained"] is True
    assert again.provenance["source"] == {"weights": "random"}


def test_unknown_keys_are_named_and_need_consent(tmp_path):
    state = model_state() | {"ema.decay": torch.ones(1), "extra_head.weight": torch.ones(2)}
    path = model_file(tmp_path, state, hyper_parameters=hyper_parameters() | {"flavour": 3}, ema_state={"a": 1})
    said = (
        r"4 unknown \(ema\.decay, extra_head\.weight, ema_state, hyper_parameters\.flavour\).*--allow-unmatched PATTERN"
    )
    with pytest.raises(InputError, match=said):
        read_released(path)
    with pytest.raises(InputError, match=r"2 unknown \(extra_head\.weight, hyper_parameters\.flavour\)"):
        read_released(path, ["ema*"])
    report = read_released(path, ["ema*", "extra_head.*", "hyper_parameters.flavour"]).report
    assert report.unmatched == ("ema.decay", "extra_head.weight", "ema_state", "hyper_parameters.flavour")


def test_the_first_unknown_keys_are_listed_with_their_number(tmp_path):
    state = codec_state() | {f"more.{n}": torch.ones(1) for n in range(9)}
    with pytest.raises(InputError, match=r"9 unknown \(more\.0, more\.1, more\.2, more\.3, more\.4 and 4 more\)"):
        read_released(codec_file(tmp_path, state))


@pytest.mark.parametrize(
    "key", ["mask_token", "output_head.bias", "criss_cross_transformer.layers.1.time_attn.qkv.bias"]
)
def test_a_missing_key_is_named_and_no_pattern_helps(tmp_path, key):
    state = model_state()
    del state[key]
    with pytest.raises(InputError, match=rf"1 missing \({key}\)"):
        read_released(model_file(tmp_path, state), ["*"])


def test_a_codec_that_lacks_one_tensor_inside_a_model_is_refused(tmp_path):
    state = model_state()
    del state["tokenizer.decoder.model.1.lstm.bias_hh_l1"]
    with pytest.raises(InputError, match=r"1 missing \(tokenizer\.decoder\.model\.1\.lstm\.bias_hh_l1\)"):
        read_released(model_file(tmp_path, state))


def test_another_shape_is_named_with_both(tmp_path):
    state = model_state()
    state["rvq_projector.weight"] = torch.zeros(16, 11)
    with pytest.raises(InputError, match=r"rvq_projector\.weight has \(16, 11\), expected \(16, 12\)"):
        read_released(model_file(tmp_path, state))


def test_integers_are_no_weights(tmp_path):
    state = codec_state()
    state["encoder.model.0.conv.conv.bias"] = torch.zeros(4, dtype=torch.int64)
    with pytest.raises(InputError, match=r"encoder\.model\.0\.conv\.conv\.bias is torch\.int64"):
        read_released(codec_file(tmp_path, state))


def test_something_else_than_a_tensor_among_the_weights_is_named(tmp_path):
    with pytest.raises(InputError, match="'mask_token' is a list"):
        read_released(model_file(tmp_path, model_state() | {"mask_token": [1.0]}))


@pytest.mark.parametrize(
    "tensor",
    [torch.zeros(1).expand(2**40), torch.ones(4).to_sparse(), torch.empty(4, device="meta")],
    ids=["repeated", "sparse", "meta"],
)
def test_a_tensor_whose_numbers_are_not_all_in_the_file_is_refused(tmp_path, tensor):
    state = codec_state() | {"encoder.model.0.conv.conv.bias": tensor}
    with pytest.raises(
        InputError, match=r"plain tensors only, but '_orig_mod\.encoder\.model\.0\.conv\.conv\.bias' is a"
    ):
        read_released(codec_file(tmp_path, state))


def test_a_tensor_stored_twice_under_both_names_is_refused(tmp_path):
    twice = {"_orig_mod.encoder.model.0.conv.conv.bias": torch.ones(4)}
    with pytest.raises(InputError, match="holds 1 tensors twice"):
        read_released(saved(tmp_path / "c.pt", codec_content(codec_state() | twice, prefix="")))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"num_heads": True}, "heads must be a whole number"),
        ({"num_layers": 8}, "num_layers = 8, but the file holds 2 layers"),
        ({"num_heads": 3}, "heads must be even and width a multiple of 2 x heads.*not width 16 with 3 heads"),
        ({"num_heads": 1}, "heads must be even.*with 1 heads"),
        ({"num_heads": 16}, "heads must be even.*with 16 heads"),
        ({"num_heads": "4"}, "heads must be a whole number from 1 to 10,000,000, not '4'"),
        ({"latent_dim": 32}, r"mask_token has \(16,\), expected \(32,\)"),
        ({"vocab_size": 32}, "the model has codes = 32, but the codec that it carries has 16"),
        ({"fourier_pos_dim": 9}, "fourier_width must be even"),
        ({"fourier_pos_dim": 12}, r"position_fourier_emb\.B has \(3, 5\), expected \(3, 6\)"),
        ({"sampling_rate": 0}, "sfreq_hz must be a number above 0, not 0"),
        ({"mask_duration": float("nan")}, "mask_duration_s must be a number above 0, not nan"),
        ({"learning_rate": [1]}, "learning_rate is a list; a number is expected"),
    ],
)
def test_hyper_parameters_that_contradict_the_file_are_named(tmp_path, change, said):
    with pytest.raises(InputError, match=rf"model\.ckpt.*{said}"):
        read_released(model_file(tmp_path, hyper_parameters=hyper_parameters() | change))


def test_missing_hyper_parameters_are_named(tmp_path):
    hyper = hyper_parameters()
    del hyper["num_heads"], hyper["mask_duration"]
    with pytest.raises(InputError, match="hyper_parameters lacks num_heads, mask_duration"):
        read_released(model_file(tmp_path, hyper_parameters=hyper))
    with pytest.raises(InputError, match="there are no hyper_parameters"):
        read_released(model_file(tmp_path, hyper_parameters=None))


def test_hyper_parameters_of_another_package_are_refused(tmp_path):
    omegaconf = pytest.importorskip("omegaconf")
    with pytest.raises(InputError, match="hyper_parameters are an object of another package"):
        read_released(model_file(tmp_path, hyper_parameters=omegaconf.OmegaConf.create(hyper_parameters())))


def test_code_books_that_differ_from_the_codec_are_refused(tmp_path):
    state = model_state()
    state["biocodec_embedding_2"] = state["biocodec_embedding_2"] + 1e-6
    with pytest.raises(InputError, match="code book of level 2 differs"):
        read_released(model_file(tmp_path, state))


def other_model() -> dict:
    return torch.nn.TransformerEncoderLayer(8, 2, 16).state_dict()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (other_model(), "another program's file: it holds self_attn.in_proj_weight"),
        ({"state_dict": other_model(), "hyper_parameters": {}}, "Lightning checkpoint of another model: none of"),
        ({"model_state_dict": other_model()}, "another model under model_state_dict"),
        ({"model_state_dict": model_state()}, "another model under model_state_dict"),
        ({"state_dict": codec_state(), "hyper_parameters": {}}, "Lightning checkpoint of another model"),
        ({"model_state_dict": {}}, "model_state_dict holds no tensors"),
        ([torch.ones(2)], "holds a list"),
        (torch.ones(2), "holds a Tensor"),
        ({}, "another program's file"),
    ],
)  # fmt: skip
def test_another_model_is_refused_by_what_it_is(tmp_path, content, said):
    with pytest.raises(InputError, match=rf"other\.ckpt.*{said}"):
        read_released(saved(tmp_path / "other.ckpt", content))


def test_a_file_is_written_whole_or_not_at_all(tmp_path):
    checkpoint = read_released(codec_file(tmp_path))
    spoilt = copy.copy(checkpoint.tensors)
    del spoilt["encoder.exit.bias"]
    target = tmp_path / "out.pt"
    target.write_bytes(b"before")
    with pytest.raises(InputError, match=r"1 missing \(encoder\.exit\.bias\)"):
        write_released(target, replace(checkpoint, tensors=spoilt), overwrite=True)
    with pytest.raises(InputError, match="exists already"):
        write_released(target, checkpoint)
    assert target.read_bytes() == b"before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["codec.pt", "out.pt"]


def test_a_file_can_be_written_over_its_own_source(tmp_path):
    path = codec_file(tmp_path)
    state = torch.load(path)["model_state_dict"]
    write_released(path, read_released(path), overwrite=True)
    assert_same_tensors(torch.load(path)["model_state_dict"], state)


def test_weights_of_half_precision_keep_it(tmp_path):
    state = {name: tensor.half() for name, tensor in codec_state().items()}
    checkpoint = read_released(codec_file(tmp_path, state))
    assert {tensor.dtype for tensor in checkpoint.tensors.values()} == {torch.float16}


def test_the_sizes_are_those_of_the_file(tmp_path):
    assert read_released(saved(tmp_path / "m.ckpt", model_content())).config == {**MODEL, "tokenizer": CODEC}


def test_steps_that_nobody_counted_do_not_come_back_as_none_at_all(tmp_path):
    checkpoint = read_released(model_file(tmp_path))
    told_less = replace(checkpoint, training={}, provenance={"weights": "unknown"})
    back = read_released(write_released(tmp_path / "back.ckpt", told_less))
    assert "global_step" not in back.training and back.provenance["untrained"] is False
