"""The door of this room: read a checkpoint from wherever it is, write it in our format."""

from collections.abc import Sequence
from pathlib import Path

from megxl.checkpoints.checkpoint import KIND_NAMES, Checkpoint, KeyReport, Kind
from megxl.checkpoints.folder import CONFIG, read_folder, write_checkpoint
from megxl.checkpoints.hub import default_codec, fetch, is_hub_name
from megxl.checkpoints.released import read_released
from megxl.errors import InputError

__all__ = ["Checkpoint", "KeyReport", "default_codec", "read_checkpoint", "write_checkpoint"]


def read_checkpoint(source: str | Path, *, allow_unmatched: Sequence[str] = (), kind: Kind | None = None) -> Checkpoint:
    """Sizes and tensors of a codec or a model, read strictly and without running anything in the file.

    Parameters
    ----------
    source : str or Path
        A released `.pt` or `.ckpt` file, a folder in our format (or the `.safetensors` in it), or a hub name:
        `org/name`, `org/name/file.ckpt`, each with an optional `@revision`. What exists on disk wins.
    allow_unmatched : sequence of str
        Patterns (as in file names) of unknown keys that may be left out.
    kind : "biocodec" or "megxl", optional
        What is wanted; the other kind is refused.

    Returns
    -------
    Checkpoint
        With a report of its keys, and the file's SHA-256 in its provenance.

    Raises
    ------
    InputError
        Names what is wrong with the source and how to mend it.
    """
    if not str(source):
        raise InputError("The name of the checkpoint is empty: give a file, a folder, or a hub name.")
    try:
        path = _locate(source)
        if path.suffix == ".safetensors" and (path.parent / CONFIG).is_file():
            path = path.parent
        read, path = (read_folder, path.resolve()) if path.is_dir() else (read_released, path)
        checkpoint = read(path, allow_unmatched)
    except OSError as error:
        raise InputError(f"{source} cannot be read: {error.strerror or error}.") from error
    if kind is not None and checkpoint.kind != kind:
        raise InputError(f"{path.name} holds {KIND_NAMES[checkpoint.kind]}, but {KIND_NAMES[kind]} is wanted here.")
    return checkpoint


def _locate(source: str | Path) -> Path:
    path = Path(source).expanduser()
    if path.exists():
        return path
    if is_hub_name(str(source)):
        return fetch(str(source))
    if (last := path.parent / "checkpoints" / "last.ckpt").exists() and not (path.parent / "model").exists():
        raise InputError(
            f"No such file or folder: {source}. The run {path.parent} is not finished: go on with it "
            f"(run={path.parent} resume=true), or take {last} as it is."
        )
    raise InputError(
        f"No such file or folder: {source}. (A checkpoint on the hub is named org/name or org/name/file.ckpt.)"
    )
