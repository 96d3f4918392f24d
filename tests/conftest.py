"""What all tests share: where the reference numbers and real recordings lie, and a steady torch."""

import os
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


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


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
