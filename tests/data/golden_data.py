"""The reference's numbers of the data layer, and the classes under their published names that must give them."""

import json
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

CLASSES = {
    "ArmeniMEGDataset": "brainstorm.data.armeni_dataset",
    "CamCANMEGDataset": "brainstorm.data.camcan_dataset",
    "ArmeniWordAlignedDataset": "brainstorm.data.armeni_word_aligned_dataset",
    "LibriBrainWordAlignedDataset": "brainstorm.data.libribrain_word_aligned_dataset",
}
WINDOWS = ("camcan/seg30", "camcan/seg150", "armeni/seg30", "armeni/seg150", "armeni/seg7_nopad")
WORDS = ("armeni/words50", "armeni/words10", "libribrain/words50", "libribrain/words10_250hz")


class GoldenData:
    """Arrays and expectations of `data_reference`, and datasets over the mini corpora, each prepared once."""

    def __init__(self, folder: Path, mini: Path, cache: Path) -> None:
        self.everything = json.loads((folder / "data_reference.json").read_text())
        self.expected = self.everything["expected"]
        self.arrays = np.load(folder / "data_reference.npz")
        self.mini, self.cache = mini, cache
        self._datasets: dict[str, Any] = {}

    def __getitem__(self, name: str) -> np.ndarray:
        return self.arrays[name]

    def __contains__(self, name: str) -> bool:
        return name in self.arrays

    def dataset(self, name: str) -> Any:
        """The class under its published name, with the arguments that made the golden numbers."""
        if name not in self._datasets:
            told = self.expected[name]
            kind = getattr(import_module(CLASSES[told["reference_class"]]), told["reference_class"])
            self._datasets[name] = kind(self.mini / told["root"], cache_dir=self.cache, **told["arguments"])
        return self._datasets[name]
