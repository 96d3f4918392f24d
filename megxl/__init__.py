"""MEG-XL: long-context models of non-invasive brain recordings.

>>> import megxl
>>> model = megxl.MEGXL.from_pretrained("meg-xl-med.ckpt")  # doctest: +SKIP
>>> features = model.embed(raw)  # doctest: +SKIP
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from megxl.extraction import embed_recording, load_embedding
    from megxl.model.megxl import MEGXL
    from megxl.signals.sensors import SensorArray
    from megxl.sizes import MEGXLConfig
    from megxl.tokenizer.biocodec import BioCodec
from megxl.sizes import BioCodecConfig

__version__ = "0.1.0"
__all__ = ["MEGXL", "BioCodec", "BioCodecConfig", "MEGXLConfig", "SensorArray", "embed_recording", "load_embedding"]

# imported on first use, so that `import megxl` stays under a second
_HOMES = {
    "MEGXL": "megxl.model.megxl",
    "MEGXLConfig": "megxl.sizes",
    "BioCodec": "megxl.tokenizer.biocodec",
    "BioCodecConfig": "megxl.sizes",
    "SensorArray": "megxl.signals.sensors",
    "embed_recording": "megxl.extraction",
    "load_embedding": "megxl.extraction",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'megxl' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
