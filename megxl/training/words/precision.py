"""Numbers of the forward pass outside of Lightning: as in training."""

from contextlib import AbstractContextManager

import torch


def in_precision(device: torch.device, precision: str) -> AbstractContextManager:
    """Compute in bfloat16 where training does."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16-mixed")
