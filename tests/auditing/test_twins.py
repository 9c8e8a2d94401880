"""Copies of every kind are found, and different pictures are not."""

import io

import dirt as pictures
import numpy as np
import pytest
from PIL import Image

from ktg.auditing.twins import find_twins, number_groups


def encode(image: Image.Image, quality: int) -> Image.Image:
    file = io.BytesIO()
    image.save(file, "jpeg", quality=quality)
    return Image.open(io.BytesIO(file.getvalue())).convert("RGB")


ORIGINALS = [pictures.picture(seed, side=100) for seed in range(40)]
COPIES = {
    "exact": lambda image: image.copy(),
    "resized": lambda image: image.resize((60, 60), Image.Resampling.BICUBIC),
    "encoded": lambda image: encode(image, 50),
    "cropped": lambda image: image.crop((1, 1, 99, 99)),
    "cut at a corner": lambda image: image.crop((2, 2, 100, 100)),
    "mirrored": lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
}


@pytest.mark.parametrize("kind", COPIES)
def test_copies_are_found_and_nothing_else(kind):
    made = [COPIES[kind](ORIGINALS[row]) for row in (3, 8, 20)]
    found = find_twins(pictures.images(*ORIGINALS, *made))
    assert [group.rows for group in found] == [(3, 40), (8, 41), (20, 42)]
    assert [group.exact for group in found] == [kind == "exact"] * 3
    assert all(0.95 <= group.likeness <= 1 for group in found)


def test_several_copies_are_one_group_and_its_images_share_a_number():
    copy = ORIGINALS[1].copy()
    small = COPIES["resized"](ORIGINALS[1])
    found = find_twins(pictures.images(*ORIGINALS[:12], copy, small, copy))
    assert [(group.rows, group.exact) for group in found] == [((1, 12, 13, 14), False)]
    assert number_groups(found, 15).tolist() == [*range(12), 1, 1, 1]


def test_features_find_candidates_that_small_pixels_do_not():
    # With one neighbour each, by features alone: image 1 is a copy of 0 whose pixels are nearest
    # to those of many others, which random features do not change.
    random = np.random.default_rng(0)
    features = random.normal(size=(41, 8))
    features[40] = features[5]
    found = find_twins(pictures.images(*ORIGINALS, COPIES["resized"](ORIGINALS[5])), features)
    assert [group.rows for group in found] == [(5, 40)]


def test_what_all_images_share_makes_no_twins():
    # A strong common pattern, as of cells on one ground: without it they are unlike.
    common = np.asarray(pictures.picture(99, side=64), np.float64)
    different = [np.asarray(pictures.picture(seed, side=64), np.float64) for seed in range(30)]
    mixed = [
        Image.fromarray((common + 0.08 * (each - 120)).clip(0, 255).astype(np.uint8))
        for each in different
    ]
    flat = [np.asarray(each, np.float64).ravel() for each in mixed[:2]]
    assert np.corrcoef(*flat)[0, 1] > 0.95
    assert find_twins(pictures.images(*mixed)) == []


@pytest.mark.parametrize("count", [1, 2])
def test_few_or_flat_images_are_no_twins(count):
    flat = [Image.new("RGB", (64, 64), (10 * level, 0, 0)) for level in range(count)]
    assert find_twins(pictures.images(*flat)) == []
