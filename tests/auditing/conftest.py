"""A folder of pictures with dirt among them."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from dirt import COLOURS, picture
from PIL import Image


@pytest.fixture(scope="session")
def dirty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of three colours in three splits, with one thing of every kind that is wrong."""
    root = tmp_path_factory.mktemp("dirty")
    for number, (name, colour) in enumerate(COLOURS.items()):
        for split, count in (("train", 16), ("val", 4), ("test", 4)):
            (root / split / name).mkdir(parents=True)
            for place in range(count):
                seed = 1000 * number + 100 * len(split) + place
                picture(seed, colour).save(root / split / name / f"{place}.png")
    shutil.copy(root / "train/red/0.png", root / "test/red/leak.png")
    image = Image.open(root / "train/blue/1.png")
    image.resize((48, 48), Image.Resampling.BICUBIC).save(root / "train/blue/small.png")
    Image.open(root / "train/green/2.png").save(root / "train/red/green.jpg", quality=70)
    picture(7777, COLOURS["blue"]).save(root / "train/green/really_blue.png")
    noise = np.random.default_rng(0).integers(0, 2, (64, 64)) * 255
    Image.fromarray(noise.astype(np.uint8)).save(root / "train/red/stranger.png")
    return root
