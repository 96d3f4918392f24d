"""Trials of one sensor array, from `mne.Epochs` or arrays, read and brought to the model's rate a few at a time.

Letters: N trials, C sensors, T samples.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import mne
import numpy as np

from megxl.errors import InputError
from megxl.signals.coils import ELECTRODE
from megxl.signals.montage import place_sensors
from megxl.signals.reading import choose_channels
from megxl.signals.samples import picks_of
from megxl.signals.sensors import SensorArray

ChannelInfo = SensorArray | mne.Info | Sequence[Mapping[str, Any]]
"""What describes the sensors of an array: ours, MNE's, braindecode's ``chs_info``."""


@dataclass(frozen=True, kw_only=True)
class Trials:
    """Trials of equal length, as they were given."""

    sensors: SensorArray
    marked_C: np.ndarray
    """Shape (C,), bool: sensors that were marked bad."""
    sfreq_hz: float
    shape: tuple[int, int, int]
    """(N, C, T)."""
    high_pass_hz: float | None
    """What the recording says of its high-pass; None: it says nothing."""
    read: Callable[[slice], np.ndarray]
    """Samples (n, C, T) of some trials."""

    def samples_at(self, sfreq_hz: float) -> int:
        """Samples of a trial at another rate; an `InputError` if that is higher than the trials' own."""
        if self.sfreq_hz < sfreq_hz * (1 - 1e-6):
            raise InputError(
                f"The trials have {self.sfreq_hz:g} samples a second; allowed: at least {sfreq_hz:g}, because what was "
                "never sampled cannot be made up."
            )
        return round(self.shape[2] * sfreq_hz / self.sfreq_hz)

    def prepared(
        self, rows: slice, sfreq_hz: float, bad_C: np.ndarray, reference: Literal["average", "recorded"]
    ) -> np.ndarray:
        """Some trials at another rate, electrodes referred to the average of the good ones, bad sensors silent.

        Returns
        -------
        array, shape (n, C, T)
            float32.

        Raises
        ------
        InputError
            Samples of a good sensor that are not finite.
        """
        signal_NCT = np.array(self.read(rows), dtype=np.float64)
        signal_NCT[:, bad_C] = 0.0
        self._refuse_nonfinite(signal_NCT, rows.start)
        electrodes_C = self.sensors.kinds_C == ELECTRODE
        if reference == "average":
            _refer_to_average(signal_NCT, electrodes_C & ~bad_C)
        if self.samples_at(sfreq_hz) != self.shape[2]:
            # as mne.Epochs.resample does it
            options: Any = {"npad": "auto", "pad": "edge", "method": "fft", "verbose": "ERROR"}
            signal_NCT = mne.filter.resample(signal_NCT, up=sfreq_hz, down=self.sfreq_hz, **options)
        return signal_NCT.astype(np.float32)

    def _refuse_nonfinite(self, signal_NCT: np.ndarray, first: int) -> None:
        trials, rows, _ = np.nonzero(~np.isfinite(signal_NCT))
        if len(trials):
            raise InputError(
                f"Trial {first + trials[0]} holds NaN or infinite samples at {self.sensors.names[rows[0]]!r}: leave "
                "the trial or the sensor out, or mark the sensor in info['bads']."
            )


def open_trials(x: Any, sensors: ChannelInfo | None, sfreq_hz: float | None, channels: str) -> Trials:
    """Say what the trials are; samples are read later.

    Parameters
    ----------
    x : mne.Epochs, sequence of mne.Epochs, or array of shape (N, C, T)
        What scikit-learn makes of epochs when it splits them is a list of them.
    sensors, sfreq_hz
        Of an array; epochs bring their own.
    channels : str
        Which sensors of epochs; see `choose_channels`.

    Raises
    ------
    InputError
        Another thing, no trials, no or unfitting sensors, epochs of different sensors, rates or lengths.
    """
    parts = [x] if isinstance(x, mne.BaseEpochs) else x
    if isinstance(parts, Sequence) and len(parts) and all(isinstance(part, mne.BaseEpochs) for part in parts):
        if sensors is not None or sfreq_hz is not None:
            raise InputError("sensors and sfreq_hz are for arrays: epochs bring their own; leave both out.")
        return _of_epochs(parts, channels)
    return _of_array(x, sensors, sfreq_hz)


