"""Splits of word groups whose parts share no signal, and no text unless asked for: by story, block or subject."""

import math
import random
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from megxl.data.group_splits import PUBLISHED_RATIOS, GroupSplit, checked_ratios
from megxl.data.groups import WordGroup, WordGroupSet
from megxl.data.recording_split import PARTS, unit_of
from megxl.data.same_text import units_by_block, units_by_story
from megxl.data.strict_checks import SMALLEST_GAP_S, check_split
from megxl.errors import InputError

STRADDLING = "whose text belongs to more than one part"
DIVIDED = "whose subject and text belong to different parts"
NEAR = "nearer to another part than the gap"
DEALS = 64
"""So many ways to deal units out are drawn; the one nearest to the ratios is taken."""


@dataclass(frozen=True, kw_only=True)
class Strict:
    """A strict rule; `split_seed` is apart from the seed of the training, so that a test set outlives a run."""

    by: Literal["story", "block", "subject"] = "block"
    """What stays whole: a story (`Word.story`, in all recordings of the corpus; a recording where it names none), a
    stretch of `block_s` of a recording, or all recordings of a subject."""
    ratios: tuple[float, float, float] = PUBLISHED_RATIOS
    """Shares of train, validation and test that are aimed at, in groups."""
    split_seed: int = 42
    """Seed of who goes where."""
    gap_s: float = SMALLEST_GAP_S
    """Seconds of a recording between any two parts; what lies nearer is left out, of training first."""
    block_s: float = 300.0
    """Length of a block."""
    same_text_together: bool = True
    """Text that several subjects or sessions heard stays in one part."""

    def __post_init__(self) -> None:
        if self.by not in ("story", "block", "subject"):
            raise InputError(f"by = {self.by!r}; allowed: story, block, subject.")
        object.__setattr__(self, "ratios", checked_ratios(self.ratios))
        if isinstance(self.split_seed, bool) or not isinstance(self.split_seed, int):
            raise InputError(f"split_seed = {self.split_seed!r}; allowed: a whole number.")
        if not SMALLEST_GAP_S <= self.gap_s < math.inf:
            raise InputError(f"gap_s = {self.gap_s}; allowed: at least {SMALLEST_GAP_S:g} s, the window of a word.")
        if not self.block_s > 2 * self.gap_s:
            raise InputError(f"block_s = {self.block_s}; allowed: above twice the gap ({2 * self.gap_s:g} s).")


def strict_split(groups: WordGroupSet, rule: Strict | None = None) -> GroupSplit:
    """Split without shared signal or text.

    Every unit (story, block, subject) goes to one part; of many seeded deals the one nearest to the ratios is taken.
    With `same_text_together` a text belongs to the unit in which it occurs first, in whatever recording it is heard
    again (`megxl.data.same_text`); a group whose text lies in two parts is left out. Split by subject, subjects and
    texts (stories) are both dealt out, and a group stays where the two agree.

    Returns
    -------
    GroupSplit
        Its notes tell of parts with more than twice, or less than half, of what was wanted.

    Raises
    ------
    InputError
        A part that is wanted gets no group: there are too few units, or all is left out.
    """
    rule = rule or Strict()
    units = _units(groups, rule)
    parts = _parts_by_units(units, rule)
    left_out = {STRADDLING: sum(part is None for part in parts)}
    if rule.by == "subject" and rule.same_text_together:
        subjects = _parts_by_units([{_subject(groups, group)} for group in groups], rule)
        agreed = [part if part == subject else None for part, subject in zip(parts, subjects, strict=True)]
        left_out[DIVIDED] = sum(part is None for part in agreed) - left_out[STRADDLING]
        parts = agreed
    near = _too_near(groups, parts, rule.gap_s)
    left_out[NEAR] = len(near)
    chosen = {part: [i for i, own in enumerate(parts) if own == part and i not in near] for part in PARTS}
    source = f"Strict split by {rule.by}, seed {rule.split_seed}, {rule.gap_s:g} s apart"
    split = GroupSplit.of(chosen, source=source, left_out=left_out, notes=_far_from_ratios(chosen, rule))
    for part, ratio in zip(PARTS, rule.ratios, strict=True):
        if ratio > 0 and not chosen[part]:
            n_units = len(set().union(*units))
            whole = f"{n_units} by block of {rule.block_s:g} s" if rule.by == "block" else f"{n_units} by {rule.by}"
            raise InputError(
                f"No group is left for {part} ({replace(split, notes=()).summary}) There are too few of what stays "
                f"whole ({whole}) in {len(groups.recordings)} recordings: choose by='block' with a smaller "
                "block_s, or other ratios."
            )
    together = rule.same_text_together
    check_split(
        groups,
        split,
        gap_s=rule.gap_s,
        text=together,
        subjects=rule.by == "subject",
        stories=together and rule.by != "block",
    )
    return split


