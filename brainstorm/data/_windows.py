"""What the published datasets of segments share (alias).

Arrays are `[C, T]`.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from brainstorm.data._published import CACHE, PublishedDataset
from brainstorm.data.preprocessing import preprocess_segment_with_subsegments, shuffle_temporal_segments
from megxl.corpora.corpus import Selection
from megxl.data.seeds import seed_of
from megxl.data.windows import fixed_windows


class PublishedWindows(PublishedDataset):
    """Segments of a fixed length, side by side from the first sample.

    Parameters
    ----------
    segment_length : float
        Seconds.
    runs : sequence of str, optional
        By name alone, where a corpus has no published place for it.
    without : Selection, optional
        Recordings that are left out.
    shuffle_segments : bool
        Permute pieces of `shuffle_segment_duration` seconds; drawn by the item's name, not by a global generator.
    """

    levels: ClassVar[tuple[str, ...]] = ("subjects", "sessions", "tasks")
    """By which a published configuration chooses recordings."""

    def __init__(
        self,
        data_root: str | Path,
        segment_length: float = 150.0,
        cache_dir: str | Path = CACHE,
        subjects: Sequence[str] | None = None,
        sessions: Sequence[str] | None = None,
        tasks: Sequence[str] | None = None,
        l_freq: float = 0.1,
        h_freq: float = 40.0,
        target_sfreq: float = 50.0,
        channel_filter: Callable[[str], bool] | str | None = None,
        max_channel_dim: int | None = None,
        shuffle_segments: bool = False,
        shuffle_segment_duration: float = 3.0,
        *,
        runs: Sequence[str] | None = None,
        without: Selection | None = None,
    ) -> None:
        super().__init__(
            data_root,
            cache_dir=cache_dir,
            subjects=subjects,
            sessions=sessions,
            tasks=tasks,
            runs=runs,
            without=without,
            l_freq=l_freq,
            h_freq=h_freq,
            target_sfreq=target_sfreq,
            channel_filter=channel_filter,
            max_channel_dim=max_channel_dim,
        )
        self.shuffle_s = shuffle_segment_duration if shuffle_segments else None
        self.windows = fixed_windows(self.recordings, segment_length)
        self.segment_index = [
            (window.recording, window.start // self.windows.window_samples) for window in self.windows.windows
        ]

    def __getitem__(self, index: int) -> dict[str, Any]:
        window = self.windows.windows[index]
        recording = self.recordings[window.recording]
        signal = recording.read(window.start, window.stop)[self._rows(recording)]
        normalized = preprocess_segment_with_subsegments(signal, recording.sfreq_hz)
        if self.shuffle_s is not None:
            rng = np.random.RandomState(seed_of(recording.key, window.start) % 2**32)
            normalized = shuffle_temporal_segments(normalized, self.shuffle_s, recording.sfreq_hz, rng)
        return self._item(window.recording, normalized) | {
            "segment_idx": self.segment_index[index][1],
            "start_time": window.start / recording.sfreq_hz,
            "end_time": window.stop / recording.sfreq_hz,
        }
