"""Names of files as BIDS writes them, and what they tell: `sub-01_ses-1_task-story_run-2_meg.fif`."""

import re
from pathlib import Path

from megxl.store.keys import natural as natural


def entity(name: str, key: str) -> str | None:
    """Value of a BIDS entity in a file's name: ``entity("sub-01_run-2_meg.fif", "run") == "2"``."""
    match = re.search(rf"(?:^|_){key}-([^_.]+)", name)
    return match[1] if match else None


def entities(name: str) -> dict[str, str]:
    """All BIDS entities in a file's name: ``{"sub": "01", "run": "2"}``."""
    return dict(re.findall(r"(?:^|_)([a-z]+)-([^_.]+)", name))


def beside(path: Path, ending: str) -> Path:
    """Name the file that belongs to a recording: ``beside(sub-01_task-a_split-01_meg.fif, "_events.tsv")``."""
    stem = path.name.rsplit("_", 1)[0]
    split = entity(path.name, "split")
    return path.with_name(stem.replace(f"_split-{split}", "") + ending)
