"""Which files hold a recording: later parts of a split FIF file, samples and marks beside a header."""

import glob
import re
from collections.abc import Iterable
from pathlib import Path

from megxl.corpora.names import entity, natural


def parts_of(path: Path) -> list[Path]:
    """List the files of a recording: the one that opens it, then its later parts, samples or marks, if they are there.

    Later parts of a FIF file are known by their names; where MNE's own names (``story-1.fif``) could be those of other
    recordings, the file itself says which it goes on with.
    """
    ending = path.suffix.lower()
    split = entity(path.name, "split")
    if split is not None:
        more = _in_order(path.parent.glob(glob.escape(path.name).replace(f"_split-{split}_", "_split-*_")))
    elif ending == ".fif":
        more = _linked_parts(path, _in_order(path.parent.glob(f"{glob.escape(path.stem)}-[0-9]*.fif")))
    elif ending == ".vhdr":
        more = _named_in_header(path)
    elif ending == ".set":
        more = _samples_of_eeglab(path)
    else:
        more = []
    return [path, *(part for part in more if part != path)]


def _in_order(paths: Iterable[Path]) -> list[Path]:
    return sorted(paths, key=lambda path: natural(path.name))


def _linked_parts(path: Path, candidates: list[Path]) -> list[Path]:
    """Keep the candidates that the file names as its continuation; all, if it cannot be read."""
    if not candidates:
        return []
    import mne

    from megxl.signals.messages import collected_warnings

    try:
        with collected_warnings():
            names = mne.io.read_raw_fif(path, allow_maxshield="yes", on_split_missing="ignore").filenames
    except Exception:  # what is wrong with it is told when it is prepared; until then names have to do
        return candidates
    linked = {Path(name).resolve() for name in names if name is not None}
    return [part for part in candidates if part.resolve() in linked]


def _named_in_header(path: Path) -> list[Path]:
    """Samples and markers of BrainVision, as the header calls them; ``$b`` stands for its own name."""
    if not path.is_file():
        return []
    lines = path.read_text(encoding="latin-1").splitlines()
    named = [match[1] for line in lines if (match := re.match(r"(?:DataFile|MarkerFile)\s*=\s*(.+?)\s*$", line))]
    files = [path.with_name(Path(name.replace("$b", path.stem)).name) for name in named]
    return [file for file in dict.fromkeys(files) if _is_there(file)]


def _samples_of_eeglab(path: Path) -> list[Path]:
    own = path.with_suffix(".fdt")
    if _is_there(own):
        return [own]
    # a renamed .set goes on reading the samples under their old name
    return _in_order(file for file in path.parent.glob("*.fdt") if not file.with_suffix(".set").exists())


def _is_there(path: Path) -> bool:
    """Say whether there is a file or a link to one, be it broken: that is told when it is read."""
    return path.is_file() or path.is_symlink()
