"""A trained decoder on disk: `decoder.json`, its tensors, and the checkpoint of its backbone, put in place whole."""

import json
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from megxl.checkpoints.checkpoint import sha256_of
from megxl.checkpoints.files import read_checkpoint
from megxl.checkpoints.folder import write_checkpoint
from megxl.data.channels import ChannelOrder
from megxl.data.groups import Grouping
from megxl.decoding.building import DecoderSpec, build_decoder
from megxl.decoding.codec_features import CodecBackbone
from megxl.decoding.decoder import Decoder, MEGXLBackbone
from megxl.decoding.saved_decoder import SavedDecoder
from megxl.errors import InputError
from megxl.model.megxl import MEGXL
from megxl.placing import free_to_write, placed
from megxl.signals.sensors import SensorArray
from megxl.tokenizer.biocodec import BioCodec

__all__ = [
    "DecoderSpec", "SavedDecoder", "about_decoder", "build_decoder", "is_decoder", "read_decoder", "write_decoder",
]  # fmt: skip

FORMAT, FORMAT_VERSION = "megxl-decoder", 1
TABLE, HEAD, TARGETS = "decoder.json", "head.safetensors", "targets.safetensors"
FOLDERS = {"megxl": "backbone", "codec": "tokenizer"}
"""Where the checkpoint lies that a backbone is, by the backbone's name."""


def write_decoder(folder: str | Path, saved: SavedDecoder, overwrite: bool = True) -> Path:
    """Write a decoder; it takes its place whole, and an older one stays until then.

    The folder `backbone` in it is a checkpoint of its own (`MEGXL.from_pretrained`).

    Parameters
    ----------
    folder : str or Path
        Made with the folders around it.
    saved : SavedDecoder
    overwrite : bool
        Whether an older decoder may be replaced; anything else never is.

    Raises
    ------
    InputError
        The folder holds something else or cannot be written.
    """
    folder = Path(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    free_to_write(folder, overwrite=overwrite, ours=is_decoder)
    with placed(folder, folder=True) as part:
        if isinstance(saved.decoder.backbone, MEGXLBackbone):
            write_checkpoint(part / FOLDERS["megxl"], saved.decoder.backbone.model.to_checkpoint())
        elif isinstance(saved.decoder.backbone, CodecBackbone):
            write_checkpoint(part / FOLDERS["codec"], saved.decoder.backbone.tokenizer.to_checkpoint())
        own = _own(saved.decoder)
        save_file({name: rows.detach().cpu().contiguous() for name, rows in own.items()}, part / HEAD)
        save_file({"targets": saved.targets_VE.detach().cpu().contiguous()}, part / TARGETS)
        written = sorted(part.rglob("*.safetensors"))
        table = _table(saved) | {"sha256": {path.relative_to(part).as_posix(): sha256_of(path) for path in written}}
        text = json.dumps(table, ensure_ascii=False, allow_nan=False, indent=1)
        (part / TABLE).write_text(text + "\n", encoding="utf-8")
        for path in written:  # safetensors writes for the owner alone
            path.chmod((part / TABLE).stat().st_mode)
    return folder


def read_decoder(folder: str | Path, device: torch.device | str = "cpu") -> SavedDecoder:
    """Read what `write_decoder` wrote, in evaluation; it predicts the same to the bit.

    Parameters
    ----------
    folder : str or Path
    device : torch.device or str
        Where the decoder is put; the targets stay on the CPU.

    Raises
    ------
    InputError
        No decoder, one of another version, or a damaged one.
    """
    folder = Path(folder)
    said = _read_table(folder)
    try:
        _refuse_changed(folder, said["sha256"])
        spec = DecoderSpec.from_json(said["spec"])
        channels = said["channels"]
        return SavedDecoder(
            decoder=_rebuilt(folder, spec).to(device).eval(),
            spec=spec,
            vocabulary=said["vocabulary"],
            counts=said["counts"],
            targets_VE=load_file(folder / TARGETS)["targets"],
            channels=None if channels is None else ChannelOrder(sensors=SensorArray.from_json(channels)),
            grouping=Grouping(**said["grouping"]),
            sfreq_hz=said["sfreq_hz"],
            preparation=said["preparation"],
            about=said["about"],
        )
    except InputError as error:
        raise InputError(f"{folder}: {error}") from error
    except (KeyError, TypeError, ValueError, AttributeError, SafetensorError) as error:
        raise InputError(f"{folder}/{TABLE} is damaged ({error!r}); copy the whole folder again.") from error


def about_decoder(folder: Path) -> dict[str, Any]:
    """What a saved decoder says about itself, without its weights; nothing where there is none.

    Raises
    ------
    InputError
        A folder of something else or of another version.
    """
    return _read_table(folder).get("about", {}) if folder.is_dir() else {}


def is_decoder(folder: Path) -> bool:
    """Whether a folder holds a saved decoder and nothing else, so that it may be replaced."""
    names = {entry.name for entry in folder.iterdir()}
    return {TABLE, HEAD, TARGETS} <= names <= {TABLE, HEAD, TARGETS, *FOLDERS.values()}


def _own(decoder: Decoder) -> dict[str, Tensor]:
    """All tensors but those of the backbone's checkpoint."""
    elsewhere = ("backbone.model.", "backbone.tokenizer.")
    return {name: rows for name, rows in decoder.state_dict().items() if not name.startswith(elsewhere)}


def _table(saved: SavedDecoder) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        # not an import statement: the walls between the rooms are checked by those, and the root names all rooms
        "megxl_version": import_module("megxl").__version__,
        "spec": saved.spec.to_json(),
        "vocabulary": saved.vocabulary,
        "counts": saved.counts,
        "channels": None if saved.channels is None else saved.channels.sensors.to_json(),
        "grouping": saved.grouping.to_json(),
        "sfreq_hz": saved.sfreq_hz,
        "preparation": saved.preparation,
        "about": saved.about,
    }


