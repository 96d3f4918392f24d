from dataclasses import replace
from math import ceil

import pytest
import torch
from torch import nn

from megxl.decoding.codec_features import CodecBackbone
from megxl.decoding.convolution import ConvolutionBackbone
from megxl.decoding.decoder import Decoder, MEGXLBackbone
from megxl.decoding.heads import LinearProbe, MLPHead, SensorAttentionHead
from megxl.decoding.sequence import SequenceHead
from megxl.decoding.subjects import SubjectEmbedding
from megxl.errors import InputError
from megxl.model.execution import recompute_activations
from megxl.model.megxl import MEGXL
from tests.decoding.word_batches import SMALL_CODEC, SMALL_MODEL, small_megxl, tape_starts, word_batch
from tests.training.small_run import small_codec as varied_codec

C, D, E = 5, 16, 10


def decoder(trains: bool = True, head: nn.Module | None = None, **options) -> Decoder:
    return Decoder(MEGXLBackbone(small_megxl(), trains=trains), head or MLPHead(C, D, E, hidden=12), **options).eval()


def test_features_are_the_mean_over_the_tokens_of_each_word():
    backbone, batch = MEGXLBackbone(small_megxl()), word_batch(words=5)
    features_BCTD = backbone.model(batch.signal_BCT, batch.sensors)
    words_BWCD = backbone(batch).words_BWCD
    for word in range(5):
        first, stop = 150 * word // 12, ceil((150 * word + 150) / 12)
        expected_BCD = torch.stack([features_BCTD[:, :, token] for token in range(first, stop)]).mean(0)
        torch.testing.assert_close(words_BWCD[:, word], expected_BCD, rtol=1e-5, atol=1e-6)


def test_codes_of_the_batch_are_taken_before_its_signal():
    backbone, batch = MEGXLBackbone(small_megxl()), word_batch()
    coded = replace(batch, signal_BCT=None, codes_BCTQ=backbone.model.codes(batch.signal_BCT))
    assert torch.equal(backbone(coded).words_BWCD, backbone(batch).words_BWCD)
    both = replace(coded, signal_BCT=torch.randn_like(batch.signal_BCT))
    assert torch.equal(backbone(both).words_BWCD, backbone(coded).words_BWCD)
    with pytest.raises(InputError, match="neither codes nor a signal"):
        backbone(replace(batch, signal_BCT=None))


def test_the_head_for_hidden_codes_is_never_computed_nor_trained():
    chosen, batch = decoder(), word_batch()
    chosen.backbone.model.head.register_forward_hook(lambda *_: pytest.fail("the head was computed"))
    chosen.train()(batch).square().sum().backward()
    idle = [name for name, parameter in chosen.named_parameters() if parameter.requires_grad and parameter.grad is None]
    assert not idle
    frozen = {name for name, parameter in chosen.backbone.model.named_parameters() if not parameter.requires_grad}
    assert {name for name in frozen if not name.startswith("tokenizer.")} == {
        "head.weight", "head.bias", "embedding.mask_vector"
    }  # fmt: skip


def test_a_frozen_backbone_stays_in_evaluation_and_out_of_the_graph():
    chosen, batch = decoder(trains=False), word_batch()
    in_eval = chosen.features(batch).words_BWCD
    chosen.train()
    assert chosen.head.training and not any(module.training for module in chosen.backbone.modules())
    features = chosen.features(batch)
    assert torch.equal(features.words_BWCD, in_eval) and not features.words_BWCD.requires_grad
    assert not any(parameter.requires_grad for parameter in chosen.backbone.parameters())
    chosen(batch).square().sum().backward()
    assert all(parameter.grad is None for parameter in chosen.backbone.parameters())
    assert all(parameter.grad.any() for parameter in chosen.head.parameters())


def test_a_frozen_backbone_keeps_no_graph_to_its_input():
    backbone, batch = ConvolutionBackbone(D, 7), word_batch()
    batch.signal_BCT.requires_grad_()
    assert Decoder(backbone, LinearProbe(1, D, E)).features(batch).words_BWCD.requires_grad
    backbone.trains = False
    assert not Decoder(backbone, LinearProbe(1, D, E)).features(batch).words_BWCD.requires_grad


def test_a_backbone_that_trains_drops_out_in_training_and_learns():
    chosen, batch = decoder().train(), word_batch()
    assert not torch.equal(chosen.features(batch).words_BWCD, chosen.features(batch).words_BWCD)
    chosen(batch).square().sum().backward()
    assert chosen.backbone.model.embedding.code_projection.weight.grad.any()
    with torch.no_grad():
        assert not chosen.features(batch).words_BWCD.requires_grad


def test_features_that_were_kept_give_what_the_batch_gives():
    chosen, batch = decoder(trains=False, subjects=SubjectEmbedding(["a", "b"], D)), word_batch()
    nn.init.normal_(chosen.subjects.vectors_SD)
    kept = chosen.features(batch)
    assert torch.equal(chosen.from_features(kept, None, ["b", "a"]), chosen(batch, ["b", "a"]))


