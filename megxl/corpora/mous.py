"""The MOUS corpus: Dutch sentences and word lists, heard or read."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from megxl.corpora.corpus import Corpus, RecordingFile, Selection, Split, Word, WordTable
from megxl.corpora.event_words import read_words, seconds
from megxl.corpora.layouts import find_recordings
from megxl.corpora.names import beside
from megxl.corpora.tables import MalformedRowError, Row

if TYPE_CHECKING:
    import mne

LEFT_OUT = frozenset({"MLC11", "MLF62", "MLT37", "MRF66", "MRO52"})
"""Of the 275 gradiometers, those that the published corpus is used without; 270 remain."""

# Trigger values of shown words: 1, 2 sentences with a relative clause, 5, 6 without one; 3, 4 and 7, 8 the word lists
# made of them; even values are target words. The paper lists trigger values in its Table 7; another public reader of
# the visual task takes these eight in the same way.
_SENTENCE_CODES = frozenset("1256")


@dataclass(frozen=True)
class MOUS(Corpus):
    """Some 200 people, half of them listening (sub-A), half reading (sub-V), CTF 275 (Schoffelen et al. 2019).

    Readers and rest are taken if their tasks are asked for. The words of readers stand in the release's event tables.
    Of what listeners heard these give the start of each sound, of its first word and of its target word (the paper's
    Table 3), not of all words: listeners have no words here.
    """

    name: ClassVar[str] = "mous"
    citation: ClassVar[str] = (
        "Schoffelen, Oostenveld, Lam, Uddén, Hultén and Hagoort 2019, A 204-subject multimodal neuroimaging dataset to "
        "study language processing, Scientific Data 6, 17, doi:10.1038/s41597-019-0020-y"
    )
    licence: ClassVar[str] = "Radboud University data use agreement RU-DI-HD-1.0 (on registration: https://data.ru.nl)"
    tasks: ClassVar[tuple[str, ...]] = ("auditory",)
    layout: ClassVar[str] = "Looked for: sub-*/meg/sub-*_task-*_meg.ds."
    splits: ClassVar[Mapping[str, Split]] = {
        "published-validation": Split(
            train=Selection(),
            validation=Selection(subjects=("sub-A2120", "sub-A2121", "sub-A2122")),
            source="The subjects that MEG-XL's pre-training was monitored on; here they are left out of training.",
        )
    }

    def recordings(self, root: str | Path) -> list[RecordingFile]:
        """Find the recordings of all tasks."""
        return find_recordings(self.name, root, "sub-*/meg/*_meg.ds")

    def channels(self, raw: "mne.io.BaseRaw") -> list[str]:
        """Name the gradiometers without the five that are left out; `MLC11-1706` counts as `MLC11`."""
        sensors = [(name, name.partition("-")[0]) for name in super().channels(raw)]
        return [name for name, place in sensors if place.startswith("M") and place not in LEFT_OUT]

    def events(self, file: RecordingFile) -> Path:
        """Say where the table of events is."""
        return beside(file.path, "_events.tsv")

    def words(self, file: RecordingFile) -> WordTable:
        """Read the words of a reader, with ``condition`` "sentence" or "word_list"; a listener has none."""
        if file.task != "visual":
            return WordTable(notes=("The release of MOUS does not time all words that were heard.",))
        return read_words(self.events(file), _shown_word, ("onset", "type", "value"))


def _shown_word(row: Row) -> Word | None:
    """Read a row like ``Picture``, ``5 gemene 300``: code of the condition, word, milliseconds."""
    value = row["value"].strip()
    if row["type"] != "Picture" or not re.match(r"[1-8]\s", value) or re.fullmatch(r"[1-8]\s+\d+", value):
        return None  # blocks, fixations, questions; the end of a sentence has a code and no word
    match = re.fullmatch(r"([1-8])\s+(\S+)\s+(\d+)", value)
    if match is None:
        raise MalformedRowError(f"the value is {value!r}")
    condition = "sentence" if match[1] in _SENTENCE_CODES else "word_list"
    return Word(
        text=match[2],
        onset_s=seconds(row, "onset"),
        duration_s=int(match[3]) / 1000,
        labels={"condition": condition},
    )
