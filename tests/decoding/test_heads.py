import pytest
import torch
from torch import nn

from megxl.decoding.heads import LinearProbe, MLPHead, SensorAttentionHead
from megxl.decoding.sequence import SequenceHead
from megxl.errors import InputError
from megxl.model.embedding import SensorTensors

B, W, C, D, E = 2, 5, 12, 16, 10


def sensors(batch: int = B, count: int = C) -> SensorTensors:
    return SensorTensors(
        torch.randn(batch, count, 3), torch.randn(batch, count, 3), torch.randint(0, 3, (batch, count))
    )


def attention_head(**options) -> SensorAttentionHead:
    return SensorAttentionHead(D, E, attention_width=32, heads=4, queries=3, hidden=24, **options).eval()


def heads() -> dict[str, nn.Module]:
    return {
        "mlp": MLPHead(C, D, E, hidden=20).eval(),
        "probe": LinearProbe(C, D, E).eval(),
        "attention": attention_head(),
        "sequence": SequenceHead(SensorAttentionHead(D, 16, hidden=24), E).eval(),
    }


def n_parameters(head: nn.Module) -> int:
    return sum(parameter.numel() for parameter in head.parameters() if parameter.requires_grad)


@pytest.mark.parametrize(
    ("sensor_count", "mlp", "probe"), [(306, 322_968_576, 160_433_152), (208, 220_208_128, 109_052_928)]
)
def test_published_heads_have_the_published_sizes(sensor_count, mlp, probe):
    with torch.device("meta"):
        assert n_parameters(MLPHead(sensor_count, 512, 1024)) == mlp
        assert n_parameters(LinearProbe(sensor_count, 512, 1024)) == probe


def test_heads_on_any_array_stay_below_five_million_parameters():
    with torch.device("meta"):
        assert n_parameters(SensorAttentionHead(512, 1024)) < 5e6
        assert n_parameters(SequenceHead(SensorAttentionHead(512, 256), 1024)) < 5e6


def test_the_mlp_is_the_published_formula_on_channel_major_features():
    head, words_BWCD = MLPHead(C, D, E, hidden=20).eval().double(), torch.randn(B, W, C, D).double()
    first, norm, _, _, last = head.layers
    x_H = first.weight @ torch.cat([words_BWCD[1, 2, sensor] for sensor in range(C)]) + first.bias
    x_H = (x_H - x_H.mean()) / (x_H.var(unbiased=False) + 1e-5).sqrt() * norm.weight + norm.bias
    x_H = x_H * 0.5 * (1 + torch.erf(x_H / 2**0.5))
    torch.testing.assert_close(head(words_BWCD)[1, 2], last.weight @ x_H + last.bias)
    assert head.layers[3].p == 0.1


@pytest.mark.parametrize("name", ["mlp", "probe", "attention"])
def test_all_words_at_once_equal_one_word_at_a_time(name):
    head, words_BWCD, array = heads()[name], torch.randn(B, W, C, D), sensors()
    mask_BC = torch.rand(B, C) > 0.3
    together = head(words_BWCD, array, mask_BC)
    for item in range(B):
        one = SensorTensors(*(part[item : item + 1] for part in array))
        for word in range(W):
            alone = head(words_BWCD[item : item + 1, word : word + 1], one, mask_BC[item : item + 1])
            torch.testing.assert_close(together[item, word], alone[0, 0], rtol=1e-5, atol=1e-5)
    assert together.shape == (B, W, E)


@pytest.mark.parametrize("name", ["mlp", "probe", "attention", "sequence"])
@pytest.mark.parametrize("junk", [1e3, float("inf")])
def test_masked_sensors_do_not_count(name, junk):
    head, words_BWCD, array = heads()[name], torch.randn(B, W, C, D), sensors()
    mask_BC = torch.ones(B, C, dtype=torch.bool)
    mask_BC[0, [2, 5]], mask_BC[1, 11] = False, False
    before = head(words_BWCD, array, mask_BC)
    other = words_BWCD.masked_fill(~mask_BC[:, None, :, None], junk)
    moved = array._replace(positions_BC3=array.positions_BC3 + 2.0 * ~mask_BC[..., None])
    torch.testing.assert_close(head(other, moved, mask_BC), before, rtol=0, atol=1e-6)
    assert not torch.allclose(head(words_BWCD, array), before, atol=1e-4)


def test_attention_sees_an_array_in_any_order():
    head, words_BWCD, array = attention_head(), torch.randn(B, W, C, D), sensors()
    order = torch.randperm(C)
    turned = head(words_BWCD[:, :, order], SensorTensors(*(part[:, order] for part in array)))
    torch.testing.assert_close(turned, head(words_BWCD, array), rtol=0, atol=1e-5)
    assert not torch.allclose(head(words_BWCD[:, :, order], array), turned, atol=1e-3)


def test_attention_takes_fewer_sensors_as_the_same_with_padding():
    head, words_BWCD, array = attention_head(), torch.randn(B, W, C, D), sensors()
    mask_BC = (torch.arange(C) < 7).expand(B, C)
    cut = SensorTensors(*(part[:, :7] for part in array))
    torch.testing.assert_close(head(words_BWCD[:, :, :7], cut), head(words_BWCD, array, mask_BC), rtol=0, atol=1e-5)


@pytest.mark.parametrize("part", ["positions_BC3", "orientations_BC3", "kinds_BC"])
def test_attention_sees_where_and_what_a_sensor_is(part):
    head, words_BWCD, array = attention_head(), torch.randn(B, W, C, D), sensors()
    moved = array._replace(**{part: (getattr(array, part) + 1) % 3})
    assert not torch.allclose(head(words_BWCD, moved), head(words_BWCD, array), atol=1e-3)


def by_hand(head: SensorAttentionHead, words_CD, array: SensorTensors, item: int, seen: list[int]):
    """Attention of one word, sensor by sensor, query by query: the weights and the output."""
    places = [part(v_BC3)[item] for part, v_BC3 in ((head.position, array[0]), (head.orientation, array[1]))]
    rows_CH = torch.stack([head.content(head.norm(words_CD[c])) + places[0][c] + places[1][c] for c in seen])
    rows_CH = rows_CH + head.kind.weight[array.kinds_BC[item, seen]]
    keys_CH, values_CH = rows_CH @ head.key_value.weight.T[:, :32], rows_CH @ head.key_value.weight.T[:, 32:]
    keys_CH, values_CH = keys_CH + head.key_value.bias[:32], values_CH + head.key_value.bias[32:]
    weights, summaries = [], []
    for a in range(4):
        part = slice(8 * a, 8 * a + 8)
        for query_K in head.queries[a]:
            weights.append((keys_CH[:, part] @ query_K / 8**0.5).softmax(0))
            summaries.append(weights[-1] @ values_CH[:, part])
    return torch.stack(weights).mean(0), head.out(torch.cat(summaries))


def test_attention_is_the_formula_and_tells_its_weights():
    head, words_BWCD = attention_head().double(), torch.randn(B, W, C, D).double()
    array = sensors()
    array = array._replace(positions_BC3=array.positions_BC3.double(), orientations_BC3=array.orientations_BC3.double())
    mask_BC = torch.rand(B, C) > 0.3
    weights_BWC, predicted = head.weights(words_BWCD, array, mask_BC), head(words_BWCD, array, mask_BC)
    for item, word in ((0, 3), (1, 0)):
        seen = mask_BC[item].nonzero()[:, 0].tolist()
        weights_C, expected_E = by_hand(head, words_BWCD[item, word], array, item, seen)
        torch.testing.assert_close(weights_BWC[item, word, seen], weights_C)
        torch.testing.assert_close(predicted[item, word], expected_E)
    assert not weights_BWC.masked_select(~mask_BC[:, None]).any()


@pytest.mark.parametrize("name", ["mlp", "probe"])
def test_flat_heads_refuse_another_number_of_sensors(name):
    with pytest.raises(InputError, match=r"features are of 11 sensors with width 16.*made for 12"):
        heads()[name](torch.randn(B, W, C - 1, D))


def test_attention_without_sensors_is_refused():
    with pytest.raises(InputError, match="needs to know where the sensors are"):
        attention_head()(torch.randn(B, W, C, D))


def test_every_parameter_of_every_head_is_trained():
    for name, head in heads().items():
        head(torch.randn(B, W, C, D), sensors()).square().sum().backward()
        idle = [key for key, parameter in head.named_parameters() if parameter.grad is None or not parameter.grad.any()]
        assert idle == (["unseen"] if name == "sequence" else []), name


def test_positions_keep_their_precision_under_autocast():
    head, words_BWCD, array = attention_head(), torch.randn(B, W, C, D), sensors()
    places = []
    head.position.register_forward_hook(lambda _, __, output: places.append(output))
    head(words_BWCD, array)
    with torch.autocast("cpu", torch.bfloat16):
        predicted = head(words_BWCD, array)
    assert places[1].dtype == torch.float32 and torch.equal(places[0], places[1])
    torch.testing.assert_close(predicted.float(), head(words_BWCD, array), rtol=0, atol=0.1)
