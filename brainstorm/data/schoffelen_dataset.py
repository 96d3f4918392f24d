"""MOUS under its published name (alias of `megxl.corpora.mous` and `megxl.data`)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from brainstorm.data._published import CACHE
from brainstorm.data._windows import PublishedWindows
from megxl.store.entry import StoredRecording


class SchoffelenMEGDataset(PublishedWindows):
    """Segments of MOUS recordings, which have no sessions: after the subjects come the tasks."""

    corpus = "mous"
    label = "all_channels"
    levels = ("subjects", "tasks")

    def __init__(
        self,
        data_root: str | Path,
        segment_length: float = 150.0,
        cache_dir: str | Path = CACHE,
        subjects: Sequence[str] | None = None,
        tasks: Sequence[str] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(data_root, segment_length, cache_dir, subjects, tasks=tasks, **options)

    def _named(self, recording: StoredRecording) -> dict[str, str]:
        run = (recording.run or "none").removeprefix("run-")
        session = "none" if recording.run is None else f"run{run}"
        return super()._named(recording) | {"session": session, "run": run}
