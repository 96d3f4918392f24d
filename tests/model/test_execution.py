"""Recomputed, compiled and kernel-pinned models give what the plain one gives."""

import pytest
import torch
from torch._dynamo.utils import counters

from megxl.errors import InputError
from megxl.model.execution import attention_backend, compile_layers, recompute_activations
from megxl.model.megxl import MEGXL
from megxl.sizes import MEGXLConfig
from tests.model.test_embedding import array

CONFIG = MEGXLConfig(width=32, layers=2, heads=4, fourier_width=10, codes=16, code_width=4, levels=3, dropout=0.2)


def step(model: MEGXL) -> tuple[float, list[torch.Tensor]]:
    """Loss and gradients of one step in training mode, from a fixed seed."""
    torch.manual_seed(5)
    codes = torch.randint(16, (1, 4, 13, 3))
    mask = torch.zeros(1, 13, dtype=torch.bool)
    mask[:, 2:6] = True
    model.train().zero_grad()
    loss = model.masked_prediction(codes, array(4), mask).loss
    loss.backward()
    return loss.item(), [p.grad for p in model.parameters() if p.grad is not None]


@pytest.mark.parametrize("mode", ["selective", "full"])
def test_recomputing_changes_no_gradient_and_no_key(mode):
    model = MEGXL(CONFIG)
    plain_loss, plain = step(model)
    keys = list(model.state_dict())
    plain = [grad.clone() for grad in plain]
    loss, grads = step(recompute_activations(model, mode))
    assert loss == pytest.approx(plain_loss, rel=1e-6) and list(model.state_dict()) == keys
    for ours, expected in zip(grads, plain, strict=True):
        torch.testing.assert_close(ours, expected, rtol=0, atol=1e-6)
    again, _ = step(recompute_activations(model, "off"))
    assert again == plain_loss


def saved_bytes(model: MEGXL) -> int:
    """Bytes that the forward pass keeps for the backward pass."""
    kept: dict[int, int] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    codes, mask = torch.randint(16, (1, 8, 125, 3)), torch.zeros(1, 125, dtype=torch.bool)
    mask[:, :12] = True
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        model.train().masked_prediction(codes, array(8), mask)
    return sum(kept.values())


def test_recomputing_in_full_keeps_a_fraction_of_the_activations():
    model = MEGXL(MEGXLConfig(width=32, layers=6, heads=4, fourier_width=10, codes=16, code_width=4, levels=3))
    plain = saved_bytes(model)
    assert saved_bytes(recompute_activations(model, "full")) < plain / 4
    assert saved_bytes(recompute_activations(model, "off")) == plain


def test_every_attention_kernel_of_this_machine_gives_the_same():
    model, codes = MEGXL(CONFIG).eval(), torch.randint(16, (1, 4, 13, 3))
    plain = model(codes, array(4))
    for name in ("flash", "math"):
        with attention_backend(name):
            torch.testing.assert_close(model(codes, array(4)), plain, rtol=0, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("recompute", ["off", "selective", "full"])
def test_compiled_layers_give_the_same_features_and_gradients(recompute):
    codes = torch.randint(16, (1, 4, 13, 3))
    model = MEGXL(CONFIG).eval()
    plain = model(codes, array(4))
    plain.sum().backward()
    expected = [p.grad.clone() for p in model.layers.parameters()]
    model.zero_grad()
    compile_layers(recompute_activations(model, recompute))
    before = counters["stats"]["unique_graphs"]
    features = model(codes, array(4))
    features.sum().backward()
    assert counters["stats"]["unique_graphs"] > before  # else nothing was compiled
    torch.testing.assert_close(features, plain, rtol=0, atol=1e-5)
    for p, grad in zip(model.layers.parameters(), expected, strict=True):
        torch.testing.assert_close(p.grad, grad, rtol=1e-4, atol=1e-4)
    with torch.no_grad():
        torch.testing.assert_close(model(codes, array(4)), plain.detach(), rtol=0, atol=1e-5)


@pytest.mark.skipif(torch.cuda.is_available(), reason="the kernel may run on a GPU")
def test_a_kernel_that_does_not_run_here_is_named():
    with pytest.raises(InputError, match="'cudnn' does not run here"), attention_backend("cudnn"):
        MEGXL(CONFIG).eval()(torch.randint(16, (1, 4, 13, 3)), array(4))


def test_unknown_options_are_refused():
    with pytest.raises(InputError, match="off, selective, full"):
        recompute_activations(MEGXL(CONFIG), "some")
    with pytest.raises(InputError, match="flash, cudnn"), attention_backend("fast"):
        pass
