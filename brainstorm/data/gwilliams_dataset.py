"""MEG-MASC under its published name (alias of `megxl.corpora.meg_masc` and `megxl.data`)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from brainstorm.data._published import CACHE
from brainstorm.data._windows import PublishedWindows
from brainstorm.data.preprocessing import preprocess_gwilliams_recording as preprocess_gwilliams_recording
from megxl.corpora.corpus import Selection


class GwilliamsMEGDataset(PublishedWindows):
    """Segments of MEG-MASC recordings; `val_subjects` are left out."""

    corpus = "meg_masc"

    def __init__(
        self,
        data_root: str | Path,
        segment_length: float = 150.0,
        cache_dir: str | Path = CACHE,
        subjects: Sequence[str] | None = None,
        sessions: Sequence[str] | None = None,
        tasks: Sequence[str] | None = None,
        *,
        val_subjects: Sequence[str] | None = None,
        **options: Any,
    ) -> None:
        if val_subjects:
            options["without"] = Selection(subjects=tuple(val_subjects))
        super().__init__(data_root, segment_length, cache_dir, subjects, sessions, tasks, **options)
