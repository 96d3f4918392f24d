"""Simulated recordings as a corpus: recipes of a few lines on disk, samples that are made when they are read."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from megxl.corpora.corpus import Corpus, RecordingFile, Word, WordTable
from megxl.corpora.layouts import find_recordings
from megxl.errors import InputError

if TYPE_CHECKING:
    import mne
    import numpy as np

    from megxl.corpora.simulation.recipe import Recipe


@dataclass(frozen=True)
class Simulated(Corpus):
    """An invented story and brains that answer to its words, as ``megxl simulate OUT --corpus recipe`` describes them.

    The vectors on which answers depend are those of ``ground_truth/words.npz`` below the root.
    """

    name: ClassVar[str] = "simulated"
    citation: ClassVar[str] = "Made by megxl simulate; nobody was measured."
    licence: ClassVar[str] = "MIT"
    layout: ClassVar[str] = "Looked for: sub-*_ses-*_task-*_recipe.json."

    def recordings(self, root: str | Path) -> list[RecordingFile]:
        """Find the recipes."""
        return find_recordings(self.name, root, "sub-*_recipe.json", needs=("sub", "ses", "task"))

    def read(self, file: RecordingFile) -> "mne.io.BaseRaw":
        """Open a recording; its samples are made when they are read."""
        from megxl.corpora.simulation.recording import SimulatedRaw

        return SimulatedRaw(_recipe(file.path), _meanings(file.root), path=file.path.absolute())

    def words(self, file: RecordingFile) -> WordTable:
        """Say which words are heard; a story is a chapter."""
        from megxl.corpora.simulation.story import words_heard

        return WordTable(
            words=tuple(
                Word(
                    text=one.word.text,
                    onset_s=one.onset_s,
                    duration_s=one.word.duration_s,
                    sentence=one.word.sentence,
                    story=one.word.chapter,
                )
                for one in words_heard(_recipe(file.path))
            )
        )

    def sources(self, file: RecordingFile) -> list[Path]:
        """Recipe and meaning vectors."""
        vectors = _vectors(file.root)
        return super().sources(file) + ([vectors] if vectors.is_file() else [])


def make_recording(seconds: float, seed: int = 0) -> "mne.io.RawArray":
    """Make a recording of the given length, with its words as annotations; the same seed gives the same recording.

    Raises
    ------
    InputError
        A length or seed that `Recipe` does not take.
    """
    import mne
    import numpy as np

    from megxl.corpora.simulation.recipe import Recipe
    from megxl.corpora.simulation.recording import simulated_raw

    made = simulated_raw(Recipe(minutes=seconds / 60, seed=seed))
    raw = mne.io.RawArray(np.asarray(made.get_data()), made.info, verbose="ERROR")
    heard = made.simulator.heard
    onsets_s, durations_s = [one.onset_s for one in heard], [one.word.duration_s for one in heard]
    raw.set_annotations(mne.Annotations(onsets_s, durations_s, [one.word.text for one in heard]))
    return raw


def _recipe(path: Path) -> "Recipe":
    from megxl.corpora.simulation.recipe import Recipe

    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise InputError(f"{path.name} cannot be read as a recipe ({error}).") from error
    if not isinstance(values, dict):
        raise InputError(f"{path.name} is no recipe of a simulated recording.")
    try:
        return Recipe.from_json(values)
    except InputError as error:
        raise InputError(f"{path.name}: {error}") from error


def _vectors(root: Path) -> Path:
    from megxl.corpora.simulation import FOLDER
    from megxl.corpora.simulation.truth import WORDS

    return root / FOLDER / WORDS


def _meanings(root: Path) -> "dict[str, np.ndarray] | None":
    from megxl.corpora.simulation.truth import read_meanings

    path = _vectors(root)
    return read_meanings(path) if path.is_file() else None
