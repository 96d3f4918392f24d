"""The rows of a step: sensors of each window, drawn by the seed of its item, and scaled where the codec is.

Letters: B batch, C sensors, N rows (one sensor each), T samples.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from megxl.data.batch import Batch
from megxl.data.seeds import seed_of
from megxl.errors import InputError
from megxl.signals.normalization import scale_blocks


@dataclass(frozen=True, kw_only=True, eq=False)
class Rows:
    """Signals of single sensors, each a pure function of its window's item.

    Parameters
    ----------
    signal_N1T : Tensor of float32
        In SI units, or unitless once it is `scaled`.
    seeds_N : Tensor of int64
        One a row, all different within an epoch.
    counted_N : Tensor of bool, optional
        False where a window was in this epoch before; None: none was.
    groups : tuple of str
        Recording of each row.
    sfreq_hz : float
    """

    signal_N1T: Tensor
    seeds_N: Tensor
    counted_N: Tensor | None
    groups: tuple[str, ...]
    sfreq_hz: float

    def __len__(self) -> int:
        return len(self.signal_N1T)

    def to(self, device: torch.device | str) -> "Rows":
        """Move all tensors to a device."""
        # on the way back from a GPU nobody would wait for the numbers
        return self._with(lambda tensor: tensor.to(device, non_blocking=tensor.device.type == "cpu"))

    def scaled(self, block_s: float | None, clip: float) -> "Rows":
        """Centre, scale and clip block by block (`scale_blocks`); None: the whole window is one block."""
        samples = self.signal_N1T.shape[-1]
        block = samples if block_s is None else round(block_s * self.sfreq_hz)
        return replace(self, signal_N1T=scale_blocks(self.signal_N1T, block, clip))

    def counted(self) -> "Rows":
        """Leave out the rows of windows that only level the ranks."""
        if self.counted_N is None:
            return self
        kept_N = self.counted_N.cpu()
        groups = tuple(group for group, keep in zip(self.groups, kept_N.tolist(), strict=True) if keep)
        return replace(self._with(lambda tensor: tensor[kept_N.to(tensor.device)]), counted_N=None, groups=groups)

    def _with(self, change: Callable[[Tensor], Tensor]) -> "Rows":
        return replace(self, **{name: change(part) for name, part in vars(self).items() if isinstance(part, Tensor)})


def draw_rows(batch: Batch, sensors: int | None) -> Rows:
    """Draw good sensors of each window.

    Which ones depends on the seed of the item alone: another in every epoch, the same in whichever company.

    Parameters
    ----------
    batch : Batch
        With a signal, on the CPU, as it comes from a loader.
    sensors : int, optional
        Of each window; a window that has fewer good ones gives these. None: all.

    Raises
    ------
    InputError
        A window without a good sensor.
    """
    assert batch.signal_BCT is not None
    items, places, seeds = [], [], []
    for item, seed in enumerate(batch.seeds_B.tolist()):
        drawn = _drawn(_good(batch, item), sensors, seed)
        items += [item] * len(drawn)
        places += drawn
        seeds += [seed_of("row", seed, place) for place in drawn]
    repeated_B = batch.repeated_B
    return Rows(
        signal_N1T=batch.signal_BCT[items, places][:, None],
        seeds_N=torch.tensor(seeds),
        counted_N=None if repeated_B is None else ~repeated_B[items],
        groups=tuple(batch.keys[item] for item in items),
        sfreq_hz=batch.sfreq_hz,
    )


def no_good_sensor(key: str) -> InputError:
    """What to say of a recording of which no row can be drawn."""
    return InputError(f"All sensors of {key} are marked bad: leave the recording out, or set data.bads=keep.")


def _good(batch: Batch, item: int) -> Tensor:
    """Places of the sensors that are there and good."""
    mask_BC = batch.sensor_mask_BC
    assert batch.signal_BCT is not None
    good = torch.arange(batch.signal_BCT.shape[1]) if mask_BC is None else mask_BC[item].nonzero()[:, 0]
    if not len(good):
        raise no_good_sensor(batch.keys[item])
    return good


def _drawn(good: Tensor, sensors: int | None, seed: int) -> list[int]:
    if sensors is None or sensors >= len(good):
        return good.tolist()
    generator = torch.Generator().manual_seed(seed_of("sensors", seed))
    return sorted(good[torch.randperm(len(good), generator=generator)[:sensors]].tolist())
