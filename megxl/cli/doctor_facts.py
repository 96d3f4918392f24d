"""What `megxl doctor` looks at: packages by what they are for, processors and GPUs, free space, corpora and weights."""

import os
import platform
import re
import shutil
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Any

from megxl.errors import InputError

PURPOSES = {
    "": "read, prepare, embed, report",
    "corpora": "read every corpus (HDF5, BIDS, EDF, TextGrid)",
    "train": "megxl tokenizer, pretrain; with decode: finetune, probe, demo",
    "decode": "word vectors and decoders of words, scikit-learn",
    "fetch": "megxl fetch",
    "cluster": "megxl prepare --dask",
}
"""Extras of the package, and what they are for; "": what is always needed."""
RELEASED_FILES = ("meg-xl-med.ckpt", "meg-xl-med-v2.ckpt")
PUBLISHED_TOKENIZER = Path("brainstorm/neuro_tokenizers/biocodec_ckpt.pt")
"""Where the published configurations look for it, from the folder in which a command is given."""
TOKENIZER_PAGE = "https://github.com/usc-sail/BioCodec"
_REQUIREMENT = re.compile(r"""(?P<name>[A-Za-z0-9._-]+)[^;]*(?:;.*extra\s*==\s*['"](?P<extra>[^'"]+)['"])?""")


def packages() -> dict[str, dict[str, str | None]]:
    """Versions of the packages that megxl asks for, by extra; None: not installed. Empty: megxl itself is not."""
    try:
        asked = requires("megxl") or ()
    except PackageNotFoundError:  # run from its source
        return {}
    found: dict[str, dict[str, str | None]] = {extra: {} for extra in PURPOSES}
    for line in asked:
        match = _REQUIREMENT.match(line)
        assert match is not None, line
        if (extra := match["extra"] or "") in found:
            found[extra][match["name"]] = _version(match["name"])
    return found


def machine() -> dict[str, Any]:
    """System, processors, memory and GPUs."""
    import torch

    gpus = [torch.cuda.get_device_properties(n) for n in range(torch.cuda.device_count())]
    return {
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "processors": os.cpu_count(),
        "memory_bytes": _memory_bytes(),
        "gpus": [
            {"name": gpu.name, "memory_bytes": gpu.total_memory, "bfloat16": gpu.major >= 8}  # Ampere and later
            for gpu in gpus
        ],
        "mps": torch.backends.mps.is_available(),
        "cuda_of_torch": torch.version.cuda,
    }


def free_bytes(folder: Path) -> int:
    """Space that is free where a folder is, or would be.

    Raises
    ------
    InputError
        None of the folders above it can be looked at.
    """
    for place in (folder.absolute(), *folder.absolute().parents):
        if place.exists():
            return shutil.disk_usage(place).free
    raise InputError(f"{folder} lies nowhere that can be looked at; give another folder.")


def corpora(data: Path | None) -> Iterator[dict[str, Any]]:
    """Say of each corpus where it is, and else how it is got.

    Parameters
    ----------
    data : Path, optional
        Folder with one folder a corpus, under its name, a published one or that of its page (ds004078).
    """
    from megxl.corpora.corpus import corpus_named
    from megxl.corpora.fetching.origins import ORIGINS

    for name, origin in ORIGINS.items():
        corpus, root = corpus_named(name), None if data is None else _root(data, name, origin.page)
        yield {
            "corpus": name,
            "root": None if root is None else str(root),
            "recordings": None if root is None else _recordings(corpus, root),
            "licence": corpus.licence,
            "page": origin.page,
            "size": origin.size,
            "layout": corpus.layout,
            "lacks": origin.lacks(),
            "steps": list(origin.steps) if origin.source is None or origin.lacks() else [],
            "get": None if origin.source is None else f"megxl fetch {name} {root or (data or Path('DATA')) / name}",
        }


def weights() -> dict[str, str | None]:
    """Where the released weights are on this machine; None: not here."""
    from huggingface_hub import try_to_load_from_cache

    from megxl.checkpoints.hub import RELEASED_REPOSITORY

    found: dict[str, str | None] = {}
    for name in RELEASED_FILES:
        cached = try_to_load_from_cache(RELEASED_REPOSITORY, name)
        found[name] = name if Path(name).is_file() else cached if isinstance(cached, str) else None
    found[PUBLISHED_TOKENIZER.name] = str(PUBLISHED_TOKENIZER) if PUBLISHED_TOKENIZER.is_file() else None
    return found


def _root(data: Path, name: str, page: str) -> Path | None:
    """Find the folder of a corpus: its own name goes before others, case and dashes do not count."""
    from megxl.corpora.corpus import PUBLISHED_NAMES

    folders = {_plain(folder.name): folder for folder in sorted(data.iterdir(), reverse=True) if folder.is_dir()}
    published = (old for old, new in PUBLISHED_NAMES.items() if new == name)
    usual = (_plain(one) for one in (name, *published, page.rpartition("/")[2]))
    return next((folders[one] for one in usual if one in folders), None)


def _plain(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "")


def _recordings(corpus: Any, root: Path) -> int | str:
    """How many there are, by their names; or why it cannot be told."""
    try:
        return len(corpus.recordings(root))
    except InputError as error:
        return str(error)


def _memory_bytes() -> int | None:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # not everywhere
        return None


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
