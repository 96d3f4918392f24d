"""What all tests share: where the reference numbers and real recordings lie, and a steady torch."""

from pathlib import Path

import pytest
import torch

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder of reference numbers and real recordings beside the repository, or a skip that says so."""
    if not (SHARED / "golden" / "reference_outputs.npz").is_file():
        pytest.skip(f"needs the reference data in {SHARED.name}/ beside the repository: compared with golden numbers or real recordings")
    return SHARED


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)
