"""Devices that a configuration asks for, against those that this machine has."""

import torch

from megxl.errors import InputError
from megxl.training.sections import TrainerConfig


def refuse_missing_devices(trainer: TrainerConfig) -> None:
    """Refuse devices that are not there, and what the chosen kind of them cannot do.

    Raises
    ------
    InputError
        No GPU or fewer than asked for; float16 or sharding without one of NVIDIA's; numbers of processors.
    """
    kind, count = _found(trainer.accelerator)
    asked = trainer.devices
    if kind == "cpu":
        if isinstance(asked, tuple):
            raise InputError(
                f"trainer.devices = {list(asked)} names GPUs by their numbers, but this run trains on the processor; "
                "give how many processes, as in trainer.devices=1."
            )
    else:
        lacking = [number for number in asked if number >= count] if isinstance(asked, tuple) else []
        if lacking or (isinstance(asked, int) and asked > count):
            raise InputError(
                f"trainer.devices = {list(asked) if isinstance(asked, tuple) else asked}, but this machine has {count} "
                "(numbered from 0); give no more, or auto."
            )
    for key, value, needs_cuda in (
        ("trainer.precision", trainer.precision, trainer.precision == "16-mixed"),
        ("trainer.strategy", trainer.strategy, trainer.strategy == "fsdp"),
    ):
        if needs_cuda and kind != "cuda":
            instead = "bf16-mixed or 32-true" if key == "trainer.precision" else "auto or ddp"
            raise InputError(f"{key} = {value} needs a GPU of NVIDIA's, and this run has none; give {instead}.")


def _found(accelerator: str) -> tuple[str, int]:
    """Kind of the devices that train, and how many of them there are (of processors, as many as are asked for)."""
    there = {"cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}
    kinds = {"auto": ("cuda", "mps", "cpu"), "gpu": ("cuda", "mps")}.get(accelerator, (accelerator,))
    for kind in kinds:
        if kind == "cpu":
            return kind, 0
        if there[kind]:
            return kind, there[kind]
    raise InputError(
        f"trainer.accelerator = {accelerator}, but no such device is found here; look what torch sees (nvidia-smi, "
        "torch.cuda.is_available()), or train on the processor with trainer.accelerator=cpu (machine=laptop)."
    )
