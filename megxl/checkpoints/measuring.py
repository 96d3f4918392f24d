"""Sizes of a checkpoint: measured on a codec's tensors, taken from a model's hyper-parameters, checked for sense."""

import math
import re
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any, TypeVar

from torch import Tensor

from megxl.checkpoints.checkpoint import Kind
from megxl.errors import InputError
from megxl.sizes import BioCodecConfig, MEGXLConfig

Sizes = TypeVar("Sizes", BioCodecConfig, MEGXLConfig)

HYPER_PARAMETERS = {
    "latent_dim": "width",
    "num_layers": "layers",
    "num_heads": "heads",
    "vocab_size": "codes",
    "mask_duration": "mask_duration_s",
    "num_subsegments_to_mask": "masked_blocks",
    "sampling_rate": "sfreq_hz",
    "fourier_pos_dim": "fourier_width",
}
TRAINING_PARAMETERS = ("learning_rate", "warmup_steps", "training_steps")


def codec_sizes(found: Mapping[str, Tensor], where: str) -> dict[str, Any]:
    """Sizes of a BioCodec, measured on its tensors under released names (without prefix).

    Raises
    ------
    InputError
        The tensors that tell the sizes are missing or of another kind of network.
    """
    weight = "conv.conv.parametrizations.weight.original1"
    recurrent = _only_place(found, r"encoder\.model\.(\d+)\.lstm\.weight_ih_l0", where)
    blocks = _count(found, "encoder.model.{}.block.1." + weight, first=1)
    stages, odd = divmod(recurrent - 1, blocks + 2)
    if odd or not stages:
        raise InputError(
            f"{where}: not a BioCodec: its LSTM stands at encoder.model.{recurrent}, "
            "which no whole number of stages gives."
        )
    kernels = [_shape(found, f"encoder.model.{(blocks + 2) * (s + 1)}.{weight}", 3, where)[2] for s in range(stages)]
    if any(kernel < 2 or kernel % 2 for kernel in kernels):
        raise InputError(
            f"{where}: the kernels of the strided convolutions are {kernels}; twice the stride is expected."
        )
    filters, _, kernel = _shape(found, f"encoder.model.0.{weight}", 3, where)
    codes, code_width = _shape(found, "quantizer.vq.layers.0._codebook.embed", 2, where)
    return {
        "filters": filters,
        "strides": tuple(kernel // 2 for kernel in kernels),
        "blocks": blocks,
        "kernel": kernel,
        "lstm_layers": _count(found, f"encoder.model.{recurrent}.lstm.weight_ih_l{{}}"),
        "width": _shape(found, f"encoder.model.{recurrent + 2}.{weight}", 3, where)[0],
        "levels": _count(found, "quantizer.vq.layers.{}._codebook.embed"),
        "codes": codes,
        "code_width": code_width,
    }


def model_sizes(
    found: Mapping[str, Tensor], hyper: Mapping[str, Any], codec: Mapping[str, Any] | None, where: str
) -> dict[str, Any]:
    """Sizes of a MEG-XL model, from a Lightning file's hyper-parameters and from tensors where those do not say.

    Raises
    ------
    InputError
        A hyper-parameter is missing, makes no sense, or contradicts the tensors.
    """
    absent = [name for name in HYPER_PARAMETERS if name not in hyper]
    if absent:
        raise InputError(f"{where}: hyper_parameters lacks {', '.join(absent)}, so that the model's sizes are unknown.")
    layers = _count(found, "criss_cross_transformer.layers.{}.pre_attn_norm.weight")
    if hyper["num_layers"] != layers:
        raise InputError(
            f"{where}: hyper_parameters says num_layers = {hyper['num_layers']!r}, but the file holds {layers} layers."
        )
    config: dict[str, Any] = {ours: hyper[theirs] for theirs, ours in HYPER_PARAMETERS.items()}
    config |= {
        "levels": _count(found, "biocodec_embedding_{}"),
        "code_width": _shape(found, "biocodec_embedding_0", 2, where)[1],
        "sensor_kinds": _shape(found, "sensor_type_layer.weight", 2, where)[0],
    }
    if codec:
        config |= {"samples_per_token": math.prod(codec["strides"]), "tokenizer": dict(codec)}
    # what a released file does not say (dropout, and the samples in a token where no codec tells) is as published
    unsaid = {name: value for name, value in asdict(MEGXLConfig()).items() if name not in config}
    return checked_sizes("megxl", config | unsaid, f"{where} (hyper_parameters)")


def reconciled(stored: Any, measured: Mapping[str, Any], kind: Kind, where: str) -> dict[str, Any]:
    """Sizes that megxl stored in a released file, which alone tell all, if they are those that the file itself shows.

    Raises
    ------
    InputError
        They differ in anything but what the file cannot show.
    """
    if not isinstance(stored, Mapping):
        raise InputError(f"{where} must be a table of sizes, not {stored!r}.")
    config = checked_sizes(kind, stored, where)
    unsaid = ("dropout",) if "tokenizer" in measured else ("dropout", "samples_per_token")
    for name in {**config, **measured}:
        if name not in unsaid and config.get(name) != measured.get(name):
            raise InputError(
                f"{where} says {name} = {config.get(name)!r}, but the rest of the file {measured.get(name)!r}: "
                "the file was changed after it was written."
            )
    return config


def checked_sizes(kind: Kind, config: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Sizes of either kind once their dataclass takes them, with tuples where JSON gives lists.

    Raises
    ------
    InputError
        They are incomplete, unknown, impossible, or at odds with those of the codec that a model carries.
    """
    if kind == "biocodec":
        return asdict(_built(BioCodecConfig, config, where))
    sizes = _built(MEGXLConfig, {name: value for name, value in config.items() if name != "tokenizer"}, where)
    if "tokenizer" not in config:
        return asdict(sizes)
    if not isinstance(config["tokenizer"], Mapping):
        raise InputError(f"{where}: the sizes of the carried codec are {config['tokenizer']!r}.")
    codec = _built(BioCodecConfig, config["tokenizer"], f"{where} (tokenizer)")
    for name in ("levels", "codes", "code_width", "samples_per_token"):
        if getattr(sizes, name) != getattr(codec, name):
            raise InputError(
                f"{where}: the model has {name} = {getattr(sizes, name)!r}, "
                f"but the codec that it carries has {getattr(codec, name)!r}."
            )
    return asdict(sizes) | {"tokenizer": asdict(codec)}


def _built(kind: type[Sizes], config: Mapping[str, Any], where: str) -> Sizes:
    names = [field.name for field in fields(kind)]
    absent, unknown = sorted(set(names) - set(config)), sorted(set(config) - set(names))
    if absent or unknown:
        parts = [f"lacks {', '.join(absent)}"] * bool(absent) + [f"has unknown {', '.join(unknown)}"] * bool(unknown)
        raise InputError(
            f"{where}: the configuration {' and '.join(parts)}; it may come from a newer version of megxl."
        )
    try:
        return kind(**config)
    except InputError as error:
        raise InputError(f"{where}: {error}") from error


def _count(found: Mapping[str, Tensor], pattern: str, first: int = 0) -> int:
    """How many of the names, numbered without a gap, are there."""
    number = first
    while pattern.format(number) in found:
        number += 1
    return number - first


def _only_place(found: Mapping[str, Tensor], pattern: str, where: str) -> int:
    places = [int(match[1]) for match in (re.fullmatch(pattern, name) for name in found) if match]
    if len(places) != 1:
        raise InputError(f"{where}: not a BioCodec: its encoder has {len(places)} LSTMs, one is expected.")
    return places[0]


def _shape(found: Mapping[str, Tensor], name: str, rank: int, where: str) -> tuple[int, ...]:
    if name not in found:
        raise InputError(f"{where}: {name} is missing, so that the sizes are unknown.")
    shape = tuple(found[name].shape)
    if len(shape) != rank:
        raise InputError(f"{where}: {name} has the shape {shape}; {rank} axes are expected.")
    return shape
