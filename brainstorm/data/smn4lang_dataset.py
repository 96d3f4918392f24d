"""SMN4Lang under its published name (alias of `megxl.corpora.smn4lang` and `megxl.data`)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from brainstorm.data._published import CACHE
from brainstorm.data._windows import PublishedWindows
from megxl.store.entry import StoredRecording


class SMN4LangMEGDataset(PublishedWindows):
    """Segments of SMN4Lang recordings; runs are chosen in the place of sessions, and told as the session."""

    corpus = "smn4lang"
    levels = ("subjects", "runs", "tasks")

    def __init__(
        self,
        data_root: str | Path,
        segment_length: float = 150.0,
        cache_dir: str | Path = CACHE,
        subjects: Sequence[str] | None = None,
        runs: Sequence[str] | None = None,
        tasks: Sequence[str] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(data_root, segment_length, cache_dir, subjects, tasks=tasks, runs=runs, **options)

    def _named(self, recording: StoredRecording) -> dict[str, str]:
        return super()._named(recording) | {"session": recording.run or ""}
