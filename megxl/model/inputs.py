"""What people hand to the model, brought into the form that it works on, or refused with a sentence.

Letters: B batch, C sensors, T tokens, Q levels.
"""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from megxl.errors import InputError
from megxl.model.embedding import SensorTensors
from megxl.signals.sensors import SensorArray
from megxl.sizes import BioCodecConfig, MEGXLConfig

Sensors = SensorTensors | SensorArray | Sequence[SensorArray] | Sequence[Mapping[str, Any]]


def batch_sensors(arrays: Sequence[SensorArray]) -> tuple[SensorTensors, Tensor | None]:
    """Stack sensor arrays, shorter ones padded with zeros at their end.

    Parameters
    ----------
    arrays : sequence of SensorArray
        One an item.

    Returns
    -------
    sensors : SensorTensors
    sensor_mask_BC : Tensor of bool, or None
        True where a sensor is real; None where nothing is padded.
    """
    most = max(len(array) for array in arrays)

    def pad(parts: list[np.ndarray], dtype: torch.dtype) -> Tensor:
        stacked = torch.zeros((len(parts), most, *parts[0].shape[1:]), dtype=dtype)
        for row, part in zip(stacked, parts, strict=True):
            row[: len(part)] = torch.as_tensor(np.array(part)).to(dtype)
        return stacked

    sensors = SensorTensors(
        pad([array.normalized_positions() for array in arrays], torch.float32),
        pad([array.orientations_C3 for array in arrays], torch.float32),
        pad([array.kinds_C for array in arrays], torch.int64),
    )
    if all(len(array) == most for array in arrays):
        return sensors, None
    lengths = torch.tensor([len(array) for array in arrays])
    return sensors, torch.arange(most) < lengths[:, None]


def check_codes(codes_BCTQ: Tensor, config: MEGXLConfig | BioCodecConfig) -> None:
    """Refuse codes of a wrong shape and, where looking costs no wait for a device, out of range."""
    if codes_BCTQ.dim() != 4 or codes_BCTQ.shape[-1] != config.levels or 0 in codes_BCTQ.shape:
        raise InputError(
            f"Codes have the shape (B, C, T, {config.levels}), not {tuple(codes_BCTQ.shape)}. "
            "(A signal would be floating point.)"
        )
    if codes_BCTQ.device.type == "cpu":
        least, most = (bound.item() for bound in codes_BCTQ.aminmax())
        if least < 0 or most >= config.codes:
            raise InputError(f"Codes lie between 0 and {config.codes - 1}; here they run from {least} to {most}.")


def prepare_sensors(
    sensors: Sensors, sensor_mask_BC: Tensor | None, shape: torch.Size, device: torch.device
) -> tuple[SensorTensors, Tensor | None]:
    """Sensors as tensors on the device, and which of them are real (None: all).

    Parameters
    ----------
    sensors : SensorTensors, SensorArray, sequence of SensorArray, or chs_info
        Tensors as they are; one array for the whole batch, or its ``chs_info`` as braindecode writes it; or one an
        item.
    sensor_mask_BC : Tensor, shape (B, C), optional
        False where a sensor is padding or bad; joined with the padding made here.
    shape : torch.Size
        That of the codes, (B, C, T, Q).
    device : torch.device
    """
    batch, count = shape[:2]
    if isinstance(sensors, SensorTensors):
        tensors, real_BC = sensors, None
    else:
        arrays = [sensors] * batch if isinstance(sensors, SensorArray) else _as_arrays(sensors, batch)
        if len(arrays) != batch:
            raise InputError(
                f"{len(arrays)} sensor arrays were given for a batch of {batch}; give one, or one an item."
            )
        tensors, real_BC = batch_sensors(arrays)
    if tensors.kinds_BC.shape != (batch, count):
        raise InputError(
            f"The input has {count} sensors in {batch} items, their description {tuple(tensors.kinds_BC.shape)}."
        )
    if sensor_mask_BC is not None:
        if sensor_mask_BC.shape != (batch, count):
            raise InputError(f"sensor_mask has the shape {tuple(sensor_mask_BC.shape)}, not {(batch, count)}.")
        sensor_mask_BC = sensor_mask_BC.to(device, torch.bool, non_blocking=True)
        real_BC = sensor_mask_BC if real_BC is None else sensor_mask_BC & real_BC.to(device)
    return tensors.to(device), None if real_BC is None else real_BC.to(device, non_blocking=True)


def _as_arrays(sensors: Sequence[SensorArray] | Sequence[Mapping[str, Any]], batch: int) -> list[SensorArray]:
    """One sensor array an item, of a sequence of them or of braindecode's ``chs_info``."""
    if len(sensors) and isinstance(sensors[0], Mapping):
        return [SensorArray.from_chs_info(cast(Sequence[Mapping[str, Any]], sensors))] * batch
    return list(cast(Sequence[SensorArray], sensors))


def prepare_mask(mask: Tensor, shape: torch.Size) -> Tensor:
    """Mask (B, T) for all sensors, or (B, C, T), as (B, C, T) without a copy, where it is.

    Parameters
    ----------
    mask : Tensor of bool
    shape : torch.Size
        That of the codes, (B, C, T, Q).
    """
    mask_BCT = mask[:, None] if mask.dim() == 2 else mask
    fits = mask_BCT.dim() == 3 and mask_BCT.shape in (shape[:3], (shape[0], 1, shape[2]))
    if not fits or mask.dtype != torch.bool:
        raise InputError(
            f"A mask is boolean, of shape (B, T) = {(shape[0], shape[2])} or (B, C, T) = {tuple(shape[:3])}, "
            f"not {mask.dtype} of shape {tuple(mask.shape)}."
        )
    return mask_BCT.expand(shape[:3])
