"""What all tests share: where the reference numbers and real recordings lie, and a steady torch."""

import fcntl
import hashlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import settings

from megxl.model.megxl import MEGXL
from megxl.tokenizer.biocodec import BioCodec
from tests.golden import Golden

# a busy machine is no error; what fails must fail again
settings.register_profile("megxl", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("megxl")

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder of reference numbers and real recordings beside the repository, or a skip that says so."""
    if not (SHARED / "golden" / "reference_outputs.npz").is_file():
        pytest.skip(
            f"needs {SHARED.name}/ beside the repository: the golden numbers and real recordings to compare with"
        )
    return SHARED


@pytest.fixture(scope="session")
def mini(shared: Path) -> Path:
    """Folder of miniature corpora in their native formats, as the golden numbers of the data were made from them.

    Built once for all test processes and kept in the temporary folder; nothing in it may be changed.
    """
    tools = shared / "tools"
    content = b"".join((tools / name).read_bytes() for name in ("build_mini_corpora.py", "extend_native.py"))
    place = Path(tempfile.gettempdir(), f"megxl-mini-{os.getuid()}-{hashlib.sha256(content).hexdigest()[:12]}")
    place.mkdir(exist_ok=True)
    with (place / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        built = place / "corpora"
        if not built.is_dir():
            with tempfile.TemporaryDirectory(dir=place) as folder:
                part = Path(folder, "corpora")
                command = [sys.executable, tools / "build_mini_corpora.py", shared / "realdata", part]
                subprocess.run([*command, "--seconds", "60", "--long", "160"], check=True, stdout=subprocess.DEVNULL)
                part.rename(built)
    return built


@pytest.fixture(autouse=True)
def _steady() -> Iterator[None]:
    """Begin with a seed, and leave as many threads as there were: results differ by them in a last bit."""
    torch.manual_seed(0)
    threads = torch.get_num_threads()
    yield
    if torch.get_num_threads() != threads:
        torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def golden(shared: Path) -> Golden:
    """Reference numbers and checkpoints."""
    return Golden(shared / "golden")


@pytest.fixture(scope="session")
def golden_codec(golden: Golden) -> BioCodec:
    """Codec of the golden checkpoint; not to be changed."""
    return BioCodec.from_pretrained(golden.codec)


@pytest.fixture
def two_threads() -> Iterator[None]:
    """The thread count at which the golden codes were made; another one turns a few near-ties the other way."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def golden_model(golden: Golden) -> MEGXL:
    """Model of the golden checkpoint, fresh for each test."""
    return MEGXL.from_pretrained(golden.model)
