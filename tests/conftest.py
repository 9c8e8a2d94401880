"""What several test files share."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")


# The same examples in every run, and no time limits: a test that fails on a slow machine says nothing.
settings.register_profile("ktg", deadline=None, derandomize=True)
settings.load_profile("ktg")


@pytest.fixture(scope="session")
def shared() -> Path:
    """Real images, weights and reference numbers, which lie beside the checkout of a developer only."""
    folder = Path(os.environ.get("KTG_SHARED", Path(__file__).parents[2] / "shared"))
    if not (folder / "reference").is_dir():
        pytest.skip(f"needs the developers' reference folder, and {folder} does not exist (set KTG_SHARED)")
    return folder
