"""All generators of chance at once."""

import random

import numpy as np
import torch


def set_seeds(seed: int) -> None:
    """Set all generators, those of all devices among them, without waiting for any."""
    torch.manual_seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002
    random.seed(seed)
