"""The OMEGA corpus: resting state."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from megxl.corpora.corpus import Corpus, RecordingFile
from megxl.corpora.layouts import find_recordings, warn_of

if TYPE_CHECKING:
    import mne


@dataclass(frozen=True)
class OMEGA(Corpus):
    """Volunteers and patients at rest, CTF 275 (Niso et al. 2016)."""

    name: ClassVar[str] = "omega"
    citation: ClassVar[str] = (
        "Niso et al. 2016, OMEGA: The Open MEG Archive, NeuroImage 124, 1182-1187, doi:10.1016/j.neuroimage.2015.04.028"
    )
    licence: ClassVar[str] = "OMEGA data use agreement (on registration: https://www.mcgill.ca/bic/omega-registration)"
    layout: ClassVar[str] = "Looked for: sub-*/ses-*/meg/sub-*_ses-*_task-*_run-*_meg.ds."

    def recordings(self, root: str | Path) -> list[RecordingFile]:
        """Find the recordings; noise is none.

        A name without a run is taken where it is the only one of its session and task. Beside numbered runs it may be
        a copy of one of them or all in one; it is then left out, and the log says so.
        """
        found = find_recordings(self.name, root, "sub-*/ses-*/meg/*_meg.ds", needs=("sub", "ses", "task"))
        alike = Counter((file.subject, file.session, file.task) for file in found)
        doubtful = [file for file in found if file.run is None and alike[file.subject, file.session, file.task] > 1]
        warn_of(self.name, [file.path for file in doubtful], "the name has no run and others of the session have one")
        return [file for file in found if file not in doubtful]

    def channels(self, raw: "mne.io.BaseRaw") -> list[str]:
        """Name the gradiometers of the helmet; references begin with other letters."""
        return [name for name in super().channels(raw) if name.startswith("M")]
