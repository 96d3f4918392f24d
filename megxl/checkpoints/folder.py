"""Our own format: a folder of config.json, model.safetensors and a model card."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from megxl.checkpoints.card import model_card
from megxl.checkpoints.checkpoint import KIND_NAMES, Checkpoint, loaded_from
from megxl.checkpoints.matching import checked_tensors, match, refuse_other_code_books
from megxl.checkpoints.measuring import checked_sizes
from megxl.checkpoints.names import our_rows, table_of
from megxl.errors import InputError
from megxl.placing import free_to_write, placed

FORMAT, FORMAT_VERSION = "megxl-checkpoint", 1
CONFIG, TENSORS, CARD = "config.json", "model.safetensors", "README.md"


def read_folder(folder: Path, allow_unmatched: Sequence[str] = ()) -> Checkpoint:
    """Read a checkpoint folder strictly.

    Parameters
    ----------
    folder : Path
        Folder that `write_checkpoint` made.
    allow_unmatched : sequence of str
        Patterns of unknown tensors that may be left out.

    Raises
    ------
    InputError
        No or another format, a newer version, or tensors that do not fit the configuration.
    """
    said = _read_config(folder)
    kind, where = said["kind"], f"{folder.name}/{TENSORS}"
    config = checked_sizes(kind, said["config"], f"{folder.name}/{CONFIG}")
    path = folder / TENSORS
    if not path.is_file():
        raise InputError(f"{folder.name}: {TENSORS} is missing beside {CONFIG}; copy the whole folder.")
    try:
        found = load_file(path)
    except SafetensorError as error:
        raise InputError(
            f"{where} is truncated or damaged ({path.stat().st_size:,} bytes are there): {error}."
        ) from error
    codec_absent = kind == "megxl" and "tokenizer" not in config
    tensors, report = match(
        found,
        our_rows(table_of(kind, config)),
        where,
        allow_unmatched=allow_unmatched,
        optional=("tokenizer.*",) if codec_absent else (),
    )
    if kind == "megxl":
        refuse_other_code_books(tensors, where)
    training = said["training"]
    provenance = loaded_from(path, "megxl", training, said["provenance"]) | {"file": folder.name}
    return Checkpoint(
        kind=kind, config=config, tensors=tensors, training=training, provenance=provenance, report=report
    )


def write_checkpoint(folder: str | Path, checkpoint: Checkpoint, *, overwrite: bool = False) -> Path:
    """Write a folder of safetensors, config.json and a model card, put in place whole.

    Parameters
    ----------
    folder : str or Path
        New or empty; made with the folders around it.
    checkpoint : Checkpoint
        From any source.
    overwrite : bool
        Whether a checkpoint folder of ours may be replaced; anything else never is.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    InputError
        The folder holds something already or cannot be written, or the tensors do not fit the sizes.
    """
    folder = Path(folder)
    tensors = checked_tensors(checkpoint, folder.name)
    folder.parent.mkdir(parents=True, exist_ok=True)
    free_to_write(folder, overwrite=overwrite, ours=is_ours_alone)
    with placed(folder, folder=True) as part:
        save_file(tensors, part / TENSORS, metadata={"format": "pt"})
        (part / CONFIG).write_text(json.dumps(_config(checkpoint), indent=2) + "\n", encoding="utf-8")
        (part / CARD).write_text(model_card(checkpoint), encoding="utf-8")
        # safetensors writes for the owner alone; a group shares its checkpoints
        (part / TENSORS).chmod((part / CONFIG).stat().st_mode)
    return folder


def is_ours(folder: Path) -> bool:
    """Whether a folder says that it is a checkpoint of ours, of whatever version."""
    path = folder / CONFIG
    if not path.is_file():
        return False
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return False
    return isinstance(said, dict) and said.get("format") == FORMAT


def is_ours_alone(folder: Path) -> bool:
    """Whether a folder is a checkpoint of ours and holds nothing else, so that it may be replaced."""
    return is_ours(folder) and {entry.name for entry in folder.iterdir()} <= {CONFIG, TENSORS, CARD}


def _version() -> str:
    # not an import statement: the walls between the rooms are checked by those, and the package's root names all rooms
    return import_module("megxl").__version__


def _config(checkpoint: Checkpoint) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "megxl_version": _version(),
        "kind": checkpoint.kind,
        "config": checkpoint.config,
        "training": checkpoint.training,
        "provenance": checkpoint.provenance,
        "source_report": asdict(checkpoint.report),
    }


def _instead_of(folder: Path) -> str:
    """What to give in place of a folder that is none of ours: of a training run, its model or newest checkpoint."""
    inside = (folder / "model", folder / "checkpoints" / "last.ckpt", folder / "last.ckpt")
    if there := [path for path in inside if path.is_file() or is_ours(path)]:
        return f"Give what lies in it: {there[0]}."
    return "Give a .ckpt or .pt file, or a folder made by megxl."


def _read_config(folder: Path) -> dict[str, Any]:
    path = folder / CONFIG
    if not path.is_file():
        raise InputError(f"{folder.name} has no {CONFIG}: it is no checkpoint folder. {_instead_of(folder)}")
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{folder.name}/{CONFIG} is not JSON ({error}); copy the folder again.") from error
    where = f"{folder.name}/{CONFIG}"
    if not isinstance(said, dict) or said.get("format") != FORMAT:
        raise InputError(f"{where} is another program's: it does not say format = {FORMAT!r}.")
    if said.get("format_version") != FORMAT_VERSION:
        raise InputError(
            f"{where} has format version {said.get('format_version')!r}; this megxl {_version()} reads version "
            f"{FORMAT_VERSION}. Update megxl (the folder was written by {said.get('megxl_version')})."
        )
    if said.get("kind") not in KIND_NAMES:
        raise InputError(f"{where}: unknown kind {said.get('kind')!r}; {' or '.join(KIND_NAMES)} is expected.")
    for name in ("config", "training", "provenance"):
        if not isinstance(said.get(name), dict):
            raise InputError(f"{where}: {name} is missing or no table; copy the folder again.")
    return said
