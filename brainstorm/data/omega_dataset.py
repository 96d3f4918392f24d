"""OMEGA under its published name (alias of `megxl.corpora.omega` and `megxl.data`)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from brainstorm.data._published import CACHE
from brainstorm.data._windows import PublishedWindows
from megxl.store.entry import StoredRecording


class OmegaMEGDataset(PublishedWindows):
    """Segments of OMEGA recordings; after the tasks, options are given by name alone."""

    corpus = "omega"

    def __init__(
        self,
        data_root: str | Path,
        segment_length: float = 150.0,
        cache_dir: str | Path = CACHE,
        subjects: Sequence[str] | None = None,
        sessions: Sequence[str] | None = None,
        tasks: Sequence[str] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(data_root, segment_length, cache_dir, subjects, sessions, tasks, **options)

    def _named(self, recording: StoredRecording) -> dict[str, str]:
        return super()._named(recording) | {"run": recording.run or "none"}
