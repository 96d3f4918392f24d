"""The published Quick Start's lines run as they are and give the published numbers."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from brainstorm.models.criss_cross_transformer import CrissCrossTransformerModule
from brainstorm.neuro_tokenizers.biocodec.model import BioCodecModel
from megxl.checkpoints.checkpoint import weights_warning
from megxl.errors import InputError
from megxl.model.megxl import MEGXL
from megxl.tokenizer.biocodec import BioCodec
from tests.checkpoints.test_full_size import full_codec, full_model
from tests.golden import assert_codes_match

HYPER_PARAMETERS = {
    "latent_dim": 64,
    "num_layers": 2,
    "num_heads": 4,
    "vocab_size": 256,
    "learning_rate": 1e-4,
    "warmup_steps": 10,
    "training_steps": 100,
    "mask_duration": 3.0,
    "num_subsegments_to_mask": 3,
    "sampling_rate": 50,
    "fourier_pos_dim": 50,
}


def quick_start(codec_path, model_path) -> CrissCrossTransformerModule:
    """The published lines, but for paths and device."""
    tokenizer = BioCodecModel._get_optimized_model()
    checkpoint = torch.load(codec_path, map_location="cpu")
    state = {key.replace("_orig_mod.", ""): value for key, value in checkpoint["model_state_dict"].items()}
    tokenizer.load_state_dict(state)
    tokenizer.eval()

    checkpoint = torch.load(model_path, map_location="cpu")
    model = CrissCrossTransformerModule(tokenizer=tokenizer, **checkpoint["hyper_parameters"])
    state = {key: value for key, value in checkpoint["state_dict"].items() if "rope" not in key}
    model.load_state_dict(state, strict=False)
    return model.eval()


@pytest.fixture(scope="module")
def published(golden) -> CrissCrossTransformerModule:
    return quick_start(golden.codec, golden.model)


@pytest.mark.usefixtures("two_threads")
def test_quick_start_gives_the_golden_codes(golden, published):
    meg = golden["meg"]
    mask = torch.ones(meg.shape[:2])
    with torch.no_grad():
        output = published(meg, *golden.sensors, mask, apply_mask=False)
    assert set(output) == {"features", "logits", "codes"}
    codec = BioCodec.from_pretrained(golden.codec)
    assert_codes_match(codec, meg.flatten(0, 1)[:, None], output["codes"].flatten(0, 1), golden["codes"].flatten(0, 1))
    same = (output["codes"] == golden["codes"]).all(-1).all(-1).all(-1)
    assert output["logits"].shape == (2, 20, 125, 6, 256)
    for item in same.nonzero().flatten().tolist():
        torch.testing.assert_close(output["features"][item], golden["features"][item], rtol=0, atol=1e-4)


def test_quick_start_gives_the_golden_numbers_from_golden_codes(golden, published):
    published.module.codes = lambda inputs: golden["codes"]
    try:
        output = published(golden["meg"], *golden.sensors, torch.ones(2, 20), apply_mask=False)
        torch.testing.assert_close(output["features"], golden["features"], rtol=0, atol=1e-4)
        torch.testing.assert_close(output["logits"][:, ::5, ::25], golden["logits_sample"], rtol=0, atol=1e-4)
        published._draw = lambda codes, sensor_mask: golden["mask"]
        masked = published(golden["meg"], *golden.sensors, torch.ones(2, 20))
        torch.testing.assert_close(masked["features"], golden["masked_features"], rtol=0, atol=1e-4)
    finally:
        del published.module.codes
        published.__dict__.pop("_draw", None)


def test_codec_alias_matches_golden(golden):
    tokenizer = BioCodecModel._get_optimized_model()
    state = torch.load(golden.codec)["model_state_dict"]
    tokenizer.load_state_dict({key.replace("_orig_mod.", ""): value for key, value in state.items()})
    with torch.no_grad():
        codes, scale = tokenizer.encode(golden["tok_in_odd"])
        decoded = tokenizer.decode(golden["tok_codes_odd"], scale, 997)
    assert codes.shape == golden["tok_codes_odd"].shape
    torch.testing.assert_close(decoded, golden["tok_recon_odd"], rtol=0, atol=1e-4)


def test_state_comes_back_under_the_released_names(golden, published):
    released = torch.load(golden.model)["state_dict"]
    ours = published.state_dict()
    assert list(ours) == list(released)
    for name, tensor in released.items():
        assert ours[name].dtype == tensor.dtype
        assert torch.equal(ours[name], tensor), name


@pytest.mark.slow
def test_quick_start_reads_files_of_full_size_with_all_their_sections(tmp_path):
    files = full_codec(tmp_path), full_model(tmp_path)
    state = torch.load(files[1], mmap=True)["state_dict"]
    own = {f"_orig_mod.{name[10:]}": tensor for name, tensor in state.items() if name.startswith("tokenizer.")}
    torch.save(torch.load(files[0]) | {"model_state_dict": own}, files[0])
    model = quick_start(*files)
    assert sum(p.numel() for p in model.parameters() if p.requires_grad) == 22_112_768
    assert all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())
    meg, xyz = torch.randn(1, 6, 120), torch.randn(1, 6, 3)
    with torch.no_grad():
        output = model(meg, xyz, xyz, torch.zeros(1, 6, dtype=torch.int32), torch.ones(1, 6), apply_mask=False)
    assert output["features"].shape == (1, 6, 10, 512) and output["features"].isfinite().all()


def random_module() -> CrissCrossTransformerModule:
    return CrissCrossTransformerModule(tokenizer=BioCodecModel._get_optimized_model(), **HYPER_PARAMETERS)


def test_with_a_mask_blocks_are_hidden_on_real_sensors():
    model = random_module().eval()
    meg, xyz = torch.randn(2, 4, 1500), torch.randn(2, 4, 3)
    real = torch.tensor([[1.0, 1, 1, 1], [1, 1, 1, 0]])
    output = model(meg, xyz, xyz, torch.zeros(2, 4, dtype=torch.int32), real, apply_mask=True)
    assert output["mask"].shape == (2, 4, 125)
    assert not output["mask"][1, 3].any() and output["mask"][0].sum(-1).tolist() == [36] * 4
    assert output["mask_ratio"].item() == pytest.approx(7 * 36 / 1000)


def test_strict_false_forgives_absent_rope_tables_alone():
    model = random_module()
    state = model.state_dict()
    without_tables = {key: value for key, value in state.items() if "rope" not in key}
    keys = model.load_state_dict(without_tables, strict=False)
    assert len(keys.missing_keys) == 4 and not keys.unexpected_keys
    for broken in (
        {key: value for key, value in without_tables.items() if key != "mask_token"},
        without_tables | {"extra.weight": torch.zeros(1)},
        without_tables | {"mask_token": torch.zeros(3)},
        without_tables | {"biocodec_embedding_0": torch.zeros(256, 16)},
        {key: value * 2 if key.endswith("rope_embedding_layer.freqs") else value for key, value in state.items()},
        {},
    ):
        with pytest.raises(InputError, match=r"mask_token|extra\.weight|missing|code book|position|RoPE|freqs"):
            model.load_state_dict(broken, strict=False)


def test_importing_the_aliases_registers_no_global_for_unpickling():
    code = (
        "import torch; before = set(map(str, torch.serialization.get_safe_globals()));"
        "import brainstorm.models.criss_cross_transformer;"
        "assert set(map(str, torch.serialization.get_safe_globals())) == before"
    )
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", code], check=True, cwd=root)


def test_copies_of_the_published_code_are_named(tmp_path):
    root = Path(__file__).parents[2]
    shutil.copytree(root / "brainstorm", tmp_path / "brainstorm", ignore=shutil.ignore_patterns("__pycache__"))
    folder = tmp_path / "brainstorm" / "neuro_tokenizers" / "biocodec"
    (folder / "quantization.py").write_text("class ResidualVectorQuantizer: ...\n")
    (folder / "model.py").write_text("class BioCodecModel: ...\n")
    run = subprocess.run(
        [sys.executable, "-W", "always", "-c", "import brainstorm"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "biocodec/quantization.py" in run.stderr and "biocodec/model.py" in run.stderr


def test_weights_from_a_state_dict_are_of_unknown_origin_and_not_called_random(tmp_path):
    model = random_module()
    assert weights_warning(model.module.provenance, model.module.tokenizer.provenance).startswith("RANDOM")
    model.load_state_dict(model.state_dict())
    for module in (model.module, model.module.tokenizer):
        assert module.provenance["weights"] == "unknown"
    assert weights_warning(model.module.provenance, model.module.tokenizer.provenance) is None
    again = MEGXL.from_pretrained(model.module.save_pretrained(tmp_path / "m"))
    assert weights_warning(again.provenance, again.tokenizer.provenance) is None


def test_a_tokenizer_of_another_code_base_is_named():
    with pytest.raises(InputError, match=r"torch\.nn\.modules\.linear\.Linear"):
        CrissCrossTransformerModule(tokenizer=torch.nn.Linear(1, 1), **HYPER_PARAMETERS)


def test_unknown_hyper_parameters_are_named():
    with pytest.raises(InputError, match="num_layer"):
        CrissCrossTransformerModule(tokenizer=BioCodecModel(), num_layer=3)


def test_a_model_does_not_take_another_tokenizer_than_its_own(golden):
    """A tokenizer of random weights gives way to the one in the file; one that was loaded has to be that one."""
    state = torch.load(golden.model)["state_dict"]
    hyper_parameters = torch.load(golden.model)["hyper_parameters"]
    tokenizer = BioCodecModel._get_optimized_model()
    CrissCrossTransformerModule(tokenizer=tokenizer, **hyper_parameters).load_state_dict(state)
    other = {
        key.replace("_orig_mod.", ""): value for key, value in torch.load(golden.codec)["model_state_dict"].items()
    }
    tokenizer.load_state_dict(other | {"encoder.model.0.conv.conv.bias": torch.zeros(32)})
    model = CrissCrossTransformerModule(tokenizer=tokenizer, **hyper_parameters)
    with pytest.raises(InputError, match=r"not the one .*first difference: encoder\.entry\.bias"):
        model.load_state_dict(state)
