"""Folders and files that this process may not touch, also where the tests run as root."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def forbidden(mode: int, **files: bytes) -> Iterator[Path]:
    """A folder with files, all of the given mode (octal), while root is a common user; removed at the end."""
    folder = Path(tempfile.mkdtemp())
    for name, content in files.items():
        (folder / name).write_bytes(content)
        (folder / name).chmod(mode)
    folder.chmod(mode | 0o111)
    if os.getuid() == 0:
        os.setresuid(65534, 65534, 0)
    try:
        yield folder
    finally:
        if os.getresuid()[2] == 0:
            os.setresuid(0, 0, 0)
        folder.chmod(0o700)
        shutil.rmtree(folder)
