"""What several test files share."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
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


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A learnable data set of 160 colour images of 8 x 8 pixels in 4 classes, as an .npz without splits."""
    random = np.random.default_rng(0)
    labels = np.arange(160) % 4
    images = random.integers(0, 120, (160, 8, 8, 3))
    for label in range(3):  # the class is the bright channel, or none
        images[labels == label, :, :, label] += 60
    path = tmp_path_factory.mktemp("tiny") / "tiny.npz"
    np.savez(path, x=images.astype(np.uint8), y=labels)
    return path


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the tests' caches out of the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KTG_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield
