"""Which sensors a head uses: against the gradient written out, and heads that use one sensor."""

import numpy as np
import pytest
import torch

from megxl.decoding.decoder import Decoder, WordFeatures
from megxl.decoding.heads import LinearProbe, SensorAttentionHead
from megxl.decoding.saliency import sensor_saliency
from megxl.decoding.subjects import SubjectEmbedding
from megxl.errors import InputError
from megxl.model.embedding import SensorTensors

B, W, C, D, E = 2, 3, 5, 4, 6


class NoBackbone(torch.nn.Module):
    width, trains = D, False


def decoder(head=None, subjects=None) -> Decoder:
    return Decoder(NoBackbone(), head or LinearProbe(C, D, E), subjects).eval()


def features(mask_BC=None) -> WordFeatures:
    torch.manual_seed(0)
    sensors = SensorTensors(torch.randn(B, C, 3), torch.randn(B, C, 3), torch.zeros(B, C, dtype=torch.long))
    return WordFeatures(torch.randn(B, W, C, D), sensors, mask_BC)


def targets() -> torch.Tensor:
    return torch.randn(B, W, E, generator=torch.Generator().manual_seed(1))


ALL = torch.ones(B, W, dtype=torch.bool)


def by_formula(layer, x_BWCD, targets_BWE, words_BW) -> np.ndarray:
    """In float64, word by word: d cos(y, t) / dy = t / (|y||t|) - cos y / |y|^2, and y = A x + b."""
    a, b = layer.weight.detach().double().numpy(), layer.bias.detach().double().numpy()
    result = np.zeros((B, C))
    for item in range(B):
        for word in range(W):
            if words_BW[item, word]:
                x, t = x_BWCD[item, word].double().numpy().ravel(), targets_BWE[item, word].double().numpy()
                y = a @ x + b
                ny, nt = np.linalg.norm(y), np.linalg.norm(t)
                gradient = (t / (ny * nt) - (y @ t) / (ny * nt) * y / ny**2) @ a
                result[item] += np.abs((gradient * x).reshape(C, D)).sum(1)
        result[item] /= max(1, int(words_BW[item].sum()))
    return result


@pytest.mark.parametrize("missing", [None, (0, 1), (1, 0)])
def test_it_is_the_gradient_written_out(missing):
    torch.manual_seed(2)
    one, words_BW = decoder(), ALL.clone()
    if missing:
        words_BW[missing] = False
    found = sensor_saliency(one, features(), targets(), words_BW)
    expected = by_formula(one.head.layers, features().words_BWCD, targets(), words_BW)
    np.testing.assert_allclose(found.numpy(), expected, rtol=2e-4)


def test_a_head_that_reads_one_sensor_shows_this_sensor():
    one = decoder()
    with torch.no_grad():
        one.head.layers.weight.unflatten(1, (C, D))[:, [0, 1, 2, 4]] = 0
    found = sensor_saliency(one, features(), targets(), ALL)
    assert (found[:, 3] > 0).all() and (found[:, [0, 1, 2, 4]] == 0).all()


def test_masked_sensors_and_items_without_a_known_word_have_none():
    mask_BC = torch.ones(B, C, dtype=torch.bool)
    mask_BC[0, 2] = False
    words_BW = ALL.clone()
    words_BW[1] = False
    torch.manual_seed(0)
    for head in (LinearProbe(C, D, E), SensorAttentionHead(D, E, attention_width=16, heads=2, hidden=8)):
        seen = features(mask_BC)
        seen.words_BWCD[0, :, 2] = torch.inf  # what stands at a masked sensor may be anything
        found = sensor_saliency(decoder(head), seen, targets(), words_BW, words_in_item_BW=ALL)
        assert found[0, 2] == 0 and (found[0, [0, 1, 3, 4]] > 0).all() and (found[1] == 0).all()


def test_it_asks_the_decoder_with_its_listeners():
    subjects = SubjectEmbedding(["a", "b"], D)
    torch.nn.init.normal_(subjects.vectors_SD)
    one = decoder(subjects=subjects)
    first, other = (
        sensor_saliency(one, features(), targets(), ALL, subjects=pair) for pair in (["a", "a"], ["a", "b"])
    )
    assert torch.equal(first[0], other[0]) and not torch.allclose(first[1], other[1])


def test_it_works_where_gradients_are_off_and_leaves_none_behind():
    one = decoder()
    with torch.no_grad():
        found = sensor_saliency(one, features(), targets(), ALL)
    assert not found.requires_grad and all(weight.grad is None for weight in one.parameters())


def test_a_decoder_in_training_is_refused():
    with pytest.raises(InputError, match=r"decoder\.eval"):
        sensor_saliency(decoder().train(), features(), targets(), ALL)
