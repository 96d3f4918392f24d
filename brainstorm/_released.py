"""What both aliases share: state under the released names, strict whatever `strict` says."""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from torch import Tensor, nn

from megxl.checkpoints.checkpoint import Checkpoint
from megxl.checkpoints.matching import match, refuse_other_code_books
from megxl.checkpoints.names import table_of
from megxl.checkpoints.pretrained import Pretrained
from megxl.checkpoints.released import released_state
from megxl.checkpoints.rope import check_rope
from megxl.model.pairing import refuse_other_tokenizer
from megxl.tokenizer.biocodec import BioCodec


class Keys(NamedTuple):
    """What `load_state_dict` returns in torch."""

    missing_keys: list[str]
    unexpected_keys: list[str]


class Released(nn.Module):
    """A module of ours behind the released key names."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def _checkpoint(self) -> Checkpoint:
        return self.module.to_checkpoint()

    def state_dict(self, *args: Any, **kwargs: Any) -> "OrderedDict[str, Tensor]":
        """Tensors under the released names, in the released order."""
        return released_state(self._checkpoint(), type(self).__name__)

    def _refuse_other_tokenizer(self, checkpoint: Checkpoint) -> None:
        """Refuse a model's weights if another tokenizer was loaded before; a random one gives way to theirs."""
        tokenizer = self.module.tokenizer
        if isinstance(tokenizer, BioCodec) and tokenizer.provenance["weights"] != "random":
            refuse_other_tokenizer(checkpoint, tokenizer)

    def load_state_dict(self, state_dict: Mapping[str, Tensor], strict: bool = True, assign: bool = False) -> Keys:
        """Load tensors under the released names.

        `strict=False`, which the published lines pass, forgives the absence of the RoPE tables and nothing else: a
        wrong file must not leave random weights behind.
        """
        checkpoint = self._checkpoint()
        rows = table_of(checkpoint.kind, checkpoint.config)
        where = f"{type(self).__name__}.load_state_dict"
        tensors, _ = match(state_dict, rows, where)
        if checkpoint.kind == "megxl":
            refuse_other_code_books(tensors, where)
            check_rope(state_dict, checkpoint.config, where)
            self._refuse_other_tokenizer(replace(checkpoint, tensors=tensors))
        self.module.load_state_dict(tensors, assign=assign)
        for module in self.module.modules():
            if isinstance(module, Pretrained):
                # the file that the tensors came from, and how long they were trained, is not known here
                module.provenance = {"weights": "unknown", "format": "state dict"}
        return Keys([row.released for row in rows if row.released not in state_dict], [])
