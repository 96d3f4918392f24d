"""The rows on which tokenizers are judged: some sensors of some windows, the same for all of them.

Letters: C sensors of an array, N chosen sensors (one row each), T samples.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from megxl.data.dataset import WindowDataset
from megxl.data.seeds import seed_of
from megxl.data.windows import fixed_windows
from megxl.errors import InputError
from megxl.signals.normalization import BLOCK_S, scale_blocks
from megxl.signals.sensors import SensorArray
from megxl.store.entry import StoredRecording

WINDOWS, SENSORS = 8, 16
"""How many a laptop looks at in minutes."""


@dataclass(frozen=True, kw_only=True, eq=False)
class WindowRows:
    """Chosen sensors of one window."""

    key: str
    """Of the recording."""
    start_s: float
    array: int
    """Place of the sensor array in `JudgedWindows.arrays`."""
    sensors_N: np.ndarray
    """Place of each row in its sensor array."""
    raw_NT: Tensor
    """In SI units."""
    block: int
    """Samples that are normalised together."""
    clip: float

    @property
    def signal_NT(self) -> Tensor:
        """As a tokenizer is given it."""
        return self.normalized(self.raw_NT)

    def normalized(self, raw_NT: Tensor) -> Tensor:
        """Centre, scale and clip rows in SI units as those of this window are."""
        return scale_blocks(raw_NT[None], self.block, self.clip)[0]


class JudgedWindows:
    """Windows spread evenly over recordings, and sensors that chance chooses, other ones in each window.

    From window to window the sensors of an array take turns, so that few windows show most of the head.

    Parameters
    ----------
    recordings : sequence of StoredRecording
        Of one rate; those shorter than a window are left out and said.
    window_s : float
        Length of a window.
    block_s : float or None
        Seconds that are normalised together; None: the whole window.
    clip : float
        Largest normalised value, in interquartile ranges.
    number : int, optional
        Windows at most; None: all.
    sensors : int, optional
        Sensors of a window at most; None: all.
    bads : "mask" or "keep"
        Whether sensors that are marked bad are left out.
    seed : int
        Of the choice of sensors.

    Raises
    ------
    InputError
        No window, no sensor, or a recording whose sensors are all bad; numbers below one.
    """

    def __init__(
        self,
        recordings: Sequence[StoredRecording],
        *,
        window_s: float = 150.0,
        block_s: float | None = BLOCK_S,
        clip: float = 5.0,
        number: int | None = WINDOWS,
        sensors: int | None = SENSORS,
        bads: Literal["mask", "keep"] = "mask",
        seed: int = 0,
    ) -> None:
        for what, count in (("window", number), ("sensor", sensors)):
            if count is not None and count < 1:
                raise InputError(f"At least one {what} is needed to judge a tokenizer, not {count}.")
        windows = fixed_windows(recordings, window_s)
        self.recordings, self.window_s, self.sfreq_hz = windows.recordings, window_s, windows.sfreq_hz
        self.samples, self.of = windows.window_samples, len(windows)
        self.block_s, self.clip, self.sensors, self.seed = block_s, clip, sensors, seed
        self._dataset = WindowDataset(windows, seed=seed, bads=bads)
        self._chosen = np.linspace(0, self.of - 1, min(self.of, number or self.of)).round().astype(int).tolist()
        self.arrays: list[SensorArray] = []
        self.bad_sensors = 0
        """Summed over the windows."""
        self.rows = list(self._choose())
        """Array, and sensors of it, of each window."""

    def __len__(self) -> int:
        return len(self._chosen)

    def __iter__(self) -> Iterator[WindowRows]:
        """Read windows one after the other."""
        for index, (array, sensors_N) in zip(self._chosen, self.rows, strict=True):
            item = self._dataset[index]
            assert item.signal_CT is not None
            yield WindowRows(
                key=item.key,
                start_s=item.start_s,
                array=array,
                sensors_N=sensors_N,
                raw_NT=item.signal_CT[torch.from_numpy(sensors_N)],
                block=self.samples if self.block_s is None else max(1, round(self.block_s * self.sfreq_hz)),
                clip=self.clip,
            )

    @property
    def keys(self) -> list[str]:
        """Recording of each window."""
        return [self.recordings[self._dataset.windows.windows[index].recording].key for index in self._chosen]

    @property
    def notes(self) -> list[str]:
        """What a person should know about the choice, one sentence each."""
        said = []
        short = [recording.key for recording in self.recordings if recording.n_samples < self.samples]
        if short:
            said.append(f"{len(short)} recordings are shorter than a window and left out (first: {short[0]}).")
        if len(self) < self.of:
            said.append(f"{len(self)} of {self.of} windows, spread evenly over the recordings.")
        if self.sensors is not None and any(len(sensors_N) == self.sensors for _, sensors_N in self.rows):
            said.append(f"At most {self.sensors} sensors of each window, drawn by the seed {self.seed}.")
        if self.bad_sensors:
            said.append(f"Sensors marked bad are left out: {self.bad_sensors}, summed over the windows.")
        return said

    def _choose(self) -> Iterator[tuple[int, np.ndarray]]:
        """Give array and sensors of each window; the sensors of an array take turns in an order of chance."""
        turns: list[np.ndarray] = []
        numbers: dict[tuple, int] = {}
        for index in self._chosen:
            recording = self._dataset.windows.windows[index].recording
            array, mask_C = self._dataset.rows.sensors(recording)
            number = numbers.setdefault((array.names, array.positions_C3.tobytes()), len(self.arrays))
            if number == len(self.arrays):
                self.arrays.append(array)
                turns.append(np.random.default_rng(seed_of("sensors", self.seed)).permutation(len(array)))
            good_C = np.ones(len(array), bool) if mask_C is None else mask_C.numpy()
            if not good_C.any():
                raise InputError(f"All {len(array)} sensors of {self.recordings[recording].key} are marked bad.")
            self.bad_sensors += int((~good_C).sum())
            turn_C = turns[number]
            chosen_N = turn_C[good_C[turn_C]][: self.sensors]
            # who had a turn goes to the end
            turns[number] = np.concatenate([turn_C[~np.isin(turn_C, chosen_N)], chosen_N])
            yield number, np.sort(chosen_N)
