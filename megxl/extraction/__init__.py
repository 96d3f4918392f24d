"""From a recording to the model's features: MNE on one side, the model on the other."""

from megxl.extraction.embedding import Embedding, is_embedding, load_embedding
from megxl.extraction.recording import embed_prepared, embed_recording, prepare_recording
from megxl.extraction.run import Progress, check_model
from megxl.extraction.settings import ExtractionSettings
from megxl.extraction.staging import check_output
from megxl.extraction.windows import Window, cut_windows

__all__ = [
    "Embedding",
    "ExtractionSettings",
    "Progress",
    "Window",
    "check_model",
    "check_output",
    "cut_windows",
    "embed_prepared",
    "embed_recording",
    "is_embedding",
    "load_embedding",
    "prepare_recording",
]
