"""Features on disk, put in place when they are complete, and arrays that outgrow the memory.

An output is a folder of .npy files and a meta.json, or the same in one .npz file; both are built in a hidden folder.
"""

import re
import shutil
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np

from megxl.errors import InputError
from megxl.placing import free_to_write, placed

META = "meta.json"
_ENDING = re.compile(r"\.(?!v\d+$)[A-Za-z]\w{0,7}")
"""What promises a file of some format; a number or version (run.2, run.v2) promises none."""


def is_archive(out: Path) -> bool:
    """Whether an output of this name is one .npz file instead of a folder."""
    return out.suffix.lower() == ".npz"


def check_output(out: Path, *, overwrite: bool) -> None:
    """Raise an `InputError` if an output must not or cannot be put at `out`."""
    if _ENDING.fullmatch(out.suffix) and not is_archive(out):
        raise InputError(
            f"{out.name}: features are written to one file that ends in .npz, or to a folder of .npy files, "
            f"whose name must not end in {out.suffix}."
        )
    free_to_write(out, overwrite=overwrite, ours=None if is_archive(out) else _holds_features_alone)


@contextmanager
def staging(out: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Give a hidden folder to fill; put it in place as `out` when the block ends well, remove it when not."""
    check_output(out, overwrite=overwrite)
    archive = is_archive(out)
    with placed(out, folder=not archive, workspace=archive) as part:
        yield part
        if archive:
            _pack(part, part / out.name)


def check_space(folder: Path, n_bytes: int) -> None:
    """Raise an `InputError` if the disk of `folder` has less than `n_bytes` to spare."""
    free = shutil.disk_usage(folder).free
    if free < n_bytes:
        raise InputError(
            f"The features need {n_bytes / 1e9:.1f} GB and {folder.parent} has {free / 1e9:.1f} GB free: "
            "write them elsewhere or pool them (--pooling sensor or time)."
        )


class GrowingArray:
    """An array that is filled part by part: in memory, or in a .npy file that is mapped only while it is written to."""

    def __init__(self, shape: tuple[int, ...], path: Path | None = None) -> None:
        self.shape, self.path = shape, path
        if path is None:
            self._array = np.zeros(shape, np.float32)
        else:
            np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=shape)

    def write(self, index: Any, values: np.ndarray) -> None:
        """Set `self[index]`."""
        # mapped afresh each time: pages of a long-lived map would count as this process's memory
        target = self._array if self.path is None else np.lib.format.open_memmap(self.path, mode="r+")
        target[index] = values

    def read(self) -> np.ndarray:
        """Give the whole array, mapped if it lies in a file."""
        return self._array if self.path is None else np.load(self.path, mmap_mode="r")


def map_member(archive: Path, name: str) -> np.ndarray:
    """Map one array of an uncompressed .npz file without reading it."""
    with zipfile.ZipFile(archive) as source, archive.open("rb") as file:
        info = source.getinfo(f"{name}.npy")
        if info.compress_type != zipfile.ZIP_STORED:
            with source.open(info) as member:
                return np.lib.format.read_array(cast(BinaryIO, member), allow_pickle=False)
        # a member's data follow its local header: 30 bytes, the name and an extra field
        file.seek(info.header_offset + 26)
        file.seek(sum(int.from_bytes(file.read(2), "little") for _ in range(2)), 1)
        major, _ = np.lib.format.read_magic(file)
        read_header = np.lib.format.read_array_header_1_0 if major == 1 else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = read_header(file)
        return np.memmap(file, dtype, "r", file.tell(), shape, "F" if fortran else "C")


def _holds_features_alone(folder: Path) -> bool:
    """Whether a folder has what an extraction writes; what else is in it is refused by name."""
    names = sorted(path.name for path in folder.iterdir())
    stranger = next((name for name in names if name != META and not name.endswith(".npy")), None)
    if stranger is not None:
        raise InputError(
            f"{folder} is a folder with something else in it ({stranger}) and is never replaced: choose another name."
        )
    return META in names


def _pack(folder: Path, archive: Path) -> None:
    """Turn a folder of arrays and meta.json (as an array of one string, `meta`) into numpy's own .npz, uncompressed."""
    np.save(folder / "meta.npy", np.array((folder / META).read_text(encoding="utf-8")))
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED, allowZip64=True) as target:
        for path in sorted(folder.glob("*.npy")):
            # without a date, equal features make equal files
            with path.open("rb") as source, target.open(zipfile.ZipInfo(path.name), "w", force_zip64=True) as member:
                shutil.copyfileobj(source, member, 1 << 20)
            path.unlink()
