"""Who is train, validation and test among word groups by the published rules, with their leaks by name.

The strict rules, which share neither signal nor text, are in `strict_splits.py`.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from megxl.corpora.names import natural
from megxl.data.groups import WordGroupSet
from megxl.data.recording_split import PARTS, RecordingSplit, refuse_leak
from megxl.errors import InputError

PUBLISHED_RATIOS = (0.8, 0.1, 0.1)
HASHED_LEAK = (
    "neighbouring groups of a recording are told apart by a hash of their words, and their windows overlap by seconds: "
    "signal of the test words lies in training windows; where two recordings of one text are grouped one word apart, "
    "their text is on both sides."
)


@dataclass(frozen=True, kw_only=True)
class GroupSplit:
    """Groups of each part, by their index in a `WordGroupSet`."""

    train: tuple[int, ...]
    validation: tuple[int, ...]
    test: tuple[int, ...]
    source: str
    """The rule that made it, in a sentence."""
    left_out: Mapping[str, int] = field(default_factory=dict)
    """Groups that are in no part, by the reason."""
    leak: str | None = None
    """How its parts share data, if they do and that was allowed."""
    notes: tuple[str, ...] = ()
    """What else whoever uses it should know."""

    def __post_init__(self) -> None:
        places = [*self.train, *self.validation, *self.test]
        twice = len(places) - len(set(places))
        if twice and self.leak is None:
            raise InputError(f"{twice} groups are in more than one part of the split; allowed: one each.")

    @classmethod
    def of(cls, parts: Mapping[str, Sequence[int]], **told: Any) -> "GroupSplit":
        """Make one from its parts by name."""
        train, validation, test = (tuple(parts[part]) for part in PARTS)
        return cls(train=train, validation=validation, test=test, **told)

    @property
    def parts(self) -> dict[str, tuple[int, ...]]:
        """The parts by name."""
        return {part: getattr(self, part) for part in PARTS}

    @property
    def summary(self) -> str:
        """One sentence with the number of groups in each part and out of all of them."""
        sizes = ", ".join(f"{len(indices)} {part}" for part, indices in self.parts.items())
        told = "; ".join(f"{count} groups {reason}" for reason, count in self.left_out.items() if count)
        left_out = [f"Left out: {told}"] if told else []
        return " ".join(f"{said}." for said in (f"{self.source}: {sizes}", *left_out, *self.notes))


def hashed_split(
    groups: WordGroupSet,
    ratios: Sequence[float] = PUBLISHED_RATIOS,
    *,
    split_seed: int = 42,
    allow_leak: bool = False,
) -> GroupSplit:
    """Split by the published rule: a hash of a group's words and the seed decides.

    Parameters
    ----------
    groups : WordGroupSet
    ratios : sequence of three floats
        Train, validation, test.
    split_seed : int
        Salt of the hash; in the published runs it was also the seed of the training.
    allow_leak : bool
        Take the rule in spite of its leak.

    Raises
    ------
    InputError
        The leak is not allowed; ratios that are not three shares with the sum 1.
    """
    ratios = checked_ratios(ratios)
    refuse_leak(HASHED_LEAK, "The published hashed split", allow_leak)
    parts: dict[str, list[int]] = {part: [] for part in PARTS}
    for index, group in enumerate(groups):
        share = hashed_share(" ".join(group.texts), split_seed)
        part = 0 if share < ratios[0] else 1 if share < ratios[0] + ratios[1] else 2
        parts[PARTS[part]].append(index)
    source = f"Published hashed split, seed {split_seed}"
    empty = [part for part, ratio in zip(PARTS, ratios, strict=True) if ratio > 0 and not parts[part]]
    notes = tuple(f"No group fell to {part}: {len(groups)} groups are too few for a hash" for part in empty)
    return GroupSplit.of(parts, source=source, leak=HASHED_LEAK, notes=notes)


def hashed_share(text: str, split_seed: int) -> float:
    """Place of a text in [0, 1) by the published hash, in steps of a millionth."""
    digest = hashlib.sha256(f"{split_seed}:{text}".encode()).hexdigest()
    return int(digest, 16) % 1_000_000 / 1e6


def recordings_split(groups: WordGroupSet, split: RecordingSplit) -> GroupSplit:
    """Split word groups as their recordings are split: by session, by a corpus's official partitions, by subject.

    Parameters
    ----------
    groups : WordGroupSet
    split : RecordingSplit
        What `published_split`, `apply_selections` or `split_by_fraction` made of the recordings.

    Raises
    ------
    InputError
        A part that names recordings gets no group.
    """
    parts = {part: frozenset(getattr(split, part)) for part in PARTS}
    keys = [groups.recordings[group.recording].key for group in groups]
    indices = {part: [i for i, key in enumerate(keys) if key in named] for part, named in parts.items()}
    for part, named in parts.items():
        if named and not indices[part]:
            raise InputError(f"None of the {len(named)} {part} recordings (first: {min(named)}) has a word group.")
    there = {recording.key for recording in groups.recordings}
    absent = {part: sorted(named - there, key=natural) for part, named in parts.items()}
    unnamed = sum(not any(key in named for named in parts.values()) for key in keys)
    return GroupSplit.of(
        indices,
        source=split.source or "Split by recordings",
        left_out={"of recordings that the split does not name": unnamed},
        leak=split.leak,
        notes=tuple(
            f"{len(keys)} of {len(parts[part])} {part} recordings are not in the set of groups (first: {keys[0]})"
            for part, keys in absent.items()
            if keys
        ),
    )


def kept_share(train: Sequence[int], share: float, *, seed: int) -> list[int]:
    """Keep a random share of the training groups as the published `train_pct` does.

    Parameters
    ----------
    train : sequence of int
        Training groups.
    share : float
        Above 0, up to 1.
    seed : int
        Of the choice; in the published runs the seed of everything else too.

    Returns
    -------
    list of int
        In the order of the draw.

    Raises
    ------
    InputError
        A share out of its range, or of so few groups that none is left.
    """
    if not 0 < share <= 1:
        raise InputError(f"share = {share}; allowed: above 0, up to 1 (all training groups).")
    # what torch.utils.data.random_split does with the lengths [share, rest]
    number = int(share * len(train))
    if not number:
        raise InputError(f"share = {share} of {len(train)} training groups is none; allowed: at least one group.")
    order = torch.randperm(len(train), generator=torch.Generator().manual_seed(seed)).tolist()
    return [train[place] for place in order[:number]]


def checked_ratios(ratios: Sequence[float]) -> tuple[float, float, float]:
    """Return the shares of train, validation and test, or refuse them."""
    try:
        train, validation, test = map(float, ratios)
    except (TypeError, ValueError):
        train = validation = test = -1.0
    if not min(train, validation, test) >= 0 or not abs(train + validation + test - 1) <= 1e-6:
        raise InputError(
            f"ratios = {ratios!r}; allowed: three shares (train, validation, test) with the sum 1, none negative."
        )
    return train, validation, test
