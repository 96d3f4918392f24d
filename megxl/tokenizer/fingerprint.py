"""Which tokenizer made some codes: a hash of its sizes and of every number in its weights."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from torch import Tensor

from megxl.errors import InputError
from megxl.tokenizer.biocodec import BioCodec


def codec_fingerprint(codec: BioCodec) -> str:
    """SHA-256 over a codec's config and its state tensors (names, shapes, types, bytes); the device plays no part.

    Raises
    ------
    InputError
        A codec that was folded for inference: its weights are not those it was loaded with.
    """
    if codec.folded:
        raise InputError("A folded codec cannot be told from its weights; take the codec that it was made from.")
    return fingerprint(asdict(codec.config), codec.state_dict())


def fingerprint(config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 over plain values and tensors (names, shapes, types, bytes); the device plays no part."""
    digest = hashlib.sha256(json.dumps(config, sort_keys=True).encode())
    for name, tensor in sorted(tensors.items()):
        values = tensor.detach().cpu().contiguous()
        digest.update(f"\n{name} {tuple(values.shape)} {values.dtype}\n".encode())
        digest.update(values.view(-1).numpy().tobytes())
    return digest.hexdigest()
