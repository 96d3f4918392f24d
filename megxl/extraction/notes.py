"""The sentences that travel with features: what a person should know before using them."""

from collections.abc import Sequence

from megxl.extraction.settings import TRAINED_WINDOW_S, ExtractionSettings, whole_step_s
from megxl.extraction.windows import Window
from megxl.signals.normalization import BLOCK_S
from megxl.signals.preparation import PreparedRecording
from megxl.signals.sensors import ELECTRODE, SensorArray


def window_notes(
    windows: Sequence[Window], prepared: PreparedRecording, settings: ExtractionSettings, samples_per_token: int
) -> list[str]:
    """What is unusual about the windows, if anything."""
    notes = []
    if settings.window_s != TRAINED_WINDOW_S:
        notes.append(
            f"Windows of {settings.window_s:g} s were asked for; the model was trained with {TRAINED_WINDOW_S:g} s."
        )
    short = -(windows[0].stop - windows[0].start) % samples_per_token
    if short and windows[0].complete:
        notes.append(
            f"Tokens of {samples_per_token} samples do not fill windows of {settings.window_s:g} s: the last one of "
            f"each lacks {short} samples, as in training."
        )
    # the blocks of scaling begin anew with each window
    rest = (windows[0].stop - windows[0].start) % round(BLOCK_S * prepared.sfreq_hz)
    if rest and windows[0].complete:
        notes.append(
            f"Blocks of {BLOCK_S:g} s do not fill windows of {settings.window_s:g} s: the last "
            f"{rest / prepared.sfreq_hz:g} s of each are scaled by themselves; windows of a multiple of "
            f"{whole_step_s(prepared.sfreq_hz, samples_per_token):g} s avoid this."
        )
    last = windows[-1]
    if not last.complete:
        length_s = (last.stop - last.start) / prepared.sfreq_hz
        which = "The recording" if len(windows) == 1 else "The last window"
        notes.append(
            f"{which} has {length_s:.2f} s, less than a window of {settings.window_s:g} s: "
            "the model saw less context there."
        )
    left_out = prepared.signal_CT.shape[1] - last.stop
    if left_out:
        notes.append(f"The last {left_out / prepared.sfreq_hz:.2f} s are shorter than a token and were left out.")
    return notes


def reference_notes(prepared: PreparedRecording, settings: ExtractionSettings, policy: str) -> list[str]:
    """Say so if sensors marked bad stayed in only because of reference mode."""
    if policy == settings.bads or not set(prepared.sensors.names) & set(prepared.provenance["bads"]):
        return []
    return ["Sensors marked bad take part as in the published system: reference mode was asked for."]


def electrode_notes(sensors: SensorArray, sensor_kinds: int) -> list[str]:
    """The one sentence about electrodes on a checkpoint that has no row for them."""
    if sensor_kinds > 2 or not (sensors.kinds_C == ELECTRODE).any():
        return []
    return [
        "The model's weights never saw EEG: electrodes get the mean of the two sensor-type rows and no orientation."
    ]
