"""Sizes of a checkpoint: measured on a codec's tensors, taken from a model's hyper-parameters, checked for sense."""

import math
import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from megxl.errors import InputError

CODEC_SIZES = ("filters", "strides", "blocks", "kernel", "lstm_layers", "width", "levels", "codes", "code_width")
MODEL_COUNTS = (
    "width", "layers", "heads", "levels", "codes", "code_width", "fourier_width", "sensor_kinds", "samples_per_token",
    "masked_blocks",
)  # fmt: skip
MODEL_NUMBERS = ("sfreq_hz", "mask_duration_s", "dropout")

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

RELEASED_DROPOUT = 0.1
"""Released files do not say it; the published recipe does."""
RELEASED_SAMPLES_PER_TOKEN = 12
"""For a model without its codec, whose strides would tell."""
_MOST = {"layers": 1000, "levels": 1000, "blocks": 1000, "lstm_layers": 1000}


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
        "samples_per_token": math.prod(codec["strides"]) if codec else RELEASED_SAMPLES_PER_TOKEN,
        "dropout": RELEASED_DROPOUT,
    }
    if codec:
        config["tokenizer"] = dict(codec)
    theirs = {ours: f"hyper_parameters: {name}" for name, ours in HYPER_PARAMETERS.items()}
    check_model_sizes(config, where, theirs)
    return config


def checked_sizes(kind: str, config: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Sizes of either kind after the checks below, with tuples where JSON gives lists."""
    if kind == "biocodec":
        check_codec_sizes(config, where)
        return {**config, "strides": tuple(config["strides"])}
    check_model_sizes(config, where)
    if "tokenizer" not in config:
        return dict(config)
    return {**config, "tokenizer": checked_sizes("biocodec", config["tokenizer"], where)}


def check_codec_sizes(config: Mapping[str, Any], where: str) -> None:
    """Refuse a codec's sizes that are incomplete, unknown or impossible."""
    _check_names(config, CODEC_SIZES, where)
    for name in CODEC_SIZES:
        values = config[name] if name == "strides" else (config[name],)
        if not isinstance(values, list | tuple) or not values or len(values) > 100:
            raise InputError(f"{where}: strides must be a list of whole numbers, not {values!r}.")
        for value in values:
            _check_count(value, name, where, least=0 if name == "blocks" else 1)


def check_model_sizes(config: Mapping[str, Any], where: str, known_as: Mapping[str, str] | None = None) -> None:
    """Refuse a model's sizes that are incomplete, unknown, impossible, or at odds with the codec it carries.

    Parameters
    ----------
    config : mapping
        Keyword arguments of MEGXLConfig, and perhaps "tokenizer".
    where : str
        File, for the message.
    known_as : mapping, optional
        What the file calls a size, for the message.
    """
    said = {**{name: name for name in config}, **(known_as or {})}
    _check_names({k: v for k, v in config.items() if k != "tokenizer"}, MODEL_COUNTS + MODEL_NUMBERS, where)
    for name in MODEL_COUNTS:
        _check_count(config[name], said[name], where, least=1, most=_MOST.get(name))
    for name in MODEL_NUMBERS:
        value = config[name]
        number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        if not number or value < 0 or (name != "dropout" and value == 0) or (name == "dropout" and value >= 1):
            raise InputError(f"{where}: {said[name]} = {value!r} is not allowed.")
    width, heads = config["width"], config["heads"]
    if heads % 2 or width % (2 * heads):
        raise InputError(
            f"{where}: {said['heads']} = {heads} does not fit {said['width']} = {width}: half of the heads look along "
            "time and half across sensors, so they must be even in number, and the width a multiple of twice that."
        )
    if config["fourier_width"] % 2:
        raise InputError(
            f"{where}: {said['fourier_width']} = {config['fourier_width']} must be even (sines and cosines)."
        )
    if "tokenizer" in config:
        _check_codec_fits(config, where)


def _check_codec_fits(config: Mapping[str, Any], where: str) -> None:
    codec = config["tokenizer"]
    if not isinstance(codec, Mapping):
        raise InputError(f"{where}: the sizes of the carried codec are {codec!r}.")
    check_codec_sizes(codec, f"{where} (tokenizer)")
    theirs = {
        **{name: codec[name] for name in ("levels", "codes", "code_width")},
        "samples_per_token": math.prod(codec["strides"]),
    }
    for name, value in theirs.items():
        if config[name] != value:
            raise InputError(
                f"{where}: the model has {name} = {config[name]!r}, but the codec that it carries has {value!r}."
            )


def _check_names(config: Mapping[str, Any], names: tuple[str, ...], where: str) -> None:
    absent, unknown = sorted(set(names) - set(config)), sorted(set(config) - set(names))
    if absent or unknown:
        parts = [f"lacks {', '.join(absent)}"] * bool(absent) + [f"has unknown {', '.join(unknown)}"] * bool(unknown)
        raise InputError(
            f"{where}: the configuration {' and '.join(parts)}; it may come from a newer version of megxl."
        )


def _check_count(value: Any, name: str, where: str, *, least: int, most: int | None = None) -> None:
    # bounded, so that a nonsense number cannot ask for an endless table of names
    most = most or _MOST.get(name, 10**7)
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise InputError(f"{where}: {name} = {value!r}; a whole number from {least} to {most} is expected.")


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
