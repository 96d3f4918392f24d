"""`data.debug_mode`: one recording of a corpus trains and one validates, to see a run work in minutes."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from megxl.data.recording_split import RecordingSplit
from megxl.data.sources import CorpusSource
from megxl.store.entry import StoredRecording


@dataclass(frozen=True, kw_only=True)
class DebugSource(CorpusSource):
    """A source that takes the first recording of each part that is long enough."""

    def resolve(self, stored: Sequence[StoredRecording], least_s: float = 0.0) -> RecordingSplit:
        """Cut the parts of the split; see `CorpusSource.resolve`."""
        split = super().resolve(stored, least_s)
        short = {recording.key for recording in stored if recording.duration_s < least_s}
        train, validation = (
            tuple(key for key in keys if key not in short)[:1] for keys in (split.train, split.validation)
        )
        note = f"data.debug_mode: {len(train)} recording for training, {len(validation)} for validation."
        return replace(split, train=train, validation=validation, notes=(*split.notes, note))
