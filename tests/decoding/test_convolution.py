import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from megxl.decoding.convolution import ConvolutionBackbone, ConvolutionBlock, LatencyPooling, SensorMixing
from megxl.decoding.decoder import Decoder
from megxl.decoding.heads import LinearProbe
from megxl.errors import InputError
from tests.decoding.word_batches import WINDOW, sensor_part, tape_starts, word_batch

C, D = 5, 12


def backbone(**options) -> ConvolutionBackbone:
    return ConvolutionBackbone(**{"width": D, "virtual_sensors": 7} | options)


def test_the_published_size_has_the_width_and_sensors_of_the_papers():
    with torch.device("meta"):
        full = ConvolutionBackbone()
    assert full.width == 320 and full.entry.weight.shape == (320, 270, 1)
    dilations = [step[0].dilation[0] for block in full.blocks for step in block.residual]
    assert dilations == [4, 8, 16, 1, 2, 4, 8, 16, 1, 2] and len(full.blocks) == 5
    kernels = {module.kernel_size for module in full.blocks.modules() if isinstance(module, torch.nn.Conv1d)}
    assert kernels == {(3,)}
    assert 6.5e6 < sum(parameter.numel() for parameter in full.parameters()) < 7.5e6


def test_virtual_sensors_are_means_weighted_by_softmax_over_the_sensors():
    mixing, batch = SensorMixing(3).double(), word_batch(items=1)
    signal_CT, kinds_C = batch.signal_BCT[0].double(), batch.sensors.kinds_BC[0]
    places = [part[0].double() for part in batch.sensors[:2]]
    scores_CM = mixing.position(places[0]) + mixing.orientation(places[1]) + mixing.kind.weight[kinds_C]
    expected_MT = torch.zeros(3, 600, dtype=torch.float64)
    for virtual in range(3):
        weights_C = scores_CM[:, virtual].exp() / scores_CM[:, virtual].exp().sum()
        for sensor in range(C):
            expected_MT[virtual] += weights_C[sensor] * signal_CT[sensor]
    sensors = batch.sensors._replace(
        positions_BC3=batch.sensors.positions_BC3.double(), orientations_BC3=batch.sensors.orientations_BC3.double()
    )
    torch.testing.assert_close(mixing(batch.signal_BCT.double(), sensors, None)[0], expected_MT)


def test_a_block_adds_its_convolutions_and_gates_the_sum():
    block, x_NDS = ConvolutionBlock(D, 4, 8), torch.randn(2, D, 40)
    sum_NDS = x_NDS + block.residual[0](x_NDS)
    sum_NDS = sum_NDS + block.residual[1](sum_NDS)
    value_NDS, gate_NDS = block.gated(sum_NDS).chunk(2, 1)
    torch.testing.assert_close(block(x_NDS), value_NDS * gate_NDS.sigmoid())


def test_sensors_may_come_in_any_order():
    chosen, batch, order = backbone(), word_batch(), torch.randperm(C)
    turned = replace(batch, signal_BCT=batch.signal_BCT[:, order], sensors=sensor_part(batch.sensors, order))
    expected = chosen(batch).words_BWCD
    torch.testing.assert_close(chosen(turned).words_BWCD, expected, rtol=0, atol=1e-5)
    wrong = replace(turned, sensors=batch.sensors)
    assert not torch.allclose(chosen(wrong).words_BWCD, expected, atol=1e-3)


@pytest.mark.parametrize("junk", [1e3, float("inf"), float("nan")])
def test_masked_sensors_do_not_count(junk):
    chosen, batch = backbone(), word_batch()
    few = torch.arange(3)
    cut = replace(batch, signal_BCT=batch.signal_BCT[:, :3], sensors=sensor_part(batch.sensors, few))
    masked = replace(batch, sensor_mask_BC=(torch.arange(C) < 3).expand(2, C), signal_BCT=batch.signal_BCT.clone())
    masked.signal_BCT[:, 3:] = junk
    torch.testing.assert_close(chosen(masked).words_BWCD, chosen(cut).words_BWCD, rtol=0, atol=1e-5)


def test_a_word_sees_its_window_and_nothing_else():
    starts_BW = torch.tensor([[0, 100, 333, 450]])
    chosen, batch = backbone(), word_batch(items=1, starts_BW=starts_BW, samples=600)
    before = chosen(batch).words_BWCD
    for sample, words in (
        (0, [0]),
        (99, [0]),
        (100, [0, 1]),
        (149, [0, 1]),
        (249, [1]),
        (300, []),
        (333, [2]),
        (482, [2, 3]),
    ):
        signal_BCT = batch.signal_BCT.clone()
        signal_BCT[..., sample] += 5.0
        changed_W = (chosen(replace(batch, signal_BCT=signal_BCT)).words_BWCD != before).flatten(2).any(-1)[0]
        assert changed_W.nonzero()[:, 0].tolist() == words, sample


