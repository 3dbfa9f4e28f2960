"""What every test may ask for."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """The folder of shared data and golden values: ``AMG_SHARED``, else ``../shared``."""
    path = Path(os.environ.get("AMG_SHARED", ROOT.parent / "shared"))
    if not path.is_dir():
        pytest.skip(f"no shared data at {path.name!r} beside the checkout (set AMG_SHARED)")
    return path
