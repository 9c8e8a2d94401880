"""Small data sets on the disk, and a cache of its own for each test."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

Make = Callable[..., Path]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folders of cache and downloads, empty."""
    monkeypatch.setenv("KTG_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("KTG_DATA", str(tmp_path / "downloads"))
    return tmp_path / "cache"


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """A function that writes noise images: make({"cat": 3, "dog": 4}) -> folder of the data set."""

    def write(
        counts: Mapping[str, int],
        *,
        name: str = "set",
        size: tuple[int, int] = (12, 10),
        mode: str = "RGB",
    ):
        root = tmp_path / name
        random = np.random.default_rng(len(counts))
        for folder, count in counts.items():
            (root / folder).mkdir(parents=True)
            for number in range(count):
                pixels = random.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
                Image.fromarray(pixels).convert(mode).save(root / folder / f"{number:02d}.png")
        return root

    return write
