"""The codec against the published code's numbers, and what must hold of any codec."""

import numpy as np
import pytest
import torch

from megxl.errors import InputError
from megxl.sizes import BioCodecConfig
from megxl.tokenizer.biocodec import BioCodec, rms_scale
from tests.golden import assert_codes_match

SMALL = BioCodecConfig(filters=4, width=8, levels=2, codes=16, code_width=4)


def test_default_sizes_are_the_published_ones():
    assert sum(p.numel() for p in BioCodec().parameters()) == 3_152_770
    assert BioCodecConfig().samples_per_token == 12


def test_encoder_and_scale_match_golden(golden, golden_codec):
    signal = golden["tok_in"]
    scale = rms_scale(signal)
    torch.testing.assert_close(scale, golden["tok_scale"], rtol=1e-6, atol=0)
    with torch.no_grad():
        embedding = golden_codec.encoder(signal / scale[..., None])
    torch.testing.assert_close(embedding, golden["tok_embedding"], rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", ["", "_odd"])
@pytest.mark.usefixtures("two_threads")
def test_codes_match_golden(golden, golden_codec, name):
    signal, expected = golden[f"tok_in{name}"], golden[f"tok_codes{name}"]
    with torch.no_grad():
        codes = golden_codec.encode(signal)[0]
    assert_codes_match(golden_codec, signal, codes.transpose(1, 2), expected.transpose(1, 2))


@pytest.mark.usefixtures("two_threads")
def test_tokenize_matches_golden_model_codes(golden, golden_codec):
    codes = golden_codec.tokenize(golden["meg"]).long()
    rows = golden["meg"].flatten(0, 1)[:, None]
    assert_codes_match(golden_codec, rows, codes.flatten(0, 1), golden["codes"].flatten(0, 1))


@pytest.mark.parametrize("name", ["", "_odd"])
def test_reconstruction_from_golden_codes_matches(golden, golden_codec, name):
    signal = golden[f"tok_in{name}"]
    with torch.no_grad():
        decoded = golden_codec.decode(golden[f"tok_codes{name}"], rms_scale(signal), signal.shape[-1])
    torch.testing.assert_close(decoded, golden[f"tok_recon{name}"], rtol=0, atol=1e-4)


def test_scale_is_the_root_mean_square_and_never_zero():
    signal = torch.randn(3, 1, 100) * torch.tensor([1e-3, 1.0, 50.0])[:, None, None]
    expected = np.sqrt((signal.double().numpy() ** 2).mean(axis=(1, 2)))
    np.testing.assert_allclose(rms_scale(signal)[:, 0].numpy(), expected, rtol=1e-6)
    assert rms_scale(torch.zeros(1, 1, 50)).item() == pytest.approx(1e-8)


def test_codes_do_not_depend_on_gain_and_the_signal_keeps_its_unit():
    codec = BioCodec(SMALL).eval()
    signal = torch.randn(2, 1, 120)
    with torch.no_grad():
        codes, scale = codec.encode(signal)
        louder, louder_scale = codec.encode(signal * 1024)
        assert torch.equal(codes, louder)
        torch.testing.assert_close(
            codec.decode(louder, louder_scale), 1024 * codec.decode(codes, scale), rtol=1e-6, atol=0
        )


def test_differentiable_pass_equals_encode_and_decode_and_reaches_every_parameter():
    codec = BioCodec(SMALL)
    signal = torch.randn(3, 1, 100)
    output = codec(signal)
    with torch.no_grad():
        codes, scale = codec.encode(signal)
        decoded = codec.decode(codes, scale, 100)
    assert torch.equal(output.codes_NQT, codes)
    torch.testing.assert_close(output.signal_N1T, decoded, rtol=0, atol=1e-5)
    ((output.signal_N1T - signal).square().mean() + output.commitment).backward()
    without = [name for name, p in codec.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert not without


@pytest.mark.parametrize("max_rows", [1, 4, 100])
def test_tokenize_is_encode_sensor_by_sensor_whatever_the_chunks(max_rows):
    codec = BioCodec(SMALL).eval()
    signal = torch.randn(2, 5, 100)
    codes = codec.tokenize(signal, max_rows)
    assert codes.dtype == torch.uint8 and codes.shape == (2, 5, 9, 2)
    for b in range(2):
        for c in range(5):
            alone, _ = codec.encode(signal[b, c][None, None])
            assert torch.equal(codes[b, c].long(), alone[0].T)


def test_a_flat_sensor_has_codes_and_no_nan():
    codec = BioCodec(SMALL).eval()
    with torch.no_grad():
        codes, scale = codec.encode(torch.zeros(1, 1, 100))
        assert torch.isfinite(codec.decode(codes, scale)).all()


def test_tokenize_ignores_autocast():
    codec = BioCodec(SMALL).eval()
    signal = torch.randn(1, 4, 120)
    plain = codec.tokenize(signal)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(codec.tokenize(signal), plain)


def test_a_codec_in_double_takes_any_signal():
    codec = BioCodec(SMALL).double().eval()
    assert codec.tokenize(torch.randn(1, 2, 60)).shape == (1, 2, 5, 2)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_signal_with_nan_or_infinite_samples_is_refused(value):
    signal = torch.randn(2, 3, 60)
    signal[1, 2, 7] = value
    with pytest.raises(InputError, match=r"1 of 6 .* item 1, sensor 2"):
        BioCodec(SMALL).eval().tokenize(signal)


@pytest.mark.parametrize("shape", [(4, 100), (1, 4, 0)])
def test_a_signal_of_wrong_shape_is_refused(shape):
    with pytest.raises(InputError, match=r"\(B, C, T\)"):
        BioCodec(SMALL).tokenize(torch.zeros(shape))


@pytest.mark.parametrize("wrong", [{"levels": 0}, {"strides": ()}, {"strides": (2, 0)}, {"codes": 2.5}])
def test_impossible_sizes_are_refused_by_name(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        BioCodecConfig(**wrong)


def test_a_folded_codec_is_not_saved(tmp_path):
    with pytest.raises(InputError, match="folded"):
        BioCodec(SMALL).fold_().save_pretrained(tmp_path / "codec")


def test_saved_and_read_back_is_the_same_codec(tmp_path):
    codec = BioCodec(SMALL).eval()
    codec.save_pretrained(tmp_path / "codec")
    again = BioCodec.from_pretrained(tmp_path / "codec")
    assert again.config == codec.config
    assert all(torch.equal(a, b) for a, b in zip(codec.state_dict().values(), again.state_dict().values(), strict=True))
