"""The reference's numbers and checkpoints, and the rule by which codes are compared."""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from megxl.model.embedding import SensorTensors
from megxl.tokenizer.biocodec import BioCodec, rms_scale

NEAR_TIE = 1e-6
FLIPS_ALLOWED = 1e-3


class Golden:
    """Arrays of `reference_outputs.npz` as tensors, and the checkpoints beside it."""

    def __init__(self, folder: Path) -> None:
        self.codec = folder / "biocodec_ckpt.pt"
        self.model = folder / "megxl_small.ckpt"
        with np.load(folder / "reference_outputs.npz") as file:
            self._arrays = {name: file[name] for name in file.files}

    def __getitem__(self, name: str) -> Tensor:
        return torch.from_numpy(self._arrays[name])

    def text(self, name: str) -> list[str]:
        """Array of strings."""
        return self._arrays[name].tolist()

    @property
    def sensors(self) -> SensorTensors:
        """Sensors of the model's golden input."""
        return SensorTensors(self["sensor_xyz"], self["sensor_abc"], self["sensor_types"])


def assert_codes_match(codec: BioCodec, signal_N1T: Tensor, codes_NTQ: Tensor, golden_NTQ: Tensor) -> None:
    """Codes are equal but for float64 near-ties of the two best cosines, and the levels after such a flip."""
    differs_NTQ = codes_NTQ != golden_NTQ
    assert differs_NTQ.float().mean() <= FLIPS_ALLOWED
    exact = BioCodec(codec.config).double()
    exact.load_state_dict(codec.state_dict())
    with torch.no_grad():
        signal = signal_N1T.double()
        residual_NTD = exact.encoder(signal / rms_scale(signal)[..., None]).transpose(1, 2)
        for n, t in differs_NTQ.any(-1).nonzero().tolist():
            first = int(differs_NTQ[n, t].int().argmax())
            vector_D = residual_NTD[n, t]
            for q in range(first):
                vector_D = vector_D - exact.quantizer.levels[q].vectors(golden_NTQ[n, t, q])
            level = exact.quantizer.levels[first]
            cosines_V = F.normalize(level.code_book, dim=-1) @ F.normalize(level.project_in(vector_D), dim=-1)
            best, second = cosines_V.topk(2).values
            assert best - second < NEAR_TIE, f"row {n}, token {t}, level {first}: no tie, yet another code"
