"""Windows of recordings for pre-training: of one length, side by side from the first sample, the rest counted.

An optional jitter shifts all windows of a recording together, by another number of samples in every epoch.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real

from megxl.data.seeds import seed_of
from megxl.errors import InputError
from megxl.store.entry import StoredRecording


@dataclass(frozen=True, kw_only=True)
class Window:
    """A stretch of a prepared recording.

    Parameters
    ----------
    recording : int
        Place of its recording in `WindowSet.recordings`.
    start, stop : int
        First sample, and one past the last.
    """

    recording: int
    start: int
    stop: int


@dataclass(frozen=True, kw_only=True)
class WindowSet:
    """The windows of some recordings, and what of these recordings lies in no window.

    Parameters
    ----------
    recordings : tuple of StoredRecording
        All that were given, also those that are shorter than a window.
    windows : list of Window
        In the order of the recordings and of time.
    left_out_s : dict
        Seconds at the end of each recording, by its key, that fill no window.
    window_s : float
        Length of a window in seconds.
    sfreq_hz : float
        Sampling rate of all recordings.
    """

    recordings: tuple[StoredRecording, ...]
    windows: list[Window]
    left_out_s: dict[str, float]
    window_s: float
    sfreq_hz: float

    def __len__(self) -> int:
        return len(self.windows)

    @property
    def window_samples(self) -> int:
        """Samples in a window."""
        return round(self.window_s * self.sfreq_hz)

    @property
    def summary(self) -> str:
        """One sentence: how many windows there are, and how many seconds lie in none."""
        total_s = sum(recording.duration_s for recording in self.recordings)
        left_s = sum(self.left_out_s.values())
        unused = [r.key for r in self.recordings if r.n_samples < self.window_samples]
        short = f"; shorter than a window: {len(unused)} (first: {unused[0]})" if unused else ""
        return (
            f"{len(self)} windows of {self.window_s:g} s from {len(self.recordings)} recordings; {left_s:.1f} s of "
            f"{total_s:.1f} s ({100 * left_s / total_s:.1f} %) at their ends fill no window{short}."
        )

    def shifted(self, index: int, *, seed: int, epoch: int) -> Window:
        """Move a window by its recording's shift in this epoch.

        All windows of a recording move together by 0 to as many samples as its end leaves out, so that their number
        stays, none leaves the recording and, over the epochs, every sample is seen. A recording that fills its windows
        exactly does not move.
        """
        window = self.windows[index]
        recording = self.recordings[window.recording]
        rest = recording.n_samples % self.window_samples
        shift = seed_of("shift", seed, epoch, recording.key) % (rest + 1)
        return Window(recording=window.recording, start=window.start + shift, stop=window.stop + shift)


def fixed_windows(recordings: Sequence[StoredRecording], window_s: float = 150.0) -> WindowSet:
    """Cut recordings into windows from their first sample.

    Parameters
    ----------
    recordings : sequence of StoredRecording
        Of one sampling rate.
    window_s : float
        Length in seconds (150 in pre-training).

    Raises
    ------
    InputError
        No recording, one that is given twice, different sampling rates, a length below one sample, or no recording as
        long as a window.
    """
    sfreq_hz = _common_rate(recordings)
    if isinstance(window_s, bool) or not isinstance(window_s, Real) or not math.isfinite(window_s):
        raise InputError(f"window_s = {window_s!r}; allowed: a number of seconds (150 in pre-training).")
    length = round(window_s * sfreq_hz)
    if length < 1:
        raise InputError(f"window_s = {window_s}: a window needs at least one sample (1/{sfreq_hz:g} s).")
    windows: list[Window] = []
    left_out_s: dict[str, float] = {}
    for place, recording in enumerate(recordings):
        if recording.key in left_out_s:
            raise InputError(f"The recording {recording.key} is given twice; its windows would count double.")
        starts = range(0, recording.n_samples - length + 1, length)
        windows += [Window(recording=place, start=start, stop=start + length) for start in starts]
        left_out_s[recording.key] = (recording.n_samples - len(starts) * length) / sfreq_hz
    if not windows:
        longest = max(recordings, key=lambda recording: recording.n_samples)
        raise InputError(
            f"None of {len(recordings)} recordings is as long as a window of {window_s:g} s; the longest, "
            f"{longest.key}, lasts {longest.duration_s:.1f} s. Choose a smaller window_s."
        )
    return WindowSet(
        recordings=tuple(recordings), windows=windows, left_out_s=left_out_s, window_s=window_s, sfreq_hz=sfreq_hz
    )


def _common_rate(recordings: Sequence[StoredRecording]) -> float:
    if not recordings:
        raise InputError("No recording to cut into windows: the selection is empty.")
    first = recordings[0]
    for recording in recordings:
        if abs(recording.sfreq_hz - first.sfreq_hz) > 1e-6 * first.sfreq_hz:
            raise InputError(
                f"{recording.key} is stored at {recording.sfreq_hz:g} Hz, {first.key} at {first.sfreq_hz:g} Hz: one "
                "model sees one rate. Prepare both with the same settings, or select one of them."
            )
    return first.sfreq_hz
