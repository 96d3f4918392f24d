"""The model against the published code's numbers, and what must hold of any model."""

from dataclasses import asdict

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from megxl.checkpoints.names import model_rows
from megxl.checkpoints.released import write_released
from megxl.errors import InputError
from megxl.model.embedding import SensorTensors
from megxl.model.inputs import batch_sensors
from megxl.model.megxl import MEGXL
from megxl.sizes import PRESETS, BioCodecConfig, MEGXLConfig
from megxl.tokenizer.biocodec import BioCodec
from tests.model.test_embedding import array

SMALL = MEGXLConfig(width=32, layers=2, heads=4, fourier_width=10, codes=16, code_width=4, levels=3, masked_blocks=2)
CODEC = BioCodecConfig(filters=4, width=8, levels=3, codes=16, code_width=4)


@pytest.fixture
def model() -> MEGXL:
    return MEGXL(SMALL, BioCodec(CODEC)).eval()


@pytest.fixture
def codes() -> torch.Tensor:
    return torch.randint(16, (2, 5, 13, 3))


def test_published_sizes():
    model = MEGXL()
    assert sum(p.numel() for p in model.parameters()) == 22_112_768
    assert sum(p.numel() for p in model.layers.parameters()) == 21_016_576


def test_features_and_logits_match_golden(golden, golden_model):
    for grad in (False, True):
        with torch.set_grad_enabled(grad):
            features = golden_model(golden["codes"], golden.sensors)
            logits = golden_model.logits(features)
        torch.testing.assert_close(features, golden["features"], rtol=0, atol=1e-4)
        torch.testing.assert_close(logits[:, ::5, ::25], golden["logits_sample"], rtol=0, atol=1e-4)


def test_masked_prediction_matches_golden(golden, golden_model):
    result = golden_model.masked_prediction(golden["codes"], golden.sensors, golden["mask"])
    torch.testing.assert_close(result.loss, golden["masked_loss"], rtol=1e-5, atol=0)
    torch.testing.assert_close(result.accuracy, golden["masked_accuracy"], rtol=1e-5, atol=0)
    assert result.tokens == golden["mask"].sum()


def test_masked_features_match_golden(golden, golden_model):
    features = golden_model(golden["codes"], golden.sensors, mask=golden["mask"])
    torch.testing.assert_close(features, golden["masked_features"], rtol=0, atol=1e-4)


def test_all_gradient_norms_match_golden(golden, golden_model):
    golden_model.masked_prediction(golden["codes"], golden.sensors, golden["mask"]).loss.backward()
    norms = {name: p.grad.double().norm().item() for name, p in golden_model.named_parameters() if p.grad is not None}
    ours = {row.released: row.ours for row in model_rows(asdict(golden_model.config))}
    expected = {
        ours[name]: value for name, value in zip(golden.text("grad_norm_names"), golden["grad_norms"], strict=True)
    }
    assert len(expected) == 52 and set(norms) == set(expected)
    for name, value in expected.items():
        assert norms[name] == pytest.approx(value.item(), rel=1e-3), name


@pytest.mark.parametrize("grad", [False, True])
def test_two_passes_in_evaluation_are_bit_equal_and_in_training_are_not(model, codes, grad):
    sensors = [array(5), array(5, 1)]
    with torch.set_grad_enabled(grad):
        assert torch.equal(model(codes, sensors), model(codes, sensors))
        model.train()
        assert not torch.equal(model(codes, sensors), model(codes, sensors))
    assert not model.tokenizer.training


@pytest.mark.parametrize("grad", [False, True])
def test_a_batch_gives_what_single_items_give(model, codes, grad):
    arrays = [array(5), array(5, 1)]
    with torch.set_grad_enabled(grad):
        together = model(codes, arrays)
        for item in range(2):
            alone = model(codes[item : item + 1], arrays[item])
            torch.testing.assert_close(together[item], alone[0], rtol=0, atol=1e-5)


