"""Files in the released formats with random weights of small sizes, and ways to spoil them."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from megxl.checkpoints.names import codec_rows, model_rows
from megxl.checkpoints.rope import rope_tables

CODEC = {
    "filters": 4, "strides": (2, 2, 3), "blocks": 2, "kernel": 3, "lstm_layers": 2, "width": 8, "levels": 3,
    "codes": 16, "code_width": 4,
}  # fmt: skip
MODEL = {
    "width": 16, "layers": 2, "heads": 4, "levels": 3, "codes": 16, "code_width": 4, "fourier_width": 10,
    "sensor_kinds": 2,
    "sfreq_hz": 50, "samples_per_token": 12, "mask_duration_s": 3.0, "masked_blocks": 5, "dropout": 0.1,
}  # fmt: skip
HYPER = {
    "latent_dim": "width", "num_layers": "layers", "num_heads": "heads", "vocab_size": "codes",
    "learning_rate": 1e-4, "warmup_steps": 250,
    "training_steps": 9000, "mask_duration": "mask_duration_s", "num_subsegments_to_mask": "masked_blocks",
    "sampling_rate": "sfreq_hz",
    "fourier_pos_dim": "fourier_width",
}  # fmt: skip


def codec_state(config: dict = CODEC) -> dict[str, Tensor]:
    return {row.released: torch.randn(row.shape) for row in codec_rows(config)}


def model_state(config: dict = MODEL, codec: dict | None = CODEC, rope_length: int = 240) -> dict[str, Tensor]:
    rows = model_rows(config if codec is None else {**config, "tokenizer": codec})
    frequencies, rotations = rope_tables(config["width"], rope_length)
    state = {}
    for row in rows:
        if row.ours is None:
            state[row.released] = frequencies if row.released.endswith("freqs") else rotations
        else:
            state[row.released] = torch.randn(row.shape)
    for level in range(config["levels"] if codec else 0):
        state[f"biocodec_embedding_{level}"] = state[f"tokenizer.quantizer.vq.layers.{level}._codebook.embed"].clone()
    return state


def hyper_parameters(config: dict = MODEL) -> dict[str, Any]:
    return {name: config[value] if isinstance(value, str) else value for name, value in HYPER.items()}


def codec_content(state: dict[str, Tensor] | None = None, prefix: str = "_orig_mod.", **more: Any) -> dict[str, Any]:
    state = codec_state() if state is None else state
    content = {"epoch": 3, "model_state_dict": {prefix + name: tensor for name, tensor in state.items()}}
    return content | {"optimizer_state_dict": {}, "scheduler_state_dict": {}} | more


def model_content(state: dict[str, Tensor] | None = None, **more: Any) -> dict[str, Any]:
    content = {
        "epoch": 1, "global_step": 113000, "pytorch-lightning_version": "2.5.1",
        "state_dict": model_state() if state is None else state,
        "loops": {"fit_loop": {"state_dict": {}}}, "callbacks": {}, "optimizer_states": [], "lr_schedulers": [],
        "hparams_name": "kwargs", "hyper_parameters": hyper_parameters(),
    }  # fmt: skip
    return content | more


def saved(path: Path, content: Any, **options: Any) -> Path:
    torch.save(content, path, **options)
    return path


def codec_file(folder: Path, state: dict[str, Tensor] | None = None, **more: Any) -> Path:
    return saved(folder / "codec.pt", codec_content(state, **more))


def model_file(folder: Path, state: dict[str, Tensor] | None = None, **more: Any) -> Path:
    return saved(folder / "model.ckpt", model_content(state, **more))


def assert_same_tensors(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert list(found) == list(expected)
    for name, tensor in expected.items():
        assert found[name].dtype == tensor.dtype and torch.equal(found[name], tensor), name
