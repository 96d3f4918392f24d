"""How much signal groups of words take, counting each instant once, and less of it on purpose."""

from collections.abc import Iterable, Sequence

import numpy as np

from megxl.data.groups import WordGroup, WordGroupSet
from megxl.data.seeds import seed_of
from megxl.errors import InputError


class Covered:
    """Which samples of recordings are taken by some groups; windows of neighbours share many."""

    def __init__(self, groups: WordGroupSet) -> None:
        self._recordings = groups.recordings
        self._whole = groups.grouping.layout == "contiguous"
        self._taken: dict[int, np.ndarray] = {}
        self.seconds = 0.0
        """Distinct signal."""

    def add(self, group: WordGroup) -> None:
        """Take the signal of a group too."""
        recording = self._recordings[group.recording]
        taken_T = self._taken.setdefault(group.recording, np.zeros(recording.n_samples, dtype=bool))
        windows = [(group.start, group.stop)] if self._whole else zip(group.starts, group.stops, strict=True)
        for start, stop in windows:
            self.seconds += int((~taken_T[start:stop]).sum()) / recording.sfreq_hz
            taken_T[start:stop] = True


def distinct_hours(groups: WordGroupSet, indices: Iterable[int]) -> float:
    """Hours of signal that groups take of their recordings, each instant counted once."""
    covered = Covered(groups)
    for index in indices:
        covered.add(groups.groups[index])
    return covered.seconds / 3600


def first_hours(groups: WordGroupSet, indices: Sequence[int], hours: float, *, seed: int) -> list[int]:
    """Choose groups until their distinct signal reaches some hours; with one seed, less is always a part of more.

    Parameters
    ----------
    groups : WordGroupSet
    indices : sequence of int
        Groups to choose from.
    hours : float
        Reached by the last group that is taken, which may go beyond them by some seconds.
    seed : int
        With the names of recordings it decides which groups come first.

    Raises
    ------
    InputError
        More hours than there are.
    """
    there = distinct_hours(groups, indices)
    if hours > there:
        raise InputError(
            f"data.train_hours = {hours:g}: the {len(indices)} training groups hold {there:.4g} hours of signal; "
            "allowed: at most that, or null for all."
        )

    def rank(index: int) -> int:
        group = groups.groups[index]
        return seed_of("train hours", seed, groups.recordings[group.recording].key, group.number)

    covered, chosen = Covered(groups), []
    for index in sorted(indices, key=rank):
        if covered.seconds >= 3600 * hours:
            break
        covered.add(groups.groups[index])
        chosen.append(index)
    return chosen
