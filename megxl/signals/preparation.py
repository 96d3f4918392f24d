"""One recording at the model's rate: band-pass and resampling as MNE does them, and what a person should know of it.

Letters: C sensors, T samples, K channels of one block.
"""

from collections.abc import Callable, Collection, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from functools import partial
from importlib.metadata import version
from typing import Any, Literal

import mne
import numpy as np

from megxl.errors import InputError
from megxl.signals import preparation_notes
from megxl.signals.fast import prepare_fast, why_not_fast
from megxl.signals.filters import BandPass
from megxl.signals.interpolation import interpolate
from megxl.signals.marks import shortest_stretch_s
from megxl.signals.messages import collected_warnings
from megxl.signals.montage import place_sensors
from megxl.signals.published import prepare_by_mne
from megxl.signals.quality import Inspector, QualityReport
from megxl.signals.reading import provenance
from megxl.signals.reference import Reference, refer_electrodes
from megxl.signals.samples import MixedRatesError, read_blocks
from megxl.signals.sensors import SensorArray

PREPARATION_VERSION = 1
"""Raised when the same recording and settings give other numbers than before."""

_Zero = Callable[[QualityReport], Sequence[str]]
_Reach = Callable[[float], None]


@dataclass(frozen=True, kw_only=True)
class Preparation:
    """How a recording is prepared; the defaults are the published numbers, those of the released weights."""

    low_hz: float = 0.1
    """Edge of the high-pass."""
    high_hz: float = 40.0
    """Edge of the low-pass; resampling cuts at half of the new rate besides."""
    sfreq_hz: float = 50.0
    """Rate after resampling."""
    method: Literal["fast", "mne"] = "fast"
    """"mne": MNE's zero-phase FIR filter and Fourier resampling with their defaults. "fast": the same signal to about
    1e-6, from one pass over the file; by MNE where that is impossible (``provenance`` says so)."""
    reference: Reference = "average"
    """What electrodes are measured against: "average": the mean of the good ones; "recorded": what the recording has.
    MEG sensors have none."""

    def __post_init__(self) -> None:
        if not 0 < self.low_hz < self.high_hz:
            raise InputError(f"A band of {self.low_hz} to {self.high_hz} Hz; allowed: 0 < low_hz < high_hz.")
        if not self.sfreq_hz > 2 * self.low_hz:
            raise InputError(f"sfreq_hz = {self.sfreq_hz}; allowed: above twice the high-pass ({self.low_hz} Hz).")
        if self.method not in ("fast", "mne"):
            raise InputError(f"method = {self.method!r}; allowed: fast, mne.")
        if self.reference not in ("average", "recorded"):
            raise InputError(f"reference = {self.reference!r}; allowed: average, recorded.")


@dataclass(frozen=True, kw_only=True)
class PreparedRecording:
    """A recording that is ready for `scale_blocks` and the tokenizer."""

    signal_CT: np.ndarray
    """float32, SI units (T, T/m, V)."""
    sfreq_hz: float
    """Samples a second."""
    sensors: SensorArray
    """One sensor a row."""
    bads: tuple[str, ...]
    """Sensors that should take no part."""
    notes: list[str]
    """What a person should know about the recording and what was done to it, one sentence each."""
    provenance: dict[str, Any]
    """Where the signal came from and how it was prepared; JSON-able, names nobody."""
    quality: QualityReport = field(default_factory=QualityReport)
    """What was found in the recording before anything was done to it."""


