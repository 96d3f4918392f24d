"""One recording at the model's rate: band-pass and resampling by MNE, a few channels at a time.

Letters: C sensors, T samples, K channels of one block.
"""

from collections.abc import Callable, Collection, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any, Literal

import mne
import numpy as np

from megxl.errors import InputError
from megxl.signals.messages import collected_warnings, repeatable
from megxl.signals.quality import QualityReport, inspect
from megxl.signals.reading import provenance
from megxl.signals.samples import picks_of, read_blocks
from megxl.signals.sensors import SensorArray


@dataclass(frozen=True, kw_only=True)
class Preparation:
    """How a recording is prepared; the defaults are the published numbers, those of the released weights."""

    low_hz: float = 0.1
    """Edge of the high-pass."""
    high_hz: float = 40.0
    """Edge of the low-pass; resampling cuts at half of the new rate besides."""
    sfreq_hz: float = 50.0
    """Rate after resampling."""
    method: Literal["mne"] = "mne"
    """MNE's zero-phase FIR filter and Fourier resampling with their defaults."""

    def __post_init__(self) -> None:
        if not 0 < self.low_hz < self.high_hz:
            raise InputError(f"A band of {self.low_hz} to {self.high_hz} Hz; allowed: 0 < low_hz < high_hz.")
        if not self.sfreq_hz > 2 * self.low_hz:
            raise InputError(f"sfreq_hz = {self.sfreq_hz}; allowed: above twice the high-pass ({self.low_hz} Hz).")
        if self.method != "mne":
            raise InputError(f"method = {self.method!r}; allowed: 'mne'.")


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


def prepare(
    raw: mne.io.BaseRaw,
    names: Sequence[str],
    settings: Preparation | None = None,
    *,
    bads: Literal["mask", "interpolate", "keep"] = "mask",
    advance: Callable[[int], None] | None = None,
) -> PreparedRecording:
    """Filter and resample the named sensors of a recording.

    The result equals ``raw.filter(low, high).resample(sfreq)`` of MNE, with one difference: the parts of a split file
    are resampled as the one recording that they are. No compensation, projection or re-referencing is applied.

    Parameters
    ----------
    raw : mne.io.BaseRaw
        Left as it is. Its samples are read once; more than 256 MB of them are kept in a temporary file meanwhile (the
        environment variable TMPDIR chooses its folder).
    names : sequence of str
        The sensors, in the order of the rows that come out.
    settings : Preparation, optional
        Band and rate.
    bads : {"mask", "interpolate", "keep"}
        Sensors that ``raw.info["bads"]`` lists: name them in the result, replace them from their neighbours, or treat
        them as good. In the first two cases they may hold NaN: such a sensor is set to zero.
    advance : callable, optional
        Called after each block with the number of channels that were finished since the last call.

    Returns
    -------
    PreparedRecording

    Raises
    ------
    InputError
        A rate below ``sfreq_hz``, samples that are NaN or infinite or cannot be read, no space for them, bad
        geometry, bad sensors that cannot be interpolated, an unknown value of ``bads``.
    """
    settings = settings or Preparation()
    if bads not in ("mask", "interpolate", "keep"):
        raise InputError(f"bads = {bads!r}; allowed: mask, interpolate, keep.")
    sensors = SensorArray.from_info(raw.info, names)
    source = provenance(raw)
    notes: list[str] = [*source.pop("notes"), *_notes_on_rate(raw, settings)]
    if bad_seconds := source["bad_seconds"]:
        notes.append(f"{round(bad_seconds, 3)} s are marked bad; they were kept like the rest.")
    quality = QualityReport()
    signal_CT = np.empty((0, 0), dtype=np.float32)
    marked = [name for name in names if name in raw.info["bads"]]
    replaced = () if bads == "keep" else marked
    done = 0
    with collected_warnings() as warned, closing(read_blocks(raw, names)) as blocks:
        for block, data_KT in blocks:
            quality.extend(_inspected(data_KT, block, raw.info["sfreq"], replaced))
            signal_KT = _filter_and_resample(raw, block, data_KT, settings)
            if done == 0:
                signal_CT = np.empty((len(names), signal_KT.shape[1]), dtype=np.float32)
            signal_CT[done : done + len(block)] = signal_KT
            done += len(block)
            if advance is not None:
                advance(len(block))
    notes += _notes_on_length(raw, settings)
    # the length of the filter was spoken of
    notes += [f"MNE, while filtering: {text}" for text in warned if not text.startswith("filter_length")]
    notes += quality.notes
    if marked and bads == "interpolate":
        _interpolate(signal_CT, raw.info, names, settings.sfreq_hz)
    if marked:
        notes.append(_note_on_bads(marked, bads))
    return PreparedRecording(
        signal_CT=signal_CT,
        sfreq_hz=settings.sfreq_hz,
        sensors=sensors,
        bads=tuple(marked) if bads == "mask" else (),
        notes=notes,
        provenance=source | {"preparation": asdict(settings) | {"bads": bads, "mne": version("mne")}},
    )


