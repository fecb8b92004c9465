import os
from pathlib import Path

# Before torch is imported anywhere: tiny models run many times faster on one thread, and no test asks a hub.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with real captures and yardsticks; tests that need it are skipped where it is absent."""
    folder = Path(os.environ.get("FACELM_SHARED", ROOT.parent / "shared"))
    if not (folder / "data" / "MANIFEST.md").is_file():
        pytest.skip("no shared captures: neither ../shared nor $FACELM_SHARED holds data/MANIFEST.md")
    return folder


@pytest.fixture(scope="session")
def fixtures() -> Path:
    """The small self-made files committed under tests/fixtures."""
    return ROOT / "tests" / "fixtures"
