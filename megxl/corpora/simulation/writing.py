"""A whole simulated corpus: subjects times sessions in one format, and the ground truth beside them."""

import difflib
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from megxl.corpora.simulation import FOLDER
from megxl.corpora.simulation.arrays import NEUROMAG, SensorSystem, sensor_system
from megxl.corpora.simulation.formats import FORMATS, Format
from megxl.corpora.simulation.recipe import Recipe
from megxl.corpora.simulation.recording import SimulatedRaw
from megxl.corpora.simulation.response import hashed_meanings
from megxl.corpora.simulation.story import vocabulary, words_heard
from megxl.corpora.simulation.template import WHAT, template_system
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
    template: Path | None = None,
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
    corpus : {"libribrain", "smn4lang", "armeni", "meg_masc", "bids", "recipe"}
        Format; sessions of smn4lang are its runs, those of meg_masc the two sessions of each of its tasks.
    recipe : Recipe
        Of the first recording of the first subject; see `recipe_for`.
    template : Path, optional
        For armeni and meg_masc, the real recording that `recipe_for` was given: its sensors and header are used.
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
        A format, number or template that is not allowed, something in the way, too little space.
    """
    given = _given_system(corpus, template)
    _check(corpus, recipe, subjects, sessions, given)
    free_to_write(out, overwrite=overwrite, ours=is_simulation)
    system = given or sensor_system(recipe.system, recipe.sfreq_hz)
    n_sensors = len(system.kinds_C)
    _refuse_if_full(out, subjects * sessions * FORMATS[corpus].bytes_for(n_sensors, recipe.n_samples))
    recipes = [
        replace(recipe, subject=recipe.subject + subject, session=recipe.session + session)
        for subject in range(subjects)
        for session in range(sessions)
    ]
    with placed(out, folder=True) as root:
        meanings = hashed_meanings(vocabulary()) if meanings is None else meanings
        paths = _fill(root, corpus, recipes, meanings, system, advance)
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
    system: SensorSystem,
    advance: Callable[[int, int], None] | None,
) -> list[Path]:
    """Write all recordings and what made them; return their paths below the root."""
    (root / FOLDER).mkdir()
    write_words(root / FOLDER, meanings)
    paths = []
    for recipe in recipes:
        raw = SimulatedRaw(recipe, meanings, system=system)
        paths.append(FORMATS[corpus].write(root, raw).relative_to(root))
        if recipe.session == recipes[0].session:
            write_listener(root / FOLDER, raw.simulator)
        if recipe.subject == recipes[0].subject:
            write_session(root / FOLDER, raw.simulator)
        if advance is not None:
            advance(len(paths), len(recipes))
    write_facts(root / FOLDER, corpus, dict(zip(paths, recipes, strict=True)))
    return paths


def recipe_for(corpus: str, *, template: Path | None = None, **options: object) -> Recipe:
    """Make a recipe with the sampling rate and high-pass edge of a corpus, where nothing else is said.

    Parameters
    ----------
    corpus : str
        Format.
    template : Path, optional
        The real recording whose sensors and rate are taken, for armeni (CTF) and meg_masc (KIT).
    **options
        Fields of `Recipe`.

    Raises
    ------
    InputError
        An unknown corpus, a template that is missing or does not fit, a value out of its limits.
    """
    form, system = _format(corpus), _given_system(corpus, template)
    defaults = Recipe(highpass_hz=form.highpass_hz, **_own(form, system))
    return replace(defaults, **options)


def _own(form: Format, system: SensorSystem | None) -> dict[str, Any]:
    """Rate and name of the sensors that recordings of a format have."""
    if system is None or system.template is None:
        return {"sfreq_hz": form.sfreq_hz, "system": NEUROMAG}
    return {"sfreq_hz": float(system.info["sfreq"]), "system": system.template.name}


def _given_system(corpus: str, template: Path | None) -> SensorSystem | None:
    """Sensors of the template, for the formats that need one."""
    kind = _format(corpus).template
    if kind is None and template is not None:
        raise InputError(f"Recordings of {corpus} are written without a template; leave {template.name} out.")
    if kind is None:
        return None
    if template is None:
        raise InputError(
            f"Recordings of {corpus} cannot be written from nothing: give {WHAT[kind]} whose sensors they get, by "
            "--template (in Python: template=...)."
        )
    return template_system(template, kind)


def _format(corpus: str) -> Format:
    if corpus not in FORMATS:
        near = difflib.get_close_matches(corpus, FORMATS, n=1)
        hint = f"did you mean {near[0]!r}? Allowed" if near else "allowed"
        raise InputError(f"Nothing can be simulated as {corpus!r}; {hint}: {', '.join(FORMATS)}.")
    return FORMATS[corpus]


def _check(corpus: str, recipe: Recipe, subjects: int, sessions: int, given: SensorSystem | None) -> None:
    form = _format(corpus)
    own = _own(form, given)
    if subjects < 1 or sessions < 1:
        raise InputError(f"{subjects} subjects and {sessions} sessions: at least one of each is needed.")
    if not words_heard(recipe):
        raise InputError(f"minutes = {recipe.minutes:g} is too short for a single word; at least 0.1 are needed.")
    if form.most_sessions and recipe.session + sessions - 1 > form.most_sessions:
        raise InputError(f"{sessions} sessions: {corpus} has place for {form.most_sessions} recordings of a listener.")
    if recipe.system != own["system"] and not form.free:
        raise InputError(f"Recordings of {corpus} have the sensors of {own['system']}, not of {recipe.system}.")
    if recipe.sfreq_hz != own["sfreq_hz"] and not form.free:
        raise InputError(f"Recordings of {corpus} are at {own['sfreq_hz']:g} Hz, not at {recipe.sfreq_hz:g}.")


def _refuse_if_full(out: Path, n_bytes: int) -> None:
    free = shutil.disk_usage(out.parent).free
    if n_bytes > free:
        raise InputError(
            f"{out}: about {n_bytes / 1e6:,.0f} MB are needed and {free / 1e6:,.0f} MB are free; simulate fewer or "
            "shorter recordings, or as --corpus recipe, which takes no space."
        )
