"""Published sensor normalisation (alias)."""

from typing import Any, TypeVar

import numpy as np
import torch

Array = TypeVar("Array", np.ndarray, torch.Tensor)


def norm_sensor_positions(sensor_xyzdir: Array) -> Array:
    """Centre and scale positions to a mean squared norm of 1/3.

    Parameters
    ----------
    sensor_xyzdir : array or Tensor, shape (C, 3) or (C, 6)
        Positions, and orientations, which stay; left as it is.

    Returns
    -------
    array or Tensor
        A copy.
    """
    normalized: Any = sensor_xyzdir.clone() if isinstance(sensor_xyzdir, torch.Tensor) else sensor_xyzdir.copy()
    positions = normalized[:, :3]
    positions = positions - positions.mean(0)
    normalized[:, :3] = positions / (3 * (positions**2).sum(-1).mean()) ** 0.5
    return normalized
