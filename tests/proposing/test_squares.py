"""Oblong images become squares in the way that a probe prefers."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def tiles(tmp_path: Path):
    """Write grey noise, 24 x 60 pixels, whose classes differ in a strip: at the border or not."""

    def write(place: slice, width: int = 60) -> Path:
        random = np.random.default_rng(0)
        for name, value in (("black", 0), ("white", 255)):
            folder = tmp_path / f"tiles{place.start}-{width}" / name
            folder.mkdir(parents=True)
            for number in range(30):
                pixels = random.integers(90, 160, (24, width, 3)).astype(np.uint8)
                pixels[:, place] = value
                Image.fromarray(pixels).save(folder / f"{number}.png")
        return folder.parent

    return write


def test_what_is_only_at_the_border_needs_the_whole_image(plan, tiles, in_zoo):
    in_zoo("small")
    found = plan(tiles(slice(0, 10)), target="resnet8")
    assert found.images.oblong == pytest.approx(2.5)
    assert found.squares.resize == "stretch"
    assert found.squares.scores["stretch"] > found.squares.scores["crop"] + 0.2
    # What a teacher is compared with was measured on whole images, too.
    assert found.ranking.scores[found.sources[0]] == found.squares.scores["stretch"]


def test_the_centre_is_kept_where_the_whole_image_is_no_better(plan, tiles, in_zoo):
    in_zoo("small")
    squares = plan(tiles(slice(20, 40)), target="resnet8").squares
    assert squares.resize == "crop"
    assert set(squares.scores) == {"crop", "stretch"}


def test_square_images_and_networks_from_nothing_leave_nothing_to_measure(plan, tiles, in_zoo):
    assert plan(tiles(slice(0, 10)), target="resnet8").squares.scores == {}
    in_zoo("small")
    found = plan(tiles(slice(0, 6), width=24), target="resnet8")
    assert (found.squares.resize, found.squares.scores) == ("crop", {})