@pytest.mark.parametrize("grad", [False, True])
def test_padding_does_not_change_real_sensors_unless_as_published(codes, grad):
    for compat, changes in [("default", False), ("reference", True)]:
        model = MEGXL(SMALL, BioCodec(CODEC), compat=compat).eval()
        padded = torch.cat([codes[:1, :3], torch.full((1, 2, 13, 3), 9)], dim=1)
        sensors, _ = batch_sensors([array(3)])
        wider = SensorTensors(*(F.pad(part, (0, 0, 0, 2) if part.dim() == 3 else (0, 2)) for part in sensors))
        mask = torch.tensor([[True, True, True, False, False]])
        with torch.set_grad_enabled(grad):
            plain, with_padding = model(codes[:1, :3], sensors), model(padded, wider, mask)[:, :3]
        assert torch.allclose(plain, with_padding, rtol=0, atol=1e-5) != changes


def test_arrays_of_unequal_size_are_padded_and_masked_by_the_model(model, codes):
    with torch.no_grad():
        mixed = model(codes, [array(5), array(3, 1)])
        alone = model(codes[1:, :3], array(3, 1))
    torch.testing.assert_close(mixed[1:, :3], alone, rtol=0, atol=1e-5)


def test_a_signal_gives_what_its_codes_give(model):
    signal = torch.randn(1, 5, 150)
    with torch.no_grad():
        from_signal = model(signal, array(5))
        from_codes = model(model.tokenizer.tokenize(signal), array(5))
    assert torch.equal(from_signal, from_codes)


def test_the_tokenizer_is_frozen():
    codec = BioCodec(CODEC).train()
    model = MEGXL(SMALL, codec).train()
    assert not any(p.requires_grad for p in model.tokenizer.parameters()) and not model.tokenizer.training
    assert all(p.requires_grad for p in model.layers.parameters())


def test_layers_can_be_read_one_by_one(model, codes):
    sensors = batch_sensors([array(5), array(5, 1)])[0]
    with torch.no_grad():
        embedded = model.embedding(codes, sensors)
        assert torch.equal(model(codes, sensors, layer=0), embedded)
        assert torch.equal(model(codes, sensors, layer=2), model(codes, sensors))
        assert not torch.equal(model(codes, sensors, layer=1), model(codes, sensors))
    with pytest.raises(InputError, match="layer must be 0"):
        model(codes, sensors, layer=3)


def test_loss_and_accuracy_of_an_oracle_an_inverted_one_and_noise(codes):
    """The head is replaced by scores that know, deny, or ignore the codes."""
    hidden = torch.zeros(2, 13, dtype=torch.bool)
    hidden[:, 4:9] = True
    target = F.one_hot(codes, 16)[:, :, 4:9].flatten(0, 2).flatten(1).float()
    sensors = [array(5), array(5, 1)]
    results = {}
    for name, scores in [("oracle", 30 * target), ("inverted", -30 * target), ("noise", torch.zeros_like(target))]:
        model = MEGXL(SMALL, BioCodec(CODEC)).eval()
        model.head = Fixed(scores)
        results[name] = model.masked_prediction(codes, sensors, hidden)
    assert results["oracle"].accuracy == 1 and results["oracle"].loss < 1e-9
    assert results["inverted"].accuracy == 0 and results["inverted"].loss > 25
    assert results["noise"].loss.item() == pytest.approx(np.log(16), rel=1e-5)
    assert all(len(result.loss_Q) == 3 and result.tokens == 50 for result in results.values())


class Fixed(torch.nn.Module):
    """A head that says the same whatever it sees."""

    def __init__(self, scores: torch.Tensor) -> None:
        super().__init__()
        self.scores = scores

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        assert len(x) == len(self.scores), "the head must see hidden tokens only"
        return self.scores


