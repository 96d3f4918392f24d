"""FSDP as this training needs it: batches as they are, exact buffers, and checkpoints under the released names."""

from pathlib import Path
from typing import Any

import torch
from torch.distributed.fsdp import (
    FullOptimStateDictConfig,
    FullStateDictConfig,
    FullyShardedDataParallel,
    MixedPrecision,
    OptimStateKeyType,
    StateDictType,
)

from megxl.errors import InputError
from megxl.model.criss_cross import CrissCrossLayer
from megxl.training.module import PretrainModule

try:
    from lightning.pytorch.plugins.precision.fsdp import FSDPPrecision
    from lightning.pytorch.strategies import FSDPStrategy
except ModuleNotFoundError as error:
    raise InputError("Training needs Lightning: pip install 'megxl[train]'.") from error


class BatchesAsTheyAre(FSDPPrecision):
    """Autocast without a change of the inputs: Lightning's own cannot look into a frozen batch, and must not round it.

    Give it to the trainer as ``plugins=[BatchesAsTheyAre("bf16-mixed")]`` in place of ``precision``.
    """

    def convert_input(self, data: Any) -> Any:
        """Leave a batch as it is."""
        return data


class Sharded(FSDPStrategy):
    """Every layer a unit; weights and buffers stay float32 (code books and positions would suffer from bfloat16)."""

    def __init__(self, **options: Any) -> None:
        known = {"auto_wrap_policy": {CrissCrossLayer}, "state_dict_type": "full", "use_orig_params": True}
        # autocast rounds where rounding does no harm; FSDP itself must not
        super().__init__(mixed_precision=MixedPrecision(cast_root_forward_inputs=False), **(known | options))

    def load_checkpoint(self, checkpoint_path: str | Path, weights_only: bool | None = None) -> dict[str, Any]:
        """Read weights under the released names, and the state of the optimizer, on all ranks."""
        module, whole = self.lightning_module, self.model
        assert isinstance(module, PretrainModule) and whole is not None
        path = Path(self.broadcast(checkpoint_path))
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
        state = module.state_of(checkpoint.pop("state_dict"))
        on_all_ranks = FullStateDictConfig(rank0_only=False), FullOptimStateDictConfig(rank0_only=False)
        with FullyShardedDataParallel.state_dict_type(whole, StateDictType.FULL_STATE_DICT, *on_all_ranks):
            whole.load_state_dict(state)
            for optimizer, saved in zip(self.optimizers, checkpoint["optimizer_states"], strict=True):
                if isinstance(next(iter(saved["state"]), None), int):
                    # of a training that was not sharded
                    saved = FullyShardedDataParallel.rekey_optim_state_dict(saved, OptimStateKeyType.PARAM_NAME, whole)
                flat = FullyShardedDataParallel.optim_state_dict_to_load(whole, optimizer, saved)
                optimizer.load_state_dict(flat)
        return checkpoint
