"""The Cam-CAN corpus: rest and a sensorimotor task."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from megxl.corpora.corpus import Corpus, RecordingFile, Selection, Split
from megxl.corpora.layouts import find_recordings, warn_of

if TYPE_CHECKING:
    import mne


@dataclass(frozen=True)
class CamCAN(Corpus):
    """Some 650 adults of 18 to 88 years at rest and in a sensorimotor task, Neuromag 306 (Taylor et al. 2017).

    Parameters
    ----------
    allow_maxshield : bool
        Take raw MaxShield data as they are (the release has them both raw and MaxFiltered).
    """

    name: ClassVar[str] = "camcan"
    citation: ClassVar[str] = (
        "Taylor et al. 2017, The Cambridge Centre for Ageing and Neuroscience (Cam-CAN) data repository, NeuroImage "
        "144, 262-269, doi:10.1016/j.neuroimage.2015.09.018; Shafto et al. 2014, BMC Neurology 14, 204, "
        "doi:10.1186/s12883-014-0204-1"
    )
    licence: ClassVar[str] = "Cam-CAN data use agreement (on application: https://camcan-archive.mrc-cbu.cam.ac.uk)"
    tasks: ClassVar[tuple[str, ...]] = ("rest", "smt")
    layout: ClassVar[str] = (
        "Looked for: TASK/sub-*/ses-*/meg/sub-*_ses-*_task-TASK_meg.fif (the root is .../release005/BIDSsep)."
    )
    splits: ClassVar[Mapping[str, Split]] = {
        "published-validation": Split(
            train=Selection(),
            validation=Selection(subjects=("sub-CC110033", "sub-CC120065", "sub-CC110101")),
            source="The subjects that MEG-XL's pre-training was monitored on; here they are left out of training.",
        )
    }

    allow_maxshield: bool = False

    def recordings(self, root: str | Path) -> list[RecordingFile]:
        """Find the recordings in the folder of their own task; other folders hold derivatives."""
        found = find_recordings(self.name, root, "*/sub-*/ses-*/meg/*_meg.fif", needs=("sub", "ses", "task"))
        misplaced = [file.path for file in found if file.path.parts[-5] != file.task and _is_task(file.path.parts[-5])]
        warn_of(self.name, misplaced, "the folder is that of another task")
        return [file for file in found if file.path.parts[-5] == file.task]

    def read(self, file: RecordingFile) -> "mne.io.BaseRaw":
        """Open a recording without reading its samples."""
        from megxl.signals.reading import open_recording

        return open_recording(file.path, allow_maxshield=self.allow_maxshield)


def _is_task(folder: str) -> bool:
    return not folder.startswith(("derivatives", "emptyroom"))