def test_words_that_are_not_there_change_no_other():
    head = SequenceHead(SensorAttentionHead(D, 16, hidden=8), E)
    starts_BW = torch.tensor([[0, 40, 90, 430], [20, 60, -1, -1]])
    chosen, batch = decoder(head=head), word_batch(starts_BW=starts_BW, samples=600)
    both, alone = chosen(batch), chosen(replace(batch, word_starts_BW=starts_BW[:, :2]))
    torch.testing.assert_close(both[1, :2], alone[1], rtol=0, atol=1e-6)
    assert not torch.allclose(both[0, :2], alone[0], rtol=0, atol=1e-4), "the head must look at the other words"


def test_masked_sensors_do_not_count():
    mask_BC = torch.tensor([[True] * 5, [True] * 3 + [False] * 2])
    chosen, batch = decoder(), word_batch(mask_BC=mask_BC)
    junk = batch.signal_BCT.clone()
    junk[1, 3:] = torch.randn_like(junk[1, 3:]) * 100
    torch.testing.assert_close(chosen(replace(batch, signal_BCT=junk)), chosen(batch), rtol=1e-5, atol=1e-6)
    assert not torch.allclose(chosen(replace(batch, sensor_mask_BC=None)), chosen(batch), atol=1e-4)


def test_as_published_the_head_reads_what_is_padded():
    batch = word_batch(mask_BC=torch.tensor([[True] * 4 + [False]] * 2))
    assert MEGXLBackbone(small_megxl(compat="reference"))(batch).sensor_mask_BC is None
    assert MEGXLBackbone(small_megxl())(batch).sensor_mask_BC is batch.sensor_mask_BC


def test_subjects_are_added_to_the_features():
    chosen, batch = decoder(head=LinearProbe(C, D, E), subjects=SubjectEmbedding(["a", "b"], D)), word_batch()
    nn.init.normal_(chosen.subjects.vectors_SD)
    map_ECD = chosen.head.layers.weight.unflatten(1, (C, D))
    expected = (map_ECD.sum(1) @ (chosen.subjects.vectors_SD[1] - chosen.subjects.vectors_SD[0])).expand(4, E)
    torch.testing.assert_close(
        chosen(batch, ["b", "a"])[0] - chosen(batch, ["a", "a"])[0], expected, rtol=1e-4, atol=1e-5
    )
    with pytest.raises(InputError, match="say who listens"):
        chosen(batch)


def test_activations_may_be_recomputed_from_outside():
    chosen, batch = decoder(), word_batch()
    chosen(batch).square().sum().backward()
    before = [parameter.grad.clone() for parameter in chosen.parameters() if parameter.grad is not None]
    chosen.zero_grad()
    recompute_activations(chosen.backbone.model, "full")
    chosen(batch).square().sum().backward()
    after = [parameter.grad for parameter in chosen.parameters() if parameter.grad is not None]
    assert len(after) == len(before)
    for one, other in zip(after, before, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


def test_another_number_of_sensors_than_the_head_was_made_for_is_refused():
    with pytest.raises(InputError, match=r"of 4 sensors with width 16.*made for 5"):
        decoder()(word_batch(sensors=4))


def test_windows_that_are_not_of_this_signal_are_refused():
    with pytest.raises(InputError, match="word 3 of item 0 ends with token 63 of 50"):
        decoder()(word_batch(starts_BW=tape_starts(2, 4) + 150, samples=600))


def test_padding_adds_nothing_to_what_a_flat_head_sees():
    chosen, few = decoder(), word_batch(sensors=3)
    padded = few.padded(C)
    assert padded.sensor_mask_BC.tolist() == [[True] * 3 + [False] * 2] * 2
    features = chosen.features(few).words_BWCD
    expected = torch.cat([features, torch.zeros(2, 4, 2, D)], 2)
    torch.testing.assert_close(chosen(padded), chosen.head(expected), rtol=1e-5, atol=1e-5)
    with pytest.raises(InputError, match="has 3 sensors, but there is place for 2"):
        few.padded(2)


@pytest.mark.parametrize("strides", [(5,), (2, 5), (2, 2, 2), (5, 5)])
def test_codes_of_any_tokenizer_give_what_its_signal_gives(strides):
    """On a tape of four words of 150 samples, of which tokens of 8 samples make 18.75 each."""
    codec = varied_codec(0, replace(SMALL_CODEC, strides=strides))
    model = MEGXL(replace(SMALL_MODEL, samples_per_token=codec.config.samples_per_token), codec).eval()
    batch = word_batch()
    coded = replace(batch, signal_BCT=None, codes_BCTQ=codec.tokenize(batch.signal_BCT))
    assert coded.codes_BCTQ.shape[2] == -(-600 // codec.config.samples_per_token)
    for backbone in (MEGXLBackbone(model, trains=False), CodecBackbone(codec)):
        with torch.no_grad():
            heard, read = (backbone(some).words_BWCD for some in (batch, coded))
        assert torch.equal(heard, read) and heard.shape[:3] == (2, 4, 5)
        assert heard.isfinite().all() and heard.std(1).max() > 0