def test_the_words_of_a_batch_do_not_depend_on_each_other_in_training():
    chosen, batch = backbone().train(), word_batch(items=1)
    together = chosen(batch).words_BWCD
    for word in range(4):
        piece = batch.signal_BCT[..., WINDOW * word : WINDOW * (word + 1)]
        alone = chosen(replace(batch, signal_BCT=piece, word_starts_BW=tape_starts(1, 1))).words_BWCD
        torch.testing.assert_close(together[:, word], alone[:, 0], rtol=0, atol=1e-5)


def test_words_that_are_not_there_are_zero():
    starts_BW = torch.tensor([[0, 90], [20, -1]])
    features = backbone()(word_batch(starts_BW=starts_BW, samples=300))
    assert features.words_BWCD.shape == (2, 2, 1, D) and features.sensors is None and features.sensor_mask_BC is None
    assert not features.words_BWCD[1, 1].any() and features.words_BWCD[1, 0].any()


def test_a_window_that_is_a_sample_short_repeats_its_last():
    starts_BW = torch.tensor([[0, 150, 299]])
    chosen, batch = backbone(), word_batch(items=1, starts_BW=starts_BW, samples=449)
    longer = torch.cat([batch.signal_BCT[..., 150:299], batch.signal_BCT[..., 298:299]], -1)
    alone = chosen(replace(batch, signal_BCT=longer, word_starts_BW=tape_starts(1, 1))).words_BWCD
    torch.testing.assert_close(chosen(batch).words_BWCD[:, 1], alone[:, 0], rtol=0, atol=1e-5)


def test_samples_are_weighted_by_what_they_hold_and_how_late_they_are():
    pooling, x_DS = LatencyPooling(D).double(), torch.randn(D, 40, dtype=torch.float64)
    means = []
    for query in range(8):
        scores = [
            pooling.content.weight[query] @ x_DS[:, s]
            + sum(pooling.latency_GK[query, k] * math.cos(math.pi * k * (s + 0.5) / 40) for k in range(32))
            for s in range(40)
        ]
        means.append(x_DS @ torch.stack(scores).softmax(0))
    torch.testing.assert_close(pooling(x_DS[None])[0], pooling.out(torch.cat(means)))


def test_latencies_are_seconds_and_not_samples():
    pooling = LatencyPooling(D)
    slow_NDS = torch.randn(1, D, 8).repeat_interleave(25, -1)
    torch.testing.assert_close(pooling(slow_NDS.repeat_interleave(2, -1)), pooling(slow_NDS), rtol=0, atol=5e-3)
    assert not torch.allclose(pooling(slow_NDS.flip(-1)), pooling(slow_NDS), atol=5e-2)


def test_every_parameter_is_trained():
    # a share of 1 whatever the score of all: what adds the same to all sensors or samples cannot matter
    no_matter = {"mixing.position.projection.bias", "mixing.orientation.projection.bias", "pooling.content.bias"}
    chosen = backbone()
    chosen(word_batch()).words_BWCD.square().sum().backward()
    idle = {name for name, parameter in chosen.named_parameters() if parameter.grad.abs().max() < 1e-7}
    assert idle <= no_matter


def test_it_learns_a_topography_and_a_time_course():
    """Four words, each a bump at one of two sensors and one of two times, in noise: told apart on unseen noise."""
    decoder = Decoder(backbone(), LinearProbe(1, D, 4)).train()
    template = word_batch(items=1, words=8)
    optimizer = torch.optim.AdamW(decoder.parameters(), 2e-3)

    def make(seed: int):
        generator = torch.Generator().manual_seed(seed)
        names_W = torch.randint(4, (8,), generator=generator)
        signal_BCT = torch.randn(1, C, 8 * WINDOW, generator=generator)
        for word, name in enumerate(names_W.tolist()):
            begin = WINDOW * word + (30 if name % 2 else 90)
            signal_BCT[0, name // 2, begin : begin + 25] += 3.0
        return replace(template, signal_BCT=signal_BCT), names_W

    for step in range(150):
        batch, names_W = make(step)
        loss = F.cross_entropy(decoder(batch)[0], names_W)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    decoder.eval()
    tested = [make(1000 + number) for number in range(10)]
    right = torch.cat([decoder(batch)[0].argmax(-1) == names_W for batch, names_W in tested])
    assert right.float().mean() > 0.95


def test_codes_alone_are_refused():
    with pytest.raises(InputError, match="reads the signal"):
        backbone()(replace(word_batch(), signal_BCT=None))


def test_windows_that_leave_the_item_are_refused():
    with pytest.raises(InputError, match="ends with sample 750, but the item has 600"):
        backbone()(word_batch(starts_BW=tape_starts(2, 4) + 150, samples=600))


def test_autocast_changes_little():
    chosen, batch = backbone(), word_batch()
    with torch.autocast("cpu", torch.bfloat16):
        features = chosen(batch).words_BWCD
    torch.testing.assert_close(features.float(), chosen(batch).words_BWCD, rtol=0, atol=0.05)
