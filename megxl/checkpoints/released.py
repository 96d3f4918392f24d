"""The released formats, both ways: BioCodec's `.pt` and MEG-XL's Lightning `.ckpt`."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from megxl.checkpoints.checkpoint import Checkpoint, Kind, loaded_from
from megxl.checkpoints.matching import checked_tensors, listing, match, refuse_other_code_books
from megxl.checkpoints.measuring import HYPER_PARAMETERS, TRAINING_PARAMETERS, codec_sizes, model_sizes, reconciled
from megxl.checkpoints.names import codec_rows, model_rows, table_of
from megxl.checkpoints.rope import RELEASED_LENGTH, check_rope, rope_tables
from megxl.checkpoints.safe import Inert, read_torch_file
from megxl.errors import InputError
from megxl.placing import free_to_write, placed

COMPILED = "_orig_mod."
"""Prefix that torch.compile leaves on the names of the released codec."""
OURS = "megxl"
"""Section that we add on the way back: where the weights come from, and all sizes. The published readers ignore it."""

TRAINING_SECTIONS = ("loops", "callbacks", "optimizer_states", "lr_schedulers", "MixedPrecision")
CODEC_SECTIONS = ("optimizer_state_dict", "scheduler_state_dict", "TokenizerData", *TRAINING_SECTIONS)
MODEL_SECTIONS = (
    *TRAINING_SECTIONS, "hparams_type", "datamodule_hparams_name", "datamodule_hparams_type",
    "datamodule_hyper_parameters", "MixedPrecisionPlugin", "FSDPPrecision", "native_amp_scaling_state",
    "amp_scaling_state", "PretrainData",
)  # fmt: skip
_KEPT = ("epoch", "global_step", "pytorch-lightning_version", "hparams_name", OURS)
_KNOWN_OF_TRAINING = ("epoch", "global_step", "lightning_version")
_LIGHTNING_VERSION = "2.4.0"
"""Written where the source does not say: the oldest version that the training extra asks for."""


def read_released(path: Path, allow_unmatched: Sequence[str] = ()) -> Checkpoint:
    """Read a released `.pt` or `.ckpt` file, strictly and without running anything in it.

    Parameters
    ----------
    path : Path
        The file.
    allow_unmatched : sequence of str
        Patterns of unknown keys that may be left out: tensors by name, `hyper_parameters.NAME`, or top-level keys.

    Returns
    -------
    Checkpoint
        Sizes and tensors under our names.

    Raises
    ------
    InputError
        Names what is wrong with the file.
    """
    content = read_torch_file(path)
    if not isinstance(content, dict):
        raise InputError(f"{path.name} holds a {type(content).__name__}, not the dictionary of a checkpoint.")
    if "model_state_dict" in content:
        return _read_codec(path, content, allow_unmatched)
    if "state_dict" in content:
        return _read_model(path, content, allow_unmatched)
    raise InputError(
        f"{path.name} is another program's file: it holds {listing([str(key) for key in content])} at its top, "
        "but a BioCodec file has model_state_dict, and a MEG-XL file has state_dict and hyper_parameters."
    )


def write_released(path: Path, checkpoint: Checkpoint, *, overwrite: bool = False) -> Path:
    """Write a checkpoint in the released format of its kind; plain `torch.load` reads it.

    Parameters
    ----------
    path : Path
        File to write, put in place whole; made with the folders around it.
    checkpoint : Checkpoint
        From any source.
    overwrite : bool
        Whether an older file may be replaced.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    InputError
        Something is in the way, the place cannot be written to, or the tensors do not fit the sizes.
    """
    state = released_state(checkpoint, path.name)
    content = _codec_content(checkpoint, state) if checkpoint.kind == "biocodec" else _model_content(checkpoint, state)
    content[OURS] = _our_section(checkpoint)
    path.parent.mkdir(parents=True, exist_ok=True)
    free_to_write(path, overwrite=overwrite)
    # an open file rather than a name, which torch.save would write into the file
    with placed(path, folder=False) as part, part.open("wb") as file:
        torch.save(content, file)
    return path


def released_sections(checkpoint: Checkpoint, where: str) -> dict[str, Any]:
    """What makes the file of a training a released one: weights, a model's hyper-parameters, and our section.

    Parameters
    ----------
    checkpoint : Checkpoint
        Of a model or a codec.
    where : str
        What is written, for messages.
    """
    state = released_state(checkpoint, where)
    content = _codec_content(checkpoint, state) if checkpoint.kind == "biocodec" else _model_content(checkpoint, state)
    kept = [name for name in ("model_state_dict", "state_dict", "hparams_name", "hyper_parameters") if name in content]
    return {name: content[name] for name in kept} | {OURS: _our_section(checkpoint)}


def _our_section(checkpoint: Checkpoint) -> dict[str, Any]:
    elsewhere = (*_KNOWN_OF_TRAINING, *TRAINING_PARAMETERS, "rope_length")
    return {
        "provenance": checkpoint.provenance,
        "config": checkpoint.config,
        "known": [name for name in _KNOWN_OF_TRAINING if name in checkpoint.training],
        "recipe": {name: value for name, value in checkpoint.training.items() if name not in elsewhere},
    }


def _read_codec(path: Path, content: Mapping[str, Any], allow_unmatched: Sequence[str]) -> Checkpoint:
    state = _state(content, "model_state_dict", path.name)
    found = {name.removeprefix(COMPILED): tensor for name, tensor in state.items()}
    if len(found) < len(state):
        raise InputError(f"{path.name} holds {len(state) - len(found)} tensors twice, with and without {COMPILED!r}.")
    if "encoder.model.0.conv.conv.bias" not in found:
        raise InputError(
            f"{path.name} holds another model under model_state_dict: none of its {len(found)} tensors is a BioCodec's "
            f"(first: {listing(list(found), 3)})."
        )
    config = _with_stored(content, codec_sizes(found, path.name), "biocodec", path.name)
    skipped, unknown = _sections(content, "model_state_dict", CODEC_SECTIONS)
    tensors, report = match(
        found, codec_rows(config), path.name, allow_unmatched=allow_unmatched, unknown=unknown, skipped=skipped
    )
    training = _training(content)
    provenance = loaded_from(path, "biocodec-pt", training, _source(content))
    return Checkpoint(
        kind="biocodec", config=config, tensors=tensors, training=training, provenance=provenance, report=report
    )


def _read_model(path: Path, content: Mapping[str, Any], allow_unmatched: Sequence[str]) -> Checkpoint:
    where = path.name
    found, hyper = _state(content, "state_dict", where), _hyper_parameters(content, where)
    if not any(name.startswith(("mask_token", "rvq_projector.", "criss_cross_transformer.")) for name in found):
        raise InputError(
            f"{where} is a Lightning checkpoint of another model: none of its {len(found)} tensors is MEG-XL's "
            f"(first: {listing(list(found), 3)})."
        )
    prefix = "tokenizer."
    codec = {name.removeprefix(prefix): tensor for name, tensor in found.items() if name.startswith(prefix)}
    measured = model_sizes(found, hyper, codec_sizes(codec, where) if codec else None, where)
    config = _with_stored(content, measured, "megxl", where)
    skipped, unknown = _sections(content, "state_dict", MODEL_SECTIONS)
    known = (*HYPER_PARAMETERS, *TRAINING_PARAMETERS)
    tensors, report = match(
        found,
        model_rows(config),
        where,
        allow_unmatched=allow_unmatched,
        unknown=[*unknown, *(f"hyper_parameters.{name}" for name in hyper if name not in known)],
        skipped=skipped,
        optional=() if codec else ("tokenizer.*",),
    )
    refuse_other_code_books(tensors, where)
    training = _training(content) | {"rope_length": check_rope(found, config, where)}
    training |= {name: _plain(hyper[name], name, where) for name in TRAINING_PARAMETERS if name in hyper}
    provenance = loaded_from(path, "lightning", training, _source(content))
    return Checkpoint(
        kind="megxl", config=config, tensors=tensors, training=training, provenance=provenance, report=report
    )


def _state(content: Mapping[str, Any], section: str, where: str) -> dict[str, Tensor]:
    state = content[section]
    if not isinstance(state, Mapping) or not state:
        raise InputError(f"{where}: {section} holds no tensors.")
    for name, value in state.items():
        if not isinstance(name, str) or not _is_plain_tensor(value):
            raise InputError(
                f"{where}: {section} must hold plain tensors only, but {name!r} is a {type(value).__name__}"
                + (f" of {value.layout}, {tuple(value.shape)}." if isinstance(value, Tensor) else ".")
            )
    return dict(state)


def _is_plain_tensor(value: Any) -> bool:
    """Whether a value is a dense tensor with all its numbers in the file; a repeating view could ask for any memory."""
    if not isinstance(value, Tensor) or value.layout is not torch.strided or value.is_meta:
        return False
    return value.nbytes <= value.untyped_storage().nbytes()


def _hyper_parameters(content: Mapping[str, Any], where: str) -> dict[str, Any]:
    hyper = content.get("hyper_parameters")
    if isinstance(hyper, Inert):
        raise InputError(
            f"{where}: hyper_parameters are an object of another package; save them as a plain dictionary."
        )
    if not isinstance(hyper, dict):
        raise InputError(
            f"{where}: there are no hyper_parameters, so that the model's sizes are unknown; is it a MEG-XL file?"
        )
    return {str(name): value for name, value in hyper.items()}


def _sections(content: Mapping[str, Any], weights: str, known: Sequence[str]) -> tuple[list[str], list[str]]:
    """Known parts that are left out, and unknown top-level keys."""
    read = (weights, "hyper_parameters", *_KEPT)
    skipped = [str(name) for name in content if name in known and name not in read]
    return skipped, [str(name) for name in content if name not in known and name not in read]


def _training(content: Mapping[str, Any]) -> dict[str, Any]:
    training = {name: content[name] for name in ("epoch", "global_step") if type(content.get(name)) is int}
    version = content.get("pytorch-lightning_version")
    training |= {"lightning_version": version} if isinstance(version, str) else {}
    ours = content.get(OURS)
    known = ours.get("known") if isinstance(ours, Mapping) else None
    if isinstance(known, list):
        # what we had to fill in when we wrote the file says nothing of the weights
        training = {name: training[name] for name in training if name in known}
    recipe = ours.get("recipe") if isinstance(ours, Mapping) else None
    return training | (dict(recipe) if isinstance(recipe, Mapping) else {})


def _with_stored(content: Mapping[str, Any], measured: dict[str, Any], kind: Kind, where: str) -> dict[str, Any]:
    ours = content.get(OURS)
    if not isinstance(ours, Mapping) or "config" not in ours:
        return measured
    return reconciled(ours["config"], measured, kind, f"{where} ({OURS}.config)")


def _source(content: Mapping[str, Any]) -> Mapping[str, Any] | None:
    ours = content.get(OURS)
    source = ours.get("provenance") if isinstance(ours, Mapping) else None
    return source if isinstance(source, Mapping) else None


def _plain(value: Any, name: str, where: str) -> Any:
    if value is not None and not isinstance(value, int | float | str):
        raise InputError(f"{where}: hyper_parameters: {name} is a {type(value).__name__}; a number is expected.")
    return value


def released_state(checkpoint: Checkpoint, where: str) -> "OrderedDict[str, Tensor]":
    """Tensors under the released names (the codec's without its file's prefix), in the released order."""
    tensors = checked_tensors(checkpoint, where)
    rows = table_of(checkpoint.kind, checkpoint.config)
    length = checkpoint.training.get("rope_length", RELEASED_LENGTH)
    state: OrderedDict[str, Tensor] = OrderedDict()
    for row in rows:
        if row.ours is None:
            frequencies_P, rotations_TP = rope_tables(checkpoint.config["width"], length)
            state[row.released] = frequencies_P if row.released.endswith("freqs") else rotations_TP
        else:
            tensor = tensors[row.ours]
            # torch.save writes the whole storage behind a view, so each level gets its own
            state[row.released] = tensor if row.part is None else tensor[row.part].clone()
    return state


def _codec_content(checkpoint: Checkpoint, state: Mapping[str, Tensor]) -> dict[str, Any]:
    return {
        "epoch": checkpoint.training.get("epoch", 0),
        "model_state_dict": {COMPILED + name: tensor for name, tensor in state.items()},
        "optimizer_state_dict": {},
        "scheduler_state_dict": {},
    }


def _model_content(checkpoint: Checkpoint, state: Mapping[str, Tensor]) -> dict[str, Any]:
    config, training = checkpoint.config, checkpoint.training
    sizes = {theirs: config[ours] for theirs, ours in HYPER_PARAMETERS.items()}
    return {
        "epoch": training.get("epoch", 0),
        "global_step": training.get("global_step", 0),
        "pytorch-lightning_version": training.get("lightning_version", _LIGHTNING_VERSION),
        "state_dict": state,
        # no loops: Lightning starts its own where a file has none, and fails on an empty one
        "callbacks": {},
        "optimizer_states": [],
        "lr_schedulers": [],
        "hparams_name": "kwargs",
        "hyper_parameters": sizes | {name: training[name] for name in TRAINING_PARAMETERS if name in training},
    }