def _notes_on_rate(raw: mne.io.BaseRaw, settings: Preparation) -> list[str]:
    sfreq_hz = raw.info["sfreq"]
    if sfreq_hz < settings.sfreq_hz - 1e-6:
        raise InputError(
            f"The recording has {sfreq_hz:g} samples a second; allowed: at least {settings.sfreq_hz:g}, because what "
            "was never sampled cannot be made up."
        )
    if not _has_low_pass(sfreq_hz, settings):
        return [
            f"No low-pass at {settings.high_hz:g} Hz: at {sfreq_hz:g} samples a second nothing above it was recorded."
        ]
    return []


def _has_low_pass(sfreq_hz: float, settings: Preparation) -> bool:
    return settings.high_hz < sfreq_hz / 2


def _inspected(data_KT: np.ndarray, block: Sequence[str], sfreq_hz: float, replaced: Collection[str]) -> QualityReport:
    """Look at the samples; of those that are not finite, set the sensors to zero that will be replaced."""
    report = inspect(data_KT, block)
    for name, first in report.first_nonfinite.items():
        if name in replaced:
            data_KT[block.index(name)] = 0.0
            continue
        raise InputError(
            f"Channel {name!r} holds {report.nonfinite[name]} samples that are NaN or infinite, the first at "
            f"{first / sfreq_hz:.3f} s. Leave it out with --exclude, or crop the recording."
        )
    return report


def _filter_and_resample(
    raw: mne.io.BaseRaw, block: Sequence[str], data_KT: np.ndarray, settings: Preparation
) -> np.ndarray:
    part = mne.io.RawArray(data_KT, mne.pick_info(raw.info, picks_of(raw.info, block)))
    # the filter works around marked skips and edges; onsets count from the first sample here
    marks = raw.annotations
    onsets_s = marks.onset - raw.first_time
    part.set_annotations(mne.Annotations(onsets_s, marks.duration, marks.description), emit_warning=False)
    sfreq_hz = raw.info["sfreq"]
    part.filter(settings.low_hz, settings.high_hz if _has_low_pass(sfreq_hz, settings) else None)
    if abs(sfreq_hz - settings.sfreq_hz) > 1e-6:
        part.resample(settings.sfreq_hz)
    return np.asarray(part.get_data())


def _notes_on_length(raw: mne.io.BaseRaw, settings: Preparation) -> list[str]:
    """Say so if a stretch that is filtered by itself is shorter than the filter; MNE looks at the longest alone."""
    sfreq_hz = raw.info["sfreq"]
    high_hz = settings.high_hz if _has_low_pass(sfreq_hz, settings) else None
    filter_s = len(mne.filter.create_filter(None, sfreq_hz, settings.low_hz, high_hz, verbose="ERROR")) / sfreq_hz
    whole_s = raw.n_times / sfreq_hz
    shortest_s = min(_stretches_s(raw, whole_s), default=whole_s)
    if shortest_s > filter_s - 0.5 / sfreq_hz:
        return []
    what = "The recording" if shortest_s == whole_s else "The shortest stretch between skips"
    return [
        f"{what} has {shortest_s:.1f} s, less than the {filter_s:.3g} s of the high-pass filter: its ends are "
        "distorted; longer recordings are better."
    ]


def _stretches_s(raw: mne.io.BaseRaw, whole_s: float) -> list[float]:
    marks = raw.annotations
    lengths_s, since_s = [], 0.0
    for onset_s, duration_s, text in zip(marks.onset - raw.first_time, marks.duration, marks.description, strict=True):
        if str(text).lower().startswith(("edge", "bad_acq_skip")):  # those that MNE filters around
            lengths_s.append(float(onset_s) - since_s)
            since_s = max(since_s, float(onset_s + duration_s))
    return [length_s for length_s in (*lengths_s, whole_s - since_s) if length_s > 0.5 / raw.info["sfreq"]]


def _interpolate(signal_CT: np.ndarray, info: mne.Info, names: Sequence[str], sfreq_hz: float) -> None:
    """Replace the bad rows of ``signal_CT`` in place: linear over sensors, it commutes with filters over time."""
    picked = mne.pick_info(info, picks_of(info, names), verbose="ERROR")
    bads = list(picked["bads"])
    if len(bads) == len(names):
        raise InputError(f"All {len(names)} sensors are marked bad: there is nothing to interpolate from.")
    with picked._unlock():
        picked["sfreq"], picked["lowpass"] = sfreq_hz, min(picked["lowpass"], sfreq_hz / 2)
    low_rate = mne.io.RawArray(signal_CT.astype(np.float64), picked, verbose="ERROR")
    try:
        low_rate.interpolate_bads(reset_bads=False, verbose="ERROR")
    except (ValueError, RuntimeError, np.linalg.LinAlgError) as error:
        raise InputError(
            f"{len(bads)} bad sensor{'s' if len(bads) > 1 else ''} (first: {bads[0]!r}) cannot be interpolated "
            f"({repeatable(error)}). "
            "Leave them out with --exclude, or use --bads mask or keep."
        ) from error
    rows = picks_of(picked, bads)
    signal_CT[rows] = low_rate.get_data(picks=rows)


def _note_on_bads(marked: Sequence[str], bads: str) -> str:
    done = {"mask": "take no part", "interpolate": "were interpolated from the others", "keep": "are treated as good"}
    return f"Sensors marked bad ({len(marked)}), which {done[bads]}: {', '.join(marked)}."
