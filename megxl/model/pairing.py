"""Whether a tokenizer is the one whose codes a model reads: equal sizes are not enough, its numbers must be equal.

A model's file holds copies of the code books, and mostly the whole tokenizer, so that this needs no registry of names.
"""

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from megxl.checkpoints.checkpoint import Checkpoint
from megxl.checkpoints.names import CODE_BOOKS
from megxl.errors import InputError
from megxl.sizes import BioCodecConfig, MEGXLConfig
from megxl.tokenizer.biocodec import BioCodec

CARRIED = "tokenizer."
"""Beginning of the names of a carried codec's tensors."""
READS_CODES = (CODE_BOOKS, "embedding.code_projection.", "head.", CARRIED)
"""Beginnings of the names of what means something for the codes of one tokenizer alone."""
OF_CODES = ("levels", "codes", "code_width", "samples_per_token")
"""Sizes that a tokenizer and the model that reads its codes share."""
_STATISTICS = ("counts", "sums", "initialised")
"""Buffers of a code book that only its training looks at: no code depends on them."""


def refuse_other_sizes(tokenizer: BioCodecConfig, model: MEGXLConfig) -> None:
    """Refuse a tokenizer whose codes have other sizes than those that a model reads."""
    for name in OF_CODES:
        theirs, ours = getattr(tokenizer, name), getattr(model, name)
        if theirs != ours:
            raise InputError(
                f"The tokenizer has {name} = {theirs}, the model wants {ours}; they do not belong together."
            )


def refuse_other_tokenizer(checkpoint: Checkpoint, tokenizer: BioCodec) -> None:
    """Refuse a tokenizer that is not the one that the model in a checkpoint was trained with.

    Parameters
    ----------
    checkpoint : Checkpoint
        Of a model, with its codec or without: then its copies of the code books decide.
    tokenizer : BioCodec
        Not folded.

    Raises
    ------
    InputError
        It differs in its sizes, or in any number that its codes or its reconstruction depend on.
    """
    sizes = {name: value for name, value in checkpoint.config.items() if name != "tokenizer"}
    refuse_other_sizes(tokenizer.config, MEGXLConfig(**sizes))
    carried = carried_tensors(checkpoint)
    if carried:
        _refuse_other_codec(BioCodecConfig(**checkpoint.config["tokenizer"]), carried, tokenizer)
    elif not torch.equal(checkpoint.tensors[CODE_BOOKS], tokenizer.quantizer.code_books_QVK.cpu()):
        raise InputError(
            "The tokenizer's code books are not those that this model was trained with. "
            "Give the tokenizer that belongs to the model."
        )


def carried_tensors(checkpoint: Checkpoint) -> dict[str, Tensor]:
    """Tensors of the codec that a model's checkpoint carries, by the codec's own names; empty if it carries none."""
    return {
        name.removeprefix(CARRIED): tensor for name, tensor in checkpoint.tensors.items() if name.startswith(CARRIED)
    }


def _refuse_other_codec(config: BioCodecConfig, tensors: Mapping[str, Tensor], given: BioCodec) -> None:
    if given.folded:
        raise InputError("The tokenizer was folded and cannot be compared with the checkpoint's; give it unfolded.")
    difference = next(_differences(config, tensors, given), None)
    if difference is not None:
        raise InputError(
            f"The tokenizer given is not the one that this model was trained with (first difference: {difference}). "
            "Leave it out to use the one in the checkpoint."
        )


def _differences(config: BioCodecConfig, tensors: Mapping[str, Tensor], given: BioCodec) -> Iterator[str]:
    for name, ours in vars(config).items():
        if (theirs := getattr(given.config, name)) != ours:
            yield f"{name} = {theirs}, not {ours}"
    theirs = given.state_dict()
    for name, tensor in tensors.items():
        if not name.endswith(_STATISTICS) and not torch.equal(theirs[name].cpu(), tensor):
            yield name