def test_loss_is_the_mean_over_hidden_tokens_of_real_sensors_and_levels(model, codes):
    mask = torch.rand(2, 5, 13) < 0.4
    real = torch.tensor([[True] * 5, [True, True, False, True, False]])
    sensors, _ = batch_sensors([array(5), array(5, 1)])
    result = model.masked_prediction(codes, sensors, mask, real)
    features = model(codes, sensors, real, mask=mask)
    logits = model.logits(features).double().log_softmax(-1)
    losses = -logits.gather(-1, codes[..., None])[..., 0]
    counted = mask & real[..., None]
    assert result.loss.item() == pytest.approx(losses[counted].mean().item(), rel=1e-5)
    hits = (logits.argmax(-1) == codes)[counted].double()
    torch.testing.assert_close(result.accuracy_Q.double(), hits.mean(0), rtol=1e-6, atol=0)
    assert result.tokens == counted.sum()


def test_sums_of_each_item_are_those_of_the_item_alone(model, codes):
    mask = torch.rand(2, 5, 13) < 0.4
    real = torch.tensor([[True] * 5, [True, True, False, True, False]])
    arrays = [array(5), array(5, 1)]
    together = model.masked_prediction(codes, arrays, mask, real)
    for item in range(2):
        part = slice(item, item + 1)
        alone = model.masked_prediction(codes[part], arrays[item], mask[part], real[part])
        count = (mask[item] & real[item][:, None]).sum()
        assert together.tokens_B[item] == count == alone.tokens
        torch.testing.assert_close(together.loss_BQ[item], alone.loss_Q * count, rtol=1e-5, atol=0)
        torch.testing.assert_close(together.hits_BQ[item], alone.accuracy_Q * count, rtol=1e-6, atol=0)
    torch.testing.assert_close(together.loss_BQ.sum(0) / together.tokens, together.loss_Q, rtol=1e-6, atol=0)
    assert together.loss_BQ.requires_grad


def test_padding_is_never_hidden_which_matters_where_it_attends(codes):
    model = MEGXL(SMALL, compat="reference").eval()
    mask = torch.zeros(2, 13, dtype=torch.bool)
    mask[:, 3:8] = True
    real = torch.tensor([[True] * 5, [True, True, True, False, False]])
    sensors = [array(5), array(5, 1)]
    on_real_ones = mask[:, None] & real[..., None]
    ours = model.masked_prediction(codes, sensors, mask, real)
    assert ours.loss == model.masked_prediction(codes, sensors, on_real_ones, real).loss
    assert torch.equal(model(codes, sensors, real, mask=mask), model(codes, sensors, mask=on_real_ones))


def test_when_all_hidden_places_are_padding_nothing_is_counted_and_nothing_is_nan(model, codes):
    mask = torch.zeros(2, 5, 13, dtype=torch.bool)
    mask[:, 4, 2] = True
    real = torch.tensor([[True] * 4 + [False]] * 2)
    result = model.masked_prediction(codes, [array(5), array(5, 1)], mask, real)
    assert result.tokens == 0 and result.loss == 0


def test_hidden_codes_cannot_be_seen(model, codes):
    mask = torch.zeros(2, 13, dtype=torch.bool)
    mask[:, 3:6] = True
    other = codes.clone()
    other[:, :, 3:6] = (other[:, :, 3:6] + 5) % 16
    sensors = [array(5), array(5, 1)]
    assert torch.equal(model(codes, sensors, mask=mask), model(other, sensors, mask=mask))
    assert not torch.equal(model(codes, sensors), model(other, sensors))


def test_mask_of_all_sensors_equals_the_same_mask_written_out(model, codes):
    mask = torch.zeros(2, 13, dtype=torch.bool)
    mask[0, :4], mask[1, 6:9] = True, True
    sensors = [array(5), array(5, 1)]
    short = model.masked_prediction(codes, sensors, mask)
    long = model.masked_prediction(codes, sensors, mask[:, None].expand(2, 5, 13))
    assert short.loss == long.loss and short.tokens == long.tokens


def test_bfloat16_is_close_to_float32(model, codes):
    sensors = [array(5), array(5, 1)]
    with torch.no_grad():
        exact = model(codes, sensors)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            rough = model(codes, sensors)
    assert rough.dtype == torch.float32
    assert (rough - exact).norm() / exact.norm() < 0.01