def _of_epochs(parts: Sequence[mne.BaseEpochs], channels: str) -> Trials:
    info = parts[0].info
    names = choose_channels(parts[0], channels)
    picks = picks_of(info, names)
    alike = [(part.ch_names, part.info["sfreq"], len(part.times)) for part in parts]
    if any(one != alike[0] for one in alike):
        raise InputError("The epochs differ in their channels, rates or lengths; give them one after another.")
    places = [(part, row) for part in parts for row in range(_count(part))]

    def read(rows: slice) -> np.ndarray:
        return np.concatenate([part.get_data(picks=picks, item=[row], verbose="ERROR") for part, row in places[rows]])

    return Trials(
        sensors=place_sensors(info, names),
        marked_C=np.isin(names, info["bads"]),
        sfreq_hz=float(info["sfreq"]),
        shape=_some((len(places), len(names), len(parts[0].times))),
        high_pass_hz=float(info["highpass"]),
        read=read,
    )


def _of_array(x: Any, sensors: ChannelInfo | None, sfreq_hz: float | None) -> Trials:
    try:
        signal_NCT = np.asarray(x)
    except ValueError as error:  # lists of different lengths
        raise InputError(f"Trials of an array have one shape (sensors, samples): {error}") from error
    if signal_NCT.ndim != 3 or signal_NCT.dtype.kind not in "fiu":
        raise InputError(
            f"Trials are mne.Epochs, or real numbers of the shape (trials, sensors, samples), not {type(x).__name__} "
            f"of {signal_NCT.dtype} and shape {signal_NCT.shape}."
        )
    if sensors is None or sfreq_hz is None or not sfreq_hz > 0:
        raise InputError(
            f"An array does not say what it holds: sensors={'None' if sensors is None else 'given'}, "
            f"sfreq_hz={sfreq_hz!r}. Give sensors (SensorArray, mne.Info or chs_info) and sfreq_hz (samples a second)."
        )
    array = _as_array(sensors)
    if len(array) != signal_NCT.shape[1]:
        raise InputError(f"The trials have {signal_NCT.shape[1]} rows, but sensors describes {len(array)}.")
    marked = sensors["bads"] if isinstance(sensors, mne.Info) else []
    return Trials(
        sensors=array,
        marked_C=np.isin(array.names, marked),
        sfreq_hz=float(sfreq_hz),
        shape=_some(signal_NCT.shape),
        high_pass_hz=None,
        read=signal_NCT.__getitem__,
    )


def _as_array(sensors: ChannelInfo) -> SensorArray:
    if isinstance(sensors, SensorArray):
        return sensors
    if isinstance(sensors, mne.Info):
        return place_sensors(sensors, sensors.ch_names)
    return SensorArray.from_chs_info(sensors)


def _count(epochs: mne.BaseEpochs) -> int:
    try:
        return len(epochs)
    except RuntimeError as error:
        raise InputError(
            "Some epochs may still be rejected, so that trials and labels would not fit: call epochs.drop_bad() first, "
            "then take the labels."
        ) from error


def _some(shape: tuple[int, ...]) -> tuple[int, int, int]:
    trials, sensors, samples = shape
    if not trials or not samples:
        raise InputError(f"There are {trials} trials of {samples} samples; at least one of each is needed.")
    return trials, sensors, samples


def _refer_to_average(signal_NCT: np.ndarray, good_C: np.ndarray) -> None:
    """Take the mean of the good electrodes away, trial by trial; one that is silent in a trial stays so."""
    live_NC1 = good_C[None, :, None] & (np.ptp(signal_NCT, axis=2, keepdims=True) > 0)
    live_NC1 &= live_NC1.sum(axis=1, keepdims=True) > 1
    sum_N1T = np.where(live_NC1, signal_NCT, 0.0).sum(axis=1, keepdims=True)
    mean_N1T = sum_N1T / np.maximum(live_NC1.sum(axis=1, keepdims=True), 1)
    signal_NCT -= mean_N1T * live_NC1
