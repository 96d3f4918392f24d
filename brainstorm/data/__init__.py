"""Published place of the data classes (alias); they are imported when they are asked for."""

from importlib import import_module
from typing import Any

_PLACES = {
    "ArmeniMEGDataModule": "lightning_datamodule",
    "ArmeniMEGDataset": "armeni_dataset",
    "ArmeniWordAlignedDataset": "armeni_word_aligned_dataset",
    "CamCANMEGDataset": "camcan_dataset",
    "GwilliamsMEGDataset": "gwilliams_dataset",
    "GwilliamsWordAlignedDataset": "gwilliams_word_aligned_dataset",
    "LibriBrainMEGDataset": "libribrain_dataset",
    "LibriBrainWordAlignedDataset": "libribrain_word_aligned_dataset",
    "MultiMEGDataModule": "multi_datamodule",
    "MultiMEGDataset": "multi_dataset",
    "OmegaMEGDataset": "omega_dataset",
    "RecordingShuffleSampler": "samplers",
    "SchoffelenMEGDataset": "schoffelen_dataset",
    "SMN4LangMEGDataset": "smn4lang_dataset",
    "SubsampledRecordingDataset": "subsampled_dataset",
}
__all__ = sorted(_PLACES)


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