def test_saved_and_read_back_is_the_same_model(tmp_path, model, codes):
    model.save_pretrained(tmp_path / "model")
    again = MEGXL.from_pretrained(tmp_path / "model")
    sensors = [array(5), array(5, 1)]
    assert torch.equal(model(codes, sensors), again(codes, sensors))
    assert again.config == model.config and again.tokenizer.config == model.tokenizer.config


def test_a_tokenizer_that_contradicts_the_checkpoint_is_refused(tmp_path, model):
    model.save_pretrained(tmp_path / "model")
    with pytest.raises(InputError, match="not the one that this model was trained with"):
        MEGXL.from_pretrained(tmp_path / "model", BioCodec(CODEC))
    model.tokenizer = None
    model.save_pretrained(tmp_path / "bare")
    with pytest.raises(InputError, match="code books"):
        MEGXL.from_pretrained(tmp_path / "bare", BioCodec(CODEC))


def test_a_codec_is_found_in_its_default_place_and_a_given_one_is_recorded(tmp_path, model, monkeypatch):
    monkeypatch.chdir(tmp_path)
    codec = model.tokenizer
    place = tmp_path / "brainstorm" / "neuro_tokenizers" / "biocodec_ckpt.pt"
    model.save_pretrained("whole")
    model.tokenizer = None
    model.save_pretrained("bare")
    assert MEGXL.from_pretrained("bare").tokenizer is None
    write_released(place, codec.to_checkpoint())
    assert MEGXL.from_pretrained("bare").tokenizer.provenance["file"] == "biocodec_ckpt.pt"
    assert MEGXL.from_pretrained("whole").tokenizer.provenance["file"] == "whole"
    assert MEGXL.from_pretrained("whole", place).tokenizer.provenance["file"] == "biocodec_ckpt.pt"


def test_consent_to_unknown_keys_reaches_the_codec(tmp_path, model):
    write_released(tmp_path / "codec.pt", model.tokenizer.to_checkpoint())
    content = torch.load(tmp_path / "codec.pt")
    torch.save(content | {"best_loss": 0.1}, tmp_path / "codec.pt")
    model.save_pretrained(tmp_path / "model")
    with pytest.raises(InputError, match="best_loss"):
        MEGXL.from_pretrained(tmp_path / "model", tmp_path / "codec.pt")
    MEGXL.from_pretrained(tmp_path / "model", tmp_path / "codec.pt", allow_unmatched=["best_*"])


def test_a_tokenizer_of_other_sizes_is_refused():
    with pytest.raises(InputError, match="codes = 32"):
        MEGXL(SMALL, BioCodec(BioCodecConfig(filters=4, width=8, levels=3, codes=32, code_width=4)))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"heads": 3}, "heads"),
        ({"width": 40}, "width"),
        ({"fourier_width": 9}, "fourier_width"),
        ({"dropout": 1.0}, "dropout"),
        ({"layers": 0}, "layers"),
        ({"sensor_kinds": 4}, "sensor_kinds"),
    ],
)
def test_impossible_sizes_are_refused_by_name(wrong, message):
    with pytest.raises(InputError, match=message):
        MEGXLConfig(**wrong)


def test_an_unknown_way_of_compatibility_is_refused():
    with pytest.raises(InputError, match="reference-dropout"):
        MEGXL(SMALL, compat="published")


def test_a_folded_codec_is_named(tmp_path, model):
    folded = BioCodec(CODEC).fold_()
    with pytest.raises(InputError, match="folded"):
        MEGXL(SMALL, folded).save_pretrained(tmp_path / "folded")
    model.save_pretrained(tmp_path / "model")
    with pytest.raises(InputError, match="folded"):
        MEGXL.from_pretrained(tmp_path / "model", folded)


def test_presets_are_valid_and_med_is_the_published_one():
    assert PRESETS["med"] == MEGXLConfig() and {"tiny", "small", "large"} <= set(PRESETS)
