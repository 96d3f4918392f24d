"""How a model is run, from outside of it: recomputed activations, compiled layers, a chosen attention kernel."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Literal, get_args

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.checkpoint import CheckpointPolicy, checkpoint, create_selective_checkpoint_contexts

from megxl.errors import InputError
from megxl.model.megxl import MEGXL

Recompute = Literal["off", "selective", "full"]

_KEPT = {
    torch.ops.aten.mm.default,
    torch.ops.aten.addmm.default,
    torch.ops.aten._scaled_dot_product_flash_attention.default,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu.default,
    torch.ops.aten._scaled_dot_product_efficient_attention.default,
    torch.ops.aten._scaled_dot_product_cudnn_attention.default,
}
"""Costly results that selective recomputation keeps; norms, SELU, rotations and residuals are done again."""

ATTENTION_BACKENDS = {
    "flash": SDPBackend.FLASH_ATTENTION,
    "cudnn": SDPBackend.CUDNN_ATTENTION,
    "efficient": SDPBackend.EFFICIENT_ATTENTION,
    "math": SDPBackend.MATH,
}


def recompute_activations(model: MEGXL, mode: Recompute) -> MEGXL:
    """Trade time for memory in training, in place.

    Parameters
    ----------
    model : MEGXL
    mode : {"off", "selective", "full"}
        `full` keeps a layer's input alone; `selective` also keeps the results of matrix products and attention.
    """
    if mode not in get_args(Recompute):
        raise InputError(f"Activation recomputing must be one of {', '.join(get_args(Recompute))}, not {mode!r}.")
    for layer in model.layers:
        layer.__dict__.pop("forward", None)
        if mode == "full":
            layer.forward = _again(layer.forward)
        elif mode == "selective":
            layer.forward = _again(layer.forward, context_fn=partial(create_selective_checkpoint_contexts, _policy))
    return model


def compile_layers(model: MEGXL) -> MEGXL:
    """Compile every layer in place, after `recompute_activations`: one small graph each, quick to build."""
    for layer in model.layers:
        layer.compile(dynamic=False)
    return model


@contextmanager
def attention_backend(name: str | None) -> Iterator[None]:
    """Run attention on one kernel family (`flash`, `cudnn`, `efficient`, `math`); None leaves the choice to torch."""
    if name is None:
        yield
        return
    if name not in ATTENTION_BACKENDS:
        raise InputError(f"Attention kernels are {', '.join(ATTENTION_BACKENDS)}, not {name!r}.")
    try:
        with sdpa_kernel(ATTENTION_BACKENDS[name]):
            yield
    except RuntimeError as error:
        if not re.search("No (available kernel|viable backend)", str(error)):
            raise
        raise InputError(
            f"The attention kernel {name!r} does not run here with this device, dtype and dropout. "
            "Leave the choice to torch, or take another one."
        ) from error


def _policy(context: object, op: object, *args: object, **kwargs: object) -> CheckpointPolicy:
    return CheckpointPolicy.MUST_SAVE if op in _KEPT else CheckpointPolicy.PREFER_RECOMPUTE


def _again(forward: Callable[..., Tensor], **options: Any) -> Callable[..., Tensor]:
    # a function rather than a partial object, which the compiler would pass over
    def forward_again(*args: Any) -> Tensor:
        return checkpoint(forward, *args, use_reentrant=False, **options)

    return forward_again