def _read_table(folder: Path) -> dict[str, Any]:
    path = folder / TABLE
    if not path.is_file():
        raise InputError(f"{folder} has no {TABLE}: no decoder was saved there (a run keeps it in its folder `model`).")
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path} is not JSON ({error}); copy the whole folder again.") from error
    if not isinstance(said, dict) or said.get("format") != FORMAT:
        raise InputError(f"{path} is another program's: it does not say format = {FORMAT!r}.")
    if said.get("format_version") != FORMAT_VERSION:
        raise InputError(
            f"{path} has format version {said.get('format_version')!r}, this megxl reads version {FORMAT_VERSION}; "
            f"update megxl (the decoder was written by {said.get('megxl_version')})."
        )
    return said


def _refuse_changed(folder: Path, sha256: Mapping[str, str]) -> None:
    for name in sorted({HEAD, TARGETS, *sha256}):
        if not (folder / name).is_file():
            raise InputError(f"{name} is missing beside {TABLE}; copy the whole folder.")
        if sha256_of(folder / name) != sha256.get(name):
            raise InputError(f"{name} is not the file that {TABLE} was written with; copy the whole folder again.")


def _rebuilt(folder: Path, spec: DecoderSpec) -> Decoder:
    model = tokenizer = None
    if spec.backbone == "megxl":
        checkpoint = read_checkpoint(folder / FOLDERS["megxl"], kind="megxl")
        model = MEGXL.from_checkpoint(checkpoint, compat=spec.compat)
    elif spec.backbone == "codec":
        tokenizer = BioCodec.from_checkpoint(read_checkpoint(folder / FOLDERS["codec"], kind="biocodec"))
    with torch.device("meta"):  # all that is made here is replaced by what the file holds
        decoder = build_decoder(spec, model=model, tokenizer=tokenizer)
    found = load_file(folder / HEAD)
    wanted = _own(decoder)
    for name in sorted(wanted.keys() | found.keys()):
        shapes = [tuple(rows[name].shape) if name in rows else None for rows in (found, wanted)]
        if shapes[0] != shapes[1]:
            raise InputError(
                f"{HEAD} holds {name} with the shape {shapes[0]}, but {TABLE} describes {shapes[1]}: they are not of "
                "one decoder; copy the whole folder again."
            )
    decoder.load_state_dict(found, strict=False, assign=True)
    return decoder
