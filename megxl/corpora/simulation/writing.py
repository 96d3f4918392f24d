"""A whole simulated corpus: subjects times sessions in one format, and the ground truth beside them."""

import difflib
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from megxl.corpora.simulation import FOLDER
from megxl.corpora.simulation.arrays import NEUROMAG, sensor_system
from megxl.corpora.simulation.formats import FORMATS, Format
from megxl.corpora.simulation.recipe import Recipe
from megxl.corpora.simulation.recording import SimulatedRaw
from megxl.corpora.simulation.response import hashed_meanings
from megxl.corpora.simulation.story import vocabulary, words_heard
from megxl.corpora.simulation.truth import (
    is_simulation,
    write_facts,
    write_listener,
    write_session,
    write_words,
)
from megxl.errors import InputError
from megxl.placing import free_to_write, placed


@dataclass(frozen=True, kw_only=True)
class Written:
    """What a simulation wrote.

    Parameters
    ----------
    recordings : list of Path
        The paths by which they are opened.
    hours : float
        Of all recordings together.
    words : int
        How many are heard in all recordings.
    sensors : int
        Of each recording.
    bytes : int
        On disk.
    """

    recordings: list[Path]
    hours: float
    words: int
    sensors: int
    bytes: int


def write_corpus(
    out: Path,
    corpus: str,
    recipe: Recipe,
    *,
    subjects: int = 1,
    sessions: int = 1,
    meanings: Mapping[str, np.ndarray] | None = None,
    overwrite: bool = False,
    advance: Callable[[int, int], None] | None = None,
) -> Written:
    """Write recordings of several listeners and sessions as a corpus, with their ground truth.

    On one machine, the same recipe gives the same files byte by byte.

    Parameters
    ----------
    out : Path
        Root of the new corpus. It appears when all is written.
    corpus : {"libribrain", "smn4lang", "bids", "recipe"}
        Format; sessions of smn4lang are its runs.
    recipe : Recipe
        Of the first recording of the first subject; see `recipe_for`.
    subjects, sessions : int
        How many; they have the numbers from the recipe's on.
    meanings : mapping, optional
        Meaning vector of each word of the story; by default those of `hashed_meanings`.
    overwrite : bool
        Whether an earlier simulation of that name may be replaced.
    advance : callable, optional
        Called with the number of recordings done and of all.

    Raises
    ------
    InputError
        A format or number that is not allowed, something in the way, too little space.
    """
    _check(corpus, recipe, subjects, sessions)
    free_to_write(out, overwrite=overwrite, ours=is_simulation)
    n_sensors = len(sensor_system(recipe.system, recipe.sfreq_hz).kinds_C)
    _refuse_if_full(out, subjects * sessions * FORMATS[corpus].bytes_for(n_sensors, recipe.n_samples))
    recipes = [
        replace(recipe, subject=recipe.subject + subject, session=recipe.session + session)
        for subject in range(subjects)
        for session in range(sessions)
    ]
    with placed(out, folder=True) as root:
        paths = _fill(root, corpus, recipes, hashed_meanings(vocabulary()) if meanings is None else meanings, advance)
        n_bytes = sum(file.stat().st_size for file in root.rglob("*") if file.is_file())
    return Written(
        recordings=[out / path for path in paths],
        hours=sum(one.duration_s for one in recipes) / 3600,
        words=sum(len(words_heard(one)) for one in recipes),
        sensors=n_sensors,
        bytes=n_bytes,
    )


def _fill(
    root: Path,
    corpus: str,
    recipes: Sequence[Recipe],
    meanings: Mapping[str, np.ndarray],
    advance: Callable[[int, int], None] | None,
) -> list[Path]:
    """Write all recordings and what made them; return their paths below the root."""
    (root / FOLDER).mkdir()
    write_words(root / FOLDER, meanings)
    paths = []
    for recipe in recipes:
        raw = SimulatedRaw(recipe, meanings)
        paths.append(FORMATS[corpus].write(root, raw).relative_to(root))
        if recipe.session == recipes[0].session:
            write_listener(root / FOLDER, raw.simulator)
        if recipe.subject == recipes[0].subject:
            write_session(root / FOLDER, raw.simulator)
        if advance is not None:
            advance(len(paths), len(recipes))
    write_facts(root / FOLDER, corpus, dict(zip(paths, recipes, strict=True)))
    return paths


def recipe_for(corpus: str, **options: object) -> Recipe:
    """Make a recipe with the sampling rate and high-pass edge of a corpus, where nothing else is said.

    Raises
    ------
    InputError
        An unknown corpus, a value out of its limits.
    """
    form = _format(corpus)
    defaults = Recipe(sfreq_hz=form.sfreq_hz, highpass_hz=form.highpass_hz)
    return replace(defaults, **options)


def _format(corpus: str) -> Format:
    if corpus not in FORMATS:
        near = difflib.get_close_matches(corpus, FORMATS, n=1)
        hint = f"did you mean {near[0]!r}? Allowed" if near else "allowed"
        raise InputError(f"Nothing can be simulated as {corpus!r}; {hint}: {', '.join(FORMATS)}.")
    return FORMATS[corpus]


def _check(corpus: str, recipe: Recipe, subjects: int, sessions: int) -> None:
    form = _format(corpus)
    if subjects < 1 or sessions < 1:
        raise InputError(f"{subjects} subjects and {sessions} sessions: at least one of each is needed.")
    if not words_heard(recipe):
        raise InputError(f"minutes = {recipe.minutes:g} is too short for a single word; at least 0.1 are needed.")
    if recipe.system != NEUROMAG and not form.free:
        raise InputError(f"Recordings of {corpus} have the sensors of {NEUROMAG}, not of {recipe.system}.")
    if recipe.sfreq_hz != form.sfreq_hz and not form.free:
        raise InputError(f"Recordings of {corpus} are at {form.sfreq_hz:g} Hz, not at {recipe.sfreq_hz:g}.")


def _refuse_if_full(out: Path, n_bytes: int) -> None:
    free = shutil.disk_usage(out.parent).free
    if n_bytes > free:
        raise InputError(
            f"{out}: about {n_bytes / 1e6:,.0f} MB are needed and {free / 1e6:,.0f} MB are free; simulate fewer or "
            "shorter recordings, or as --corpus recipe, which takes no space."
        )
