"""Full float32 for as long as it is needed, whatever the caller allowed elsewhere."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import torch


class Switch(NamedTuple):
    """One place that allows less than float32."""

    read: Callable[[], Any]
    write: Callable[[Any], None]
    exact: Any
    """The setting that allows nothing less."""


@contextmanager
def full_precision(device_type: str) -> Iterator[None]:
    """Leave autocast, TF32 and the bfloat16 short cuts of matrix units; all settings are as before afterwards."""
    found = switches()
    before = [switch.read() for switch in found]
    try:
        for switch in found:
            switch.write(switch.exact)
        with torch.autocast(device_type, enabled=False):
            yield
    finally:
        for switch, value in zip(found, before, strict=True):
            switch.write(value)


def switches() -> list[Switch]:
    """All places of this torch; newer ones refuse to mix their one attribute with the older functions."""
    backends = torch.backends
    if not hasattr(backends.cuda.matmul, "fp32_precision"):
        cudnn = Switch(
            partial(getattr, backends.cudnn, "allow_tf32"), partial(setattr, backends.cudnn, "allow_tf32"), False
        )
        return [Switch(torch.get_float32_matmul_precision, torch.set_float32_matmul_precision, "highest"), cudnn]
    places = [backends.cuda.matmul]
    for library in (backends.cudnn, backends.mkldnn):
        places += [getattr(library, kind) for kind in ("matmul", "conv", "rnn") if hasattr(library, kind)]
    name = "fp32_precision"
    return [Switch(partial(getattr, place, name), partial(setattr, place, name), "ieee") for place in places]
