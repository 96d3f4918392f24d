"""What codes are kept for: the windows or word groups of a recording, how they were normalised, and by which tokenizer.

Letters: C sensors, T samples, W words.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from megxl.data.groups import Grouping, places_on_tape, word_groups
from megxl.data.windows import fixed_windows
from megxl.errors import InputError
from megxl.signals.normalization import BLOCK_S
from megxl.store.entry import StoredRecording

FORMAT, VERSION = "megxl-codes", 1
MOST_CODES = 65_536
"""Codes of a level that two bytes tell apart; up to 256 take one."""
LIMIT = 5.0
FOLDER = "codes"
FACTS = "codes.json"
CODES = "codes.npy"


@dataclass(frozen=True, kw_only=True)
class WindowGrid:
    """The fixed windows of pre-training."""

    window_s: float = 150.0
    """Seconds in a window."""
    block_s: float = BLOCK_S
    """Seconds that are scaled together."""

    def __post_init__(self) -> None:
        for name, value in (("window_s", self.window_s), ("block_s", self.block_s)):
            if not (math.isfinite(value) and value > 0):
                raise InputError(f"{name} = {value:g}; allowed: seconds, more than 0.")


Grid = WindowGrid | Grouping
"""Fixed windows, or word groups."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Piece:
    """What one item takes of a recording."""

    start: int
    """First sample."""
    stop: int
    """Sample after the last."""
    starts_W: np.ndarray | None = None
    """First sample of each word's window on a tape; None: the samples as they are."""
    window: int = 0
    """Samples of such a window."""

    def read(self, recording: StoredRecording) -> np.ndarray:
        """Read the item's signal (C, T) in the order of the file's sensors."""
        signal_CT = recording.read(self.start, self.stop)
        if self.starts_W is None:
            return signal_CT
        return signal_CT[:, places_on_tape(self.start, self.starts_W, self.starts_W + self.window)]


def pieces(recording: StoredRecording, grid: Grid) -> list[Piece]:
    """List the items of a recording, in the order of time; none where it is too short or has too few words.

    Raises
    ------
    InputError
        Word groups in reference mode, whose items differ in length.
    """
    if isinstance(grid, WindowGrid):
        if recording.n_samples < round(grid.window_s * recording.sfreq_hz):
            return []
        return [
            Piece(start=window.start, stop=window.stop) for window in fixed_windows([recording], grid.window_s).windows
        ]
    refuse_unequal(grid)
    groups, window = word_groups([recording], grid), grid.window(recording.sfreq_hz)
    if grid.layout == "contiguous":
        return [Piece(start=group.start, stop=group.stop) for group in groups]
    return [
        Piece(start=group.start, stop=group.stop, starts_W=np.array(group.starts, dtype=np.int32), window=window)
        for group in groups
    ]


def block_samples(grid: Grid, sfreq_hz: float) -> int:
    """Count the samples that are scaled together before they are encoded: on a tape, those of one word's window."""
    if isinstance(grid, WindowGrid):
        return round(grid.block_s * sfreq_hz)
    return grid.window(sfreq_hz) if grid.layout == "tape" else round(BLOCK_S * sfreq_hz)


def refuse_many(codes: int) -> None:
    """Raise for code books whose codes take more than two bytes each."""
    if codes > MOST_CODES:
        raise InputError(
            f"The tokenizer has {codes:,} codes a level; allowed for codes that are kept: at most {MOST_CODES:,}."
        )


def refuse_unequal(grid: Grid) -> None:
    """Raise for word groups in reference mode."""
    if isinstance(grid, Grouping) and grid.compat == "reference":
        raise InputError("Codes are kept for windows of one length; compat='reference' has some of 149 to 151 samples.")


@dataclass(frozen=True, kw_only=True)
class CodesPlan:
    """Everything that the codes of one recording depend on."""

    facts: Mapping[str, Any]
    """Plain fields, as they stand in codes.json."""

    @property
    def name(self) -> str:
        """Name of the folder that holds them, unlike any other plan's."""
        text = json.dumps(self.facts, sort_keys=True)
        return f"{self.facts['grid']['kind']}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"

    @property
    def block(self) -> int:
        """Samples that were scaled together."""
        return self.facts["normalisation"]["block"]

    def folder(self, recording: StoredRecording) -> Path:
        """Where they lie."""
        return recording.folder / FOLDER / self.name


def plan(recording: StoredRecording, grid: Grid, found: list[Piece], tokenizer: str) -> CodesPlan:
    """Say what the codes of a recording's pieces depend on; `tokenizer` is a `codec_fingerprint`."""
    kind = "windows" if isinstance(grid, WindowGrid) else "words"
    named = {"window_s": grid.window_s} if isinstance(grid, WindowGrid) else grid.to_json()
    places = hashlib.sha256()
    for piece in found:
        places.update(np.array([piece.start, piece.stop], dtype="<i8").tobytes())
        if piece.starts_W is not None:  # words may move while the signal stays
            places.update(piece.starts_W.astype("<i8").tobytes())
    return CodesPlan(
        facts={
            "format": FORMAT,
            "version": VERSION,
            "signal_sha256": recording.signal_sha256,
            "normalisation": {"block": block_samples(grid, recording.sfreq_hz), "limit": LIMIT},
            "grid": {"kind": kind, **named, "places": places.hexdigest()},
            "tokenizer": tokenizer,
        }
    )
