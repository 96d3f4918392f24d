"""What the published datasets of words share (alias): groups of words with their windows of signal.

Arrays are `[C, T]`.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from brainstorm.data._published import CACHE, PublishedDataset
from brainstorm.data.preprocessing import preprocess_segment_with_subsegments
from megxl.data.group_dataset import tape, word_starts
from megxl.data.groups import Grouping, word_groups


class PublishedWords(PublishedDataset):
    """Groups of words, each with its window of signal, the windows one after the other; options by name alone.

    Parameters
    ----------
    segment_length : float
        Not used, as published.
    subsegment_duration : float
        Seconds of a word's window.
    words_per_segment : int
    window_onset_offset : float
        Where a window begins, seconds after the word's onset.
    baseline_duration, clip : float
        As in `preprocess_segment_with_subsegments`.
    """

    channels: ClassVar[int] = 306

    def __init__(
        self,
        data_root: str | Path,
        *,
        segment_length: float = 150.0,
        subsegment_duration: float = 3.0,
        words_per_segment: int = 50,
        window_onset_offset: float = -0.5,
        cache_dir: str | Path = CACHE,
        subjects: Sequence[str] | None = None,
        sessions: Sequence[str] | None = None,
        tasks: Sequence[str] | None = None,
        l_freq: float = 0.1,
        h_freq: float = 40.0,
        target_sfreq: float = 50.0,
        channel_filter: Callable[[str], bool] | str | None = None,
        max_channel_dim: int | None = -1,
        baseline_duration: float = 0.5,
        clip: float = 5.0,
    ) -> None:
        super().__init__(
            data_root,
            cache_dir=cache_dir,
            subjects=subjects,
            sessions=sessions,
            tasks=tasks,
            l_freq=l_freq,
            h_freq=h_freq,
            target_sfreq=target_sfreq,
            channel_filter=channel_filter,
            max_channel_dim=self.channels if max_channel_dim == -1 else max_channel_dim,
        )
        grouping = Grouping(
            words=words_per_segment, window_s=subsegment_duration, offset_s=window_onset_offset, compat="reference"
        )
        self.groups = word_groups(self.recordings, grouping)
        self.segment_index = [(group.recording, group.number) for group in self.groups]
        self.baseline_duration, self.clip = baseline_duration, clip

    def __getitem__(self, index: int) -> dict[str, Any]:
        group = self.groups.groups[index]
        recording = self.recordings[group.recording]
        signal = recording.read(group.start, group.stop)[self._rows(recording)][:, tape(group)]
        starts = word_starts(group, "tape")
        bounds = [*starts.tolist(), signal.shape[1]]
        scaling = {"subsegment_duration": None, "baseline_duration": self.baseline_duration, "clip": self.clip}
        windows = [
            preprocess_segment_with_subsegments(signal[:, start:stop], recording.sfreq_hz, **scaling)
            for start, stop in pairwise(bounds)
        ]
        grouping = self.groups.grouping
        return self._item(group.recording, np.concatenate(windows, axis=1)) | {
            "segment_idx": group.number,
            "start_time": group.words[0].onset_s + grouping.offset_s,
            "end_time": group.words[-1].onset_s + grouping.offset_s + grouping.window_s,
            "words": list(group.texts),
            "subsegment_boundaries": [{"start_sample": start, "end_sample": stop} for start, stop in pairwise(bounds)],
        }
