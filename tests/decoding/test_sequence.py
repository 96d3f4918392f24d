import pytest
import torch

from megxl.decoding.heads import LinearProbe
from megxl.decoding.sequence import SequenceHead
from megxl.errors import InputError

B, W, C, D, E = 2, 6, 3, 8, 10


def head(sees="group") -> SequenceHead:
    return SequenceHead(LinearProbe(C, D, 16), E, heads=2, sees=sees).eval()


def reach(sees: str) -> torch.Tensor:
    """Whether the prediction at word (row) depends on the features of a word (column)."""
    words_BWCD, network = torch.randn(1, W, C, D), head(sees)
    jacobian = torch.autograd.functional.jacobian(network, words_BWCD)  # (1, W, E, 1, W, C, D)
    return jacobian.abs().amax((0, 2, 3, 5, 6)) > 1e-7


@pytest.mark.parametrize(
    ("sees", "expected"),
    [
        ("group", torch.ones(W, W, dtype=torch.bool)),
        ("word", torch.eye(W, dtype=torch.bool)),
        ("nothing", torch.zeros(W, W, dtype=torch.bool)),
    ],
)
def test_a_word_sees_what_it_is_said_to_see(sees, expected):
    assert torch.equal(reach(sees), expected)


def test_controls_have_the_same_parameters():
    shapes = [
        {name: part.shape for name, part in head(sees).named_parameters()} for sees in ("group", "word", "nothing")
    ]
    assert shapes[0] == shapes[1] == shapes[2]


def test_the_order_of_the_words_is_seen():
    network, words_BWCD = head(), torch.randn(B, W, C, D)
    turned = network(words_BWCD.flip(1)).flip(1)
    assert not torch.allclose(turned, network(words_BWCD), atol=1e-4)


def test_places_without_a_word_change_nothing():
    network, words_BWCD = head(), torch.randn(B, W, C, D)
    words_BW = torch.tensor([[True] * W, [True] * 4 + [False] * 2])
    predicted = network(words_BWCD, words_BW=words_BW)
    words_BWCD[1, 4:] = 100.0
    torch.testing.assert_close(network(words_BWCD, words_BW=words_BW)[1, :4], predicted[1, :4], rtol=0, atol=1e-6)
    torch.testing.assert_close(network(words_BWCD[1:, :4])[0], predicted[1, :4], rtol=0, atol=1e-5)


def test_an_item_without_words_does_not_make_the_gradients_infinite():
    network, words_BWCD = head(), torch.randn(B, W, C, D)
    words_BW = torch.tensor([[True] * W, [False] * W])
    network(words_BWCD, words_BW=words_BW)[words_BW].sum().backward()
    assert all(part.grad is None or part.grad.isfinite().all() for part in network.parameters())


def test_impossible_choices_are_refused():
    with pytest.raises(InputError, match="sees = 'all'; allowed: group, word, nothing"):
        head("all")
    with pytest.raises(InputError, match="target_width = 16 must be a multiple of 2 x heads = 6"):
        SequenceHead(LinearProbe(C, D, 16), E, heads=3)
