from dataclasses import replace
from math import ceil

import pytest
import torch

from megxl.decoding.codec_features import CodecBackbone
from megxl.decoding.decoder import Decoder
from megxl.decoding.heads import LinearProbe
from megxl.errors import InputError
from tests.decoding.word_batches import SMALL_CODEC, small_codec, word_batch


def test_features_are_the_mean_of_the_quantised_vectors_of_each_word():
    backbone, batch = CodecBackbone(small_codec()), word_batch(words=3)
    codec = backbone.tokenizer
    words_BWCD = backbone(batch).words_BWCD
    assert words_BWCD.shape == (2, 3, 5, backbone.width)
    for item, sensor in ((0, 4), (1, 2)):
        codes_NQT, _ = codec.encode(batch.signal_BCT[item, sensor][None, None])
        vectors_TD = sum(
            level.project_out(level.code_book[codes_NQT[0, q]]) for q, level in enumerate(codec.quantizer.levels)
        )
        for word in range(3):
            expected_D = vectors_TD[150 * word // 12 : ceil((150 * word + 150) / 12)].mean(0)
            torch.testing.assert_close(words_BWCD[item, word, sensor], expected_D, rtol=1e-5, atol=1e-6)


def test_codes_give_what_their_signal_gives():
    backbone, batch = CodecBackbone(small_codec()), word_batch()
    coded = replace(batch, signal_BCT=None, codes_BCTQ=backbone.tokenizer.tokenize(batch.signal_BCT))
    assert coded.codes_BCTQ.dtype == torch.uint8
    assert torch.equal(backbone(coded).words_BWCD, backbone(batch).words_BWCD)


def test_the_vectors_of_all_codes_are_those_of_the_quantizer():
    quantizer = small_codec().quantizer
    codes_NTQ = torch.randint(SMALL_CODEC.codes, (3, 7, SMALL_CODEC.levels))
    summed = sum(quantizer.vectors_QVD[q][codes_NTQ[..., q]] for q in range(SMALL_CODEC.levels))
    torch.testing.assert_close(summed, quantizer.decode(codes_NTQ), rtol=1e-6, atol=1e-6)


def test_nothing_of_the_codec_is_trained():
    decoder = Decoder(CodecBackbone(small_codec()), LinearProbe(5, SMALL_CODEC.width, 6)).train()
    assert not any(module.training for module in decoder.backbone.modules())
    decoder(word_batch()).square().sum().backward()
    trained = [name for name, parameter in decoder.named_parameters() if parameter.requires_grad]
    assert trained == ["head.layers.weight", "head.layers.bias"]


def test_autocast_does_not_touch_the_vectors():
    backbone, batch = CodecBackbone(small_codec()), word_batch()
    codes_BCTQ = backbone.tokenizer.tokenize(batch.signal_BCT)
    before = backbone._vectors(codes_BCTQ)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(backbone._vectors(codes_BCTQ), before)


def test_codes_of_another_codec_are_refused():
    backbone, batch = CodecBackbone(small_codec()), word_batch()
    foreign = torch.full((2, 5, 50, SMALL_CODEC.levels), SMALL_CODEC.codes, dtype=torch.uint8)
    with pytest.raises(InputError, match="between 0 and 15"):
        backbone(replace(batch, signal_BCT=None, codes_BCTQ=foreign))
    with pytest.raises(InputError, match=r"shape \(B, C, T, 2\)"):
        backbone(replace(batch, signal_BCT=None, codes_BCTQ=foreign.repeat(1, 1, 1, 3)))
