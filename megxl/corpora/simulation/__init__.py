"""Recordings that are made up: a story, brains that answer to its words, noise, and the ground truth beside them."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import mne

FOLDER = "ground_truth"
FACTS = "simulation.json"
LICENCE = "MIT"
"""Of simulated recordings, in whatever corpus's format they are written."""


def is_simulated(root: Path) -> bool:
    """Say whether the recordings below a root were made by `megxl simulate`."""
    return (root / FOLDER / FACTS).is_file()


def mark_simulated(raw: "mne.io.BaseRaw", root: Path) -> "mne.io.BaseRaw":
    """Add a note to a recording below such a root, that no stored copy be taken for a measurement."""
    if is_simulated(root):
        notes = (raw.info.get("temp") or {}).get("megxl_notes", [])
        raw.info["temp"] = {"megxl_notes": [*notes, "Simulated by megxl simulate: nobody was measured."]}
    return raw