def prepare(
    raw: mne.io.BaseRaw,
    names: Sequence[str],
    settings: Preparation | None = None,
    *,
    bads: Literal["mask", "interpolate", "keep"] = "mask",
    nonfinite: Literal["refuse", "mask"] = "refuse",
    advance: Callable[[int], None] | None = None,
) -> PreparedRecording:
    """Filter and resample the named sensors of a recording, and refer its electrodes to their average.

    The result equals ``raw.filter(low, high).resample(sfreq)`` of MNE (with the method "mne" exactly, with "fast" to
    about 1e-6 of the signal), with one difference: the parts of a split file are resampled as the one recording that
    they are, and that electrodes are then referred to the average of the good ones
    (``settings.reference``). A recording whose header says that it was filtered and resampled like this before is not
    filtered again. No compensation or projection is applied.

    Parameters
    ----------
    raw : mne.io.BaseRaw
        Left as it is. Its samples are read once; more than 256 MB of what must be kept of them are in a temporary file
        meanwhile (the environment variable TMPDIR chooses its folder).
    names : sequence of str
        The sensors, in the order of the rows that come out.
    settings : Preparation, optional
        Band, rate, reference.
    bads : {"mask", "interpolate", "keep"}
        Sensors that ``raw.info["bads"]`` lists: name them in the result, replace them from their neighbours, or treat
        them as good. In the first two cases they may hold NaN (such a sensor is set to zero), and take no part in the
        average.
    nonfinite : {"refuse", "mask"}
        What a sensor that is not replaced as a bad one and holds NaN or infinite samples leads to: an error, or zeros
        throughout and a place in the result's ``bads`` (with ``bads="interpolate"``: interpolation).
    advance : callable, optional
        Called now and then with the number of channels that were finished since the last call; where all are read at
        once, with their number times the share of the work that was done.

    Returns
    -------
    PreparedRecording

    Raises
    ------
    InputError
        A rate below ``sfreq_hz``, samples that are NaN or infinite or cannot be read, no space for them, bad
        geometry, bad sensors that cannot be interpolated, an unknown value of ``bads`` or ``nonfinite``.
    """
    settings = settings or Preparation()
    _refuse_unknown(bads, nonfinite)
    sensors = place_sensors(raw.info, names)
    sfreq_hz = float(raw.info["sfreq"])
    source = provenance(raw)
    marked = [name for name in names if name in raw.info["bads"]]
    zero = partial(_silenced, replaced=() if bads == "keep" else marked, nonfinite=nonfinite, sfreq_hz=sfreq_hz)
    inspector, reach = Inspector(names, sfreq_hz, sensors.kinds_C), _Steps(len(names), advance).reach
    band = BandPass.within(sfreq_hz, settings.low_hz, settings.high_hz)
    how = asdict(settings) | {"bads": bads, "nonfinite": nonfinite}
    how |= {"version": PREPARATION_VERSION, "mne": version("mne")}
    notes = source.pop("notes") + preparation_notes.on_bad_seconds(source["bad_seconds"])
    too_short_s = None
    with collected_warnings() as warned:
        if is_prepared := _is_prepared(raw.info, settings):
            signal_CT = _as_it_is(raw, names, inspector, zero, reach)
            how["method"] = "as it is"
            notes += preparation_notes.on_prepared(raw.info)
        else:
            _refuse_lower_rate(sfreq_hz, settings)
            signal_CT, why = _filtered(raw, names, settings, band, inspector, zero, reach)
            if why is not None:
                how |= {"method": "mne", "why_not_fast": why}
            too_short_s = _too_short_s(raw, band)
            notes += preparation_notes.on_method(raw, band, why) + preparation_notes.on_band(band, settings.high_hz)
            notes += preparation_notes.on_length(too_short_s, raw, band)
    _refuse_overflow(signal_CT, names)
    quality = inspector.report()
    quality.too_short_s = too_short_s
    # the length of the filter was spoken of
    notes += [f"MNE, while filtering: {text}" for text in warned if not text.startswith("filter_length")]
    silent = [name for name in quality.nonfinite if name not in marked or bads == "keep"]
    left_out = () if bads == "keep" else marked
    reference, told = refer_electrodes(signal_CT, raw, sensors, settings.reference, bads=left_out, quality=quality)
    notes += told
    if reference is None:
        del how["reference"]
    else:
        how["reference"] = reference
    if bads == "interpolate" and (marked or silent):
        interpolate(signal_CT, raw.info, names, [*marked, *silent], settings.sfreq_hz)
    masked = {"mask": {*marked, *silent}, "keep": {*silent}, "interpolate": set()}[bads]
    return PreparedRecording(
        signal_CT=signal_CT,
        sfreq_hz=sfreq_hz if is_prepared else settings.sfreq_hz,
        sensors=sensors,
        bads=tuple(name for name in names if name in masked),
        notes=notes + quality.notes + preparation_notes.on_bads(marked, bads),
        provenance=source | {"preparation": how},
        quality=quality,
    )


