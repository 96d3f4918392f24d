"""Less data on purpose: some recordings of many, by number, proportion or hours; less is always a part of more."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from megxl.data.seeds import seed_of
from megxl.errors import InputError
from megxl.store.entry import StoredRecording


def subsample(
    recordings: Sequence[StoredRecording],
    *,
    seed: int,
    number: int | None = None,
    proportion: float | None = None,
    hours: float | None = None,
    per_corpus: bool = False,
) -> list[StoredRecording]:
    """Choose recordings; with one seed, less is always a part of more, whichever way the amount is given.

    Parameters
    ----------
    recordings : sequence of StoredRecording
    seed : int
        Who comes first depends on it and on the recordings' keys.
    number, proportion, hours : int or float
        How much; one of the three. A proportion is rounded, at least one recording stays. Hours are reached by the last
        recording that is taken, which may go beyond them.
    per_corpus : bool
        The amount of each corpus instead of all together.

    Returns
    -------
    list of StoredRecording
        In the order in which they were given.

    Raises
    ------
    InputError
        None or several amounts, or more than there is.
    """
    amounts = {"number": number, "proportion": proportion, "hours": hours}
    given = [name for name, value in amounts.items() if value is not None]
    if len(given) != 1 or not recordings:
        raise InputError(
            "An amount above 0 is given by one of number, proportion and hours, here by "
            f"{' and '.join(given) or 'none'} (of {len(recordings)} recordings)."
        )
    _refuse_amount(given[0], amounts[given[0]])
    chosen: set[str] = set()
    for pool in _pools(recordings, per_corpus):
        ranked = sorted(pool, key=lambda recording: seed_of("subsample", seed, recording.key))
        if hours is not None:
            count = _count_of_hours(ranked, hours)
        elif proportion is not None:
            count = max(1, round(proportion * len(pool)))
        else:
            count = number or 0
        if not 0 < count <= len(pool):
            raise InputError(
                f"{given[0]} = {amounts[given[0]]}: there are {len(pool)} recordings"
                f"{f' of {pool[0].corpus}' if per_corpus else ''} to choose from."
            )
        chosen |= {recording.key for recording in ranked[:count]}
    return [recording for recording in recordings if recording.key in chosen]


def published_subsample(
    recordings: Sequence[StoredRecording], proportion: float, *, seed: int
) -> list[StoredRecording]:
    """Choose as the published code does: ``RandomState(seed).choice`` of ``max(1, int(proportion * N))``.

    Parameters
    ----------
    recordings : sequence of StoredRecording
        Of all corpora together, in the order of the training, without those shorter than a window.
    proportion : float
        Above 0, at most 1.
    seed : int
        The sampler's.
    """
    if not 0 < proportion <= 1:
        raise InputError(f"proportion = {proportion}; allowed: above 0, at most 1.")
    count = max(1, int(proportion * len(recordings)))
    places = np.random.RandomState(seed).choice(len(recordings), count, replace=False)
    return [recordings[place] for place in sorted(places.tolist())]


def _refuse_amount(name: str, value: Any) -> None:
    whole = name == "number"
    known = isinstance(value, (int, np.integer) if whole else (int, float, np.integer, np.floating))
    if isinstance(value, bool) or not known or not 0 < value < float("inf"):
        raise InputError(f"{name} = {value!r}; allowed: a {'whole ' if whole else ''}number above 0.")


def _pools(recordings: Sequence[StoredRecording], per_corpus: bool) -> list[list[StoredRecording]]:
    if not per_corpus:
        return [list(recordings)]
    corpora = dict.fromkeys(recording.corpus for recording in recordings)
    return [[recording for recording in recordings if recording.corpus == corpus] for corpus in corpora]


def _count_of_hours(ranked: Sequence[StoredRecording], hours: float) -> int:
    reached_s = np.cumsum([recording.duration_s for recording in ranked])
    if reached_s[-1] < hours * 3600 - 1e-6:
        raise InputError(f"hours = {hours}: the {len(ranked)} recordings last {reached_s[-1] / 3600:.3f} h.")
    return int(np.searchsorted(reached_s, hours * 3600 - 1e-6)) + 1