def _far_from_ratios(chosen: Mapping[str, Sequence[int]], rule: Strict) -> tuple[str, ...]:
    total = sum(map(len, chosen.values()))
    shares = {part: len(indices) / total if total else 0.0 for part, indices in chosen.items()}
    return tuple(
        f"{part} has {shares[part]:.1%} of the groups that are left, wanted were {ratio:.1%}: what stays whole is too "
        "large or too different in size"
        for part, ratio in zip(PARTS, rule.ratios, strict=True)
        if not ratio / 2 <= shares[part] <= 2 * ratio
    )


def _units(groups: WordGroupSet, rule: Strict) -> list[set[Hashable]]:
    """Name what each group belongs to, and must not be parted from."""
    if rule.same_text_together:
        return units_by_block(groups, rule.block_s) if rule.by == "block" else units_by_story(groups)
    if rule.by == "subject":
        return [{_subject(groups, group)} for group in groups]
    units: list[set[Hashable]] = []
    for group in groups:
        recording = groups.recordings[group.recording]
        if rule.by == "block":
            units.append({(recording.key, int(group.start / recording.sfreq_hz // rule.block_s))})
        else:
            units.append({(recording.key, story) for story in {word.story or "" for word in group.words}})
    return units


def _parts_by_units(units: Sequence[set[Hashable]], rule: Strict) -> list[str | None]:
    """Part of each group by the parts of its units; None where these are several."""
    part_of = _dealt(Counter(unit for own in units for unit in own), rule)
    parts = [{part_of[unit] for unit in own} for own in units]
    return [next(iter(own)) if len(own) == 1 else None for own in parts]


def _dealt(sizes: Mapping[Hashable, int], rule: Strict) -> dict[Hashable, str]:
    """Deal units out several times, each time in another seeded order; the nearest to the ratios counts."""
    units = sorted(sizes, key=repr)
    wanted = {part: ratio * sum(sizes.values()) for part, ratio in zip(PARTS, rule.ratios, strict=True) if ratio > 0}
    rng = random.Random(rule.split_seed)
    best: tuple[float, dict[Hashable, str]] = math.inf, {}
    for _ in range(DEALS):
        rng.shuffle(units)
        part_of, have = _deal(units, sizes, wanted)
        distance = max(abs(math.log(max(have[part], 1e-9) / wanted[part])) for part in wanted) if units else 0.0
        if distance < best[0]:
            best = distance, part_of
    return best[1]


def _deal(
    units: Sequence[Hashable], sizes: Mapping[Hashable, int], wanted: Mapping[str, float]
) -> tuple[dict[Hashable, str], dict[str, int]]:
    """Give each unit to the part that lacks most; every wanted part gets one first."""
    have, part_of = dict.fromkeys(wanted, 0), {}
    empty = list(wanted)
    for unit in units:
        part = empty.pop() if empty else max(wanted, key=lambda part: wanted[part] - have[part])
        part_of[unit] = part
        have[part] += sizes[unit]
    return part_of, have


def _too_near(groups: WordGroupSet, parts: Sequence[str | None], gap_s: float) -> set[int]:
    """Groups to leave out so that parts lie apart; where training meets another part, training pays."""
    dropped: set[int] = set()
    for indices in _by_recording(groups, parts):
        gap = gap_s * groups.recordings[groups.groups[indices[0]].recording].sfreq_hz
        kept: list[int] = []
        for index in sorted(indices, key=lambda index: groups.groups[index].start):
            start = groups.groups[index].start
            near = [i for i in kept if parts[i] != parts[index] and start - groups.groups[i].stop < gap]
            if all(parts[i] == "train" for i in near):
                dropped.update(near)
                kept.append(index)
            else:
                dropped.add(index)
    return dropped


def _by_recording(groups: WordGroupSet, parts: Sequence[str | None]) -> list[list[int]]:
    found: dict[int, list[int]] = {}
    for index, group in enumerate(groups):
        if parts[index] is not None:
            found.setdefault(group.recording, []).append(index)
    return list(found.values())


def _subject(groups: WordGroupSet, group: WordGroup) -> str:
    return unit_of(groups.recordings[group.recording], "subject")