class _Steps:
    """Turns shares of the work into numbers of channels that were finished since the last call."""

    def __init__(self, total: int, advance: Callable[[int], None] | None) -> None:
        self._total, self._advance, self._done = total, advance, 0

    def reach(self, share: float) -> None:
        """Tell that this share of the work is done."""
        steps = int(self._total * share + 1e-9) - self._done
        if steps > 0:
            self._done += steps
            if self._advance is not None:
                self._advance(steps)


def _refuse_unknown(bads: str, nonfinite: str) -> None:
    if bads not in ("mask", "interpolate", "keep"):
        raise InputError(f"bads = {bads!r}; allowed: mask, interpolate, keep.")
    if nonfinite not in ("refuse", "mask"):
        raise InputError(f"nonfinite = {nonfinite!r}; allowed: refuse, mask.")


def _refuse_lower_rate(sfreq_hz: float, settings: Preparation) -> None:
    if sfreq_hz < settings.sfreq_hz - 1e-6:
        raise InputError(
            f"The recording has {sfreq_hz:g} samples a second; allowed: at least {settings.sfreq_hz:g}, because what "
            "was never sampled cannot be made up."
        )


def _is_prepared(info: mne.Info, settings: Preparation) -> bool:
    """Tell whether filter and resampling would only repeat what was done to the recording before."""
    return (
        abs(info["sfreq"] - settings.sfreq_hz) <= 0.1
        and info["highpass"] >= settings.low_hz - 0.01
        and info["lowpass"] <= settings.high_hz + 0.1
    )


def _as_it_is(
    raw: mne.io.BaseRaw, names: Sequence[str], inspector: Inspector, zero: _Zero, reach: _Reach
) -> np.ndarray:
    signal_CT = np.empty((len(names), raw.n_times), dtype=np.float32)
    done = 0
    with closing(read_blocks(raw, names)) as blocks:
        for block, data_KT in blocks:
            inspector.of(block).update(data_KT)
            signal_CT[done : done + len(block)] = data_KT
            done += len(block)
            reach(done / len(names))
    silent = set(zero(inspector.report()))
    signal_CT[[name in silent for name in names]] = 0.0
    return signal_CT


def _filtered(
    raw: mne.io.BaseRaw,
    names: Sequence[str],
    settings: Preparation,
    band: BandPass,
    inspector: Inspector,
    zero: _Zero,
    reach: _Reach,
) -> tuple[np.ndarray, str | None]:
    """Return the signal and, if the fast method was asked for and MNE's was used, why."""
    work = (raw, names, band, settings.sfreq_hz, inspector, zero, reach)
    if settings.method == "mne":
        return prepare_by_mne(*work), None
    why = why_not_fast(raw, band, settings.sfreq_hz)
    if why is None:
        try:
            return prepare_fast(*work), None
        except MixedRatesError:
            why = "its channels have several rates, which are read right only over the whole length at once"
    return prepare_by_mne(*work), why


def _silenced(
    report: QualityReport, replaced: Collection[str], nonfinite: Literal["refuse", "mask"], sfreq_hz: float
) -> list[str]:
    """Name the sensors whose samples are not finite; refuse the recording if one of them must not be replaced."""
    for name, first in report.first_nonfinite.items():
        if nonfinite == "refuse" and name not in replaced:
            raise InputError(
                f"Channel {name!r} holds {report.nonfinite[name]} samples that are NaN or infinite, the first at "
                f"{first / sfreq_hz:.3f} s. Leave it out with --exclude, or crop the recording."
            )
    return list(report.nonfinite)


def _refuse_overflow(signal_CT: np.ndarray, names: Sequence[str]) -> None:
    """Refuse numbers that float32 cannot hold: nothing that is not finite comes out."""
    # limits show NaN and infinity without an array of their own
    for name, signal_T in zip(names, signal_CT, strict=True):
        if signal_T.size and not np.isfinite([signal_T.min(), signal_T.max()]).all():
            raise InputError(
                f"Channel {name!r} holds numbers too large to be tesla or volts. Check its unit, or leave it out with "
                "--exclude."
            )


def _too_short_s(raw: mne.io.BaseRaw, band: BandPass) -> float | None:
    """Return the length of the shortest stretch that is filtered by itself, if it is shorter than the filter."""
    shortest_s = shortest_stretch_s(raw)
    return shortest_s if shortest_s <= band.length_s - 0.5 / band.sfreq_hz else None
