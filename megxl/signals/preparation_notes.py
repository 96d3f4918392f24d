"""What a person is told about how a recording was prepared, one sentence each."""

from collections.abc import Sequence

import mne

from megxl.signals.filters import BandPass


def on_bad_seconds(bad_s: float) -> list[str]:
    """Say what became of stretches that are marked bad."""
    return [f"{round(bad_s, 3)} s are marked bad; they were kept like the rest."] if bad_s else []


def on_method(raw: mne.io.BaseRaw, band: BandPass, why: str | None) -> list[str]:
    """Say why the fast method was not used, if that cost anything."""
    if why is None or raw.n_times < 2 * len(band.taps):
        return []
    return [f"Prepared by MNE's own functions, which takes more time and memory: {why}."]


def on_prepared(info: mne.Info) -> list[str]:
    """Say that nothing was left to do."""
    return [
        f"Taken as it is: by its header it was prepared before ({info['highpass']:g} to {info['lowpass']:g} Hz at "
        f"{info['sfreq']:g} samples a second)."
    ]


def on_band(band: BandPass, high_hz: float) -> list[str]:
    """Say so if a low-pass was asked for and there is none."""
    if band.high_hz is not None:
        return []
    return [f"No low-pass at {high_hz:g} Hz: at {band.sfreq_hz:g} samples a second nothing above it was recorded."]


def on_length(too_short_s: float | None, raw: mne.io.BaseRaw, band: BandPass) -> list[str]:
    """Say so if a stretch that is filtered by itself is shorter than the filter; MNE looks at the longest alone."""
    if too_short_s is None:
        return []
    what = "The recording" if too_short_s == raw.n_times / band.sfreq_hz else "The shortest stretch between skips"
    return [
        f"{what} has {too_short_s:.1f} s, less than the {band.length_s:.3g} s of the high-pass filter: its ends are "
        "distorted; longer recordings are better."
    ]


def on_bads(marked: Sequence[str], bads: str) -> list[str]:
    """Say what became of the sensors that are marked bad."""
    done = {"mask": "take no part", "interpolate": "were interpolated from the others", "keep": "are treated as good"}
    return [f"Sensors marked bad ({len(marked)}), which {done[bads]}: {', '.join(marked)}."] if marked else []


def on_average(electrodes: int, good: int, origin: str | None, dead: Sequence[str]) -> list[str]:
    """Say what electrodes are referred to; `origin`: the electrode that was the reference before."""
    notes = [f"Electrodes are referred to the average of the good ones: {good} of {electrodes}."]
    if origin is not None:
        notes.append(f"The reference of the recording is in it as zeros; the average gives it a signal: {origin}.")
    if dead:
        notes.append(f"Flat electrodes take no part in the average: {', '.join(dead)}.")
    return notes


def on_no_average(electrodes: int, good: int) -> list[str]:
    """Say that there is no average of one."""
    return [f"Electrodes keep the reference of the recording, too few are good for an average: {good} of {electrodes}."]


def on_recorded_reference() -> list[str]:
    """Say that the reference was left alone."""
    return ["Electrodes keep the reference of the recording."]
