"""The features of a recording: what comes out of an extraction, and how it is saved and loaded.

Letters: C sensors, T tokens, W windows, D width, Q levels, V codes.
"""

import json
import zipfile
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from megxl.errors import InputError
from megxl.extraction.staging import META, is_archive, map_member, staging
from megxl.extraction.windows import Window
from megxl.signals.sensors import SensorArray

FORMAT = "megxl-embedding"
VERSION = 1


@dataclass(frozen=True, kw_only=True)
class Embedding:
    """Features of one recording, with all that is needed to use them."""

    features: np.ndarray
    """Shape (C, T, D) without pooling, (W, C, D) pooled per sensor, (T, D) per time; float32, 0 at bad sensors."""
    times_s: np.ndarray
    """Shape (T,): onset of each token in seconds from the recording's start."""
    sensors: SensorArray
    """The C sensors, in the order of the features."""
    bad: np.ndarray
    """Shape (C,), bool: sensors that took no part; their features are 0."""
    windows: list[Window]
    """The stretches that the model saw at once."""
    energy: np.ndarray
    """Shape (C,): squared norm of a sensor's features, mean over tokens."""
    code_usage: np.ndarray
    """Shape (Q, V): how often each code was drawn at each level, bad sensors left out."""
    settings: dict[str, Any]
    """What was asked for, and the preparation."""
    provenance: dict[str, Any]
    """The recording (nothing that identifies a person), the model, the codec, versions."""
    notes: list[str]
    """What a person should know about these features."""
    warning: str | None = None
    """Set when the weights were random or never trained: then the features mean nothing."""

    def save(self, out: str | Path, *, overwrite: bool = False) -> Path:
        """Write one .npz file, or a folder of memory-mappable .npy files if the name does not end in .npz.

        Raises
        ------
        InputError
            If `out` exists and `overwrite` is False, or cannot be written.
        """
        out = Path(out)
        with staging(out, overwrite=overwrite) as folder:
            np.save(folder / "features.npy", self.features)
            self.write_rest(folder)
        return out

    def write_rest(self, folder: Path) -> None:
        """Write all but the features into a folder that has them already."""
        for name, array in self._arrays().items():
            np.save(folder / f"{name}.npy", array)
        (folder / META).write_text(json.dumps(self.meta(), indent=1), encoding="utf-8")

    def meta(self) -> dict[str, Any]:
        """All that is not an array, JSON-able."""
        return {
            "format": FORMAT,
            "version": VERSION,
            "warning": self.warning,
            "notes": self.notes,
            "shape": list(self.features.shape),
            "settings": self.settings,
            "provenance": self.provenance,
            "windows": [asdict(window) for window in self.windows],
            "sensors": self.sensors.to_json(),
        }

    def _arrays(self) -> dict[str, np.ndarray]:
        return {
            "times_s": self.times_s,
            "bad": self.bad,
            "energy": self.energy,
            "code_usage": self.code_usage,
            "sensor_names": np.array(self.sensors.names),
        }


def load_embedding(path: str | Path) -> Embedding:
    """Read features that `Embedding.save` or `megxl embed` wrote; the features are mapped, not read.

    Raises
    ------
    InputError
        If the path does not exist, holds something else, or is damaged.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path} does not exist: give a folder or .npz file that `megxl embed` wrote.")
    if not is_embedding(path):
        raise InputError(
            f"{path.name} does not hold features of megxl, or is damaged or incomplete: "
            "give a folder or .npz file that `megxl embed` wrote."
        )
    meta = _read_meta(path)
    if meta["version"] > VERSION:
        raise InputError(
            f"{path.name} has format {meta['version']} of a newer megxl, this one reads {VERSION}: update megxl."
        )
    try:
        return _assemble(meta, _read_archive(path) if path.is_file() else _read_folder(path))
    except (FileNotFoundError, *_UNREADABLE) as error:
        raise InputError(
            f"{path.name} is damaged or incomplete ({' '.join(str(error).split())}): copy it again, "
            "or make it again with `megxl embed`."
        ) from error


def is_embedding(path: Path) -> bool:
    """Whether a folder or file holds features that this package wrote."""
    try:
        meta = _read_meta(path)
    except (FileNotFoundError, *_UNREADABLE):
        return False
    return isinstance(meta, dict) and meta.get("format") == FORMAT and "version" in meta


_UNREADABLE = (ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, zlib.error)
"""What numpy, json and zipfile raise for files of another kind, cut short, or with bytes that changed."""


def _assemble(meta: dict[str, Any], arrays: dict[str, np.ndarray]) -> Embedding:
    if list(arrays["features"].shape) != meta["shape"]:
        raise ValueError(f"features of shape {arrays['features'].shape} instead of {tuple(meta['shape'])}")
    return Embedding(
        sensors=SensorArray.from_json(meta["sensors"]),
        windows=[Window(**window) for window in meta["windows"]],
        settings=meta["settings"],
        provenance=meta["provenance"],
        notes=meta["notes"],
        warning=meta["warning"],
        **{name: arrays[name] for name in ("features", "times_s", "bad", "energy", "code_usage")},
    )


def _read_meta(path: Path) -> Any:
    if path.is_dir():
        return json.loads((path / META).read_text(encoding="utf-8"))
    if not is_archive(path):
        raise ValueError("neither a folder nor an .npz file")
    with np.load(path, allow_pickle=False) as archive:
        return json.loads(str(archive["meta"]))


def _read_folder(path: Path) -> dict[str, np.ndarray]:
    arrays = {file.stem: np.load(file, allow_pickle=False) for file in path.glob("*.npy") if file.stem != "features"}
    return arrays | {"features": np.load(path / "features.npy", mmap_mode="r")}


def _read_archive(path: Path) -> dict[str, np.ndarray]:
    with np.load(path, allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files if name not in ("features", "meta")}
    return arrays | {"features": map_member(path, "features")}
