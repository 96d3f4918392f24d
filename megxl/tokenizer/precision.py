"""Full float32 for as long as it is needed, whatever the caller allowed elsewhere."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


@contextmanager
def full_precision(device_type: str) -> Iterator[None]:
    """Leave autocast, TF32 and the bfloat16 short cuts of matrix units; all settings are as before afterwards."""
    switches = _switches()
    before = [getattr(module, name) for module, name, _ in switches]
    try:
        for module, name, exact in switches:
            setattr(module, name, exact)
        with torch.autocast(device_type, enabled=False):
            yield
    finally:
        for (module, name, _), value in zip(switches, before, strict=True):
            setattr(module, name, value)


def _switches() -> list[tuple[Any, str, Any]]:
    """Each place that allows less than float32, and its exact setting.

    Newer torch has one attribute for all and refuses to mix it with the older ones, which are all that torch < 2.9 has.
    """
    backends = torch.backends
    if not hasattr(backends.cuda.matmul, "fp32_precision"):
        return [(backends.cuda.matmul, "allow_tf32", False), (backends.cudnn, "allow_tf32", False)]
    places = [backends.cuda.matmul]
    for library in (backends.cudnn, backends.mkldnn):
        places += [getattr(library, kind) for kind in ("matmul", "conv", "rnn") if hasattr(library, kind)]
    return [(place, "fp32_precision", "ieee") for place in places]
