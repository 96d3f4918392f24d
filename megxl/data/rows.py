"""Rows of stored recordings as tensors: read, put in order, bad and missing sensors masked.

Letters: C sensors, T samples (or tokens, of codes), Q levels.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol

import numpy as np
import torch
from torch import Tensor

from megxl.data.channels import ChannelOrder, Placement, canonical_order
from megxl.errors import InputError
from megxl.signals.sensors import SensorArray
from megxl.store.entry import StoredRecording


class CodeReader(Protocol):
    """Where cached codes come from."""

    def read(self, recording: StoredRecording, start: int, stop: int) -> np.ndarray:
        """Codes of these samples (C, T, Q), uint8 or int32; InputError if they are not there."""
        ...


class RowReader:
    """Rows of recordings as tensors: read from the store, put in order, bad and missing sensors masked.

    Parameters
    ----------
    recordings : sequence of StoredRecording
    bads : "mask" or "keep"
        Whether sensors that are marked bad are masked.
    channels : "file", "canonical", or mapping of corpus to ChannelOrder
        Rows in the order of the files, or in an order of each corpus. Parts of one corpus that must agree (training
        and validation) need the same mapping.
    """

    def __init__(
        self,
        recordings: Sequence[StoredRecording],
        *,
        bads: Literal["mask", "keep"] = "mask",
        channels: Literal["file", "canonical"] | Mapping[str, ChannelOrder] = "file",
    ) -> None:
        if bads not in ("mask", "keep"):
            raise InputError(f"bads = {bads!r}; allowed: 'mask', 'keep'.")
        self.recordings = tuple(recordings)
        self.bads = bads
        self.orders = _orders(self.recordings, channels)
        self._described: dict[int, tuple[Placement | None, SensorArray, Tensor | None]] = {}

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"_described": {}}  # workers find out what they need

    @property
    def identity(self) -> str:
        """What decides about rows and masks besides the recordings, for fingerprints."""
        orders = {corpus: self.orders[corpus].sensors.names for corpus in sorted(self.orders)}
        return f"bads {self.bads}, rows {orders or 'as in the files'}"

    def n_sensors(self, recording: int) -> int:
        """Count the rows of a recording."""
        stored = self.recordings[recording]
        return len(self.orders[stored.corpus]) if stored.corpus in self.orders else len(stored.sensors)

    def signal(self, recording: int, start: int, stop: int) -> Tensor:
        """Read samples as they are stored, float32 (C, T); NaN is refused."""
        stored = self.recordings[recording]
        signal_CT = torch.from_numpy(self._arranged(recording, stored.read(start, stop)))
        # a sum shows NaN and infinity at a tenth of the cost of looking for them
        if not torch.isfinite(signal_CT.sum()):
            raise InputError(
                f"{stored.key} holds numbers that are not finite between {start / stored.sfreq_hz:.1f} s and "
                f"{stop / stored.sfreq_hz:.1f} s; prepare it again."
            )
        return signal_CT

    def codes(self, source: CodeReader, recording: int, start: int, stop: int) -> Tensor:
        """Read cached codes (C, T, Q), uint8 or int32."""
        return torch.from_numpy(self._arranged(recording, source.read(self.recordings[recording], start, stop)))

    def sensors(self, recording: int) -> tuple[SensorArray, Tensor | None]:
        """Sensors of the rows, and which of them are good (None: all)."""
        return self._describe(recording)[1:]

    def _arranged(self, recording: int, rows_C: np.ndarray) -> np.ndarray:
        placement = self._describe(recording)[0]
        if placement is not None:
            return placement.rows(rows_C)
        return np.array(rows_C, order="C")  # out of the memory map: it is read-only and time-major

    def _describe(self, recording: int) -> tuple[Placement | None, SensorArray, Tensor | None]:
        if recording not in self._described:
            stored = self.recordings[recording]
            order = self.orders.get(stored.corpus)
            placement = None if order is None else order.place(stored.sensors)
            good_C = ~np.isin(stored.sensors.names, stored.bads if self.bads == "mask" else ())
            sensors = stored.sensors
            if placement is not None:
                good_C, sensors = placement.rows(good_C), placement.sensors
            mask_C = None if good_C.all() else torch.from_numpy(good_C)
            self._described[recording] = (placement, sensors, mask_C)
        return self._described[recording]


def _orders(
    recordings: Sequence[StoredRecording], channels: Literal["file", "canonical"] | Mapping[str, ChannelOrder]
) -> dict[str, ChannelOrder]:
    if channels == "file":
        return {}
    corpora = sorted({recording.corpus for recording in recordings})
    if channels == "canonical":
        return {corpus: canonical_order([r for r in recordings if r.corpus == corpus]) for corpus in corpora}
    if isinstance(channels, str):
        raise InputError(f"channels = {channels!r}; allowed: 'file', 'canonical', or an order for each corpus.")
    lacking = [corpus for corpus in corpora if corpus not in channels]
    if lacking:
        raise InputError(f"No channel order is given for {', '.join(lacking)}.")
    return {corpus: channels[corpus] for corpus in corpora}
