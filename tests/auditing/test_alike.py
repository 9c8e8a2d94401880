"""Exposures of one thing are a group; different things, and things that are all alike, are not."""

import dirt as pictures
import numpy as np
import pytest
from PIL import Image

from ktg.auditing.alike import MOST, are_apart, find_alike
from ktg.data.decode import Geometry, fit
from ktg.data.images import Images


class Held:
    """Pixels in memory, as a store that `Images` reads."""

    def __init__(self, pixels):
        self.pixels, self.geometry = pixels, Geometry(pixels.shape[1], pixels.shape[3])

    def read(self, rows):
        return self.pixels[rows]


def images(some: list[Image.Image]) -> Images:
    geometry = Geometry(64, 3)
    pixels = np.stack([fit(image, geometry) for image in some])
    return Images(Held(pixels), np.arange(len(some)), np.zeros(len(some), dtype=np.int64))


def number(groups: np.ndarray) -> list[int]:
    """Return the numbers in the order of their first images, so that two may be compared."""
    known: dict[int, int] = {}
    return [known.setdefault(group, len(known)) for group in groups.tolist()]


THINGS = [pictures.picture(seed, side=100) for seed in range(30)]


def test_exposures_of_a_thing_are_a_group():
    shown = [
        pictures.expose(thing, 10 * row + k) for row, thing in enumerate(THINGS) for k in range(3)
    ]
    found = find_alike(images(shown)).reshape(30, 3)
    whole = [set(row) for row in found.tolist() if len(set(row)) == 1]
    assert len(whole) >= 28  # fine stripes that are moved a little are other pixels
    owners = [set(np.flatnonzero(found == group) // 3) for group in np.unique(found)]
    assert all(len(things) == 1 for things in owners)


def test_one_of_ten_is_enough_and_one_of_twenty_is_not():
    pair = [pictures.expose(THINGS[0], 1), pictures.expose(THINGS[1], 2)]
    found = find_alike(images([*THINGS[:20], *pair]))
    assert number(found) == [*range(20), 0, 1]
    assert find_alike(images([*THINGS, pair[0]])) is None


def test_different_pictures_are_no_groups():
    assert find_alike(images(THINGS)) is None


def test_things_that_are_all_alike_are_no_groups():
    shown = [pictures.expose(THINGS[0], seed) for seed in range(40)]
    assert find_alike(images(shown)) is None
    grey = [Image.new("RGB", (64, 64), (90, 90, 90))] * 10
    assert find_alike(images(grey)) is None


def test_handwritten_digits_are_no_groups():
    from sklearn.datasets import load_digits

    some = load_digits().images[:600].astype(np.uint8)[..., None] * 15
    held = Images(Held(some), np.arange(600), np.zeros(600, dtype=np.int64))
    assert find_alike(held) is None


@pytest.mark.parametrize("count", [1, 2, MOST + 1])
def test_too_few_and_too_many_are_not_looked_at(count):
    blank = Held(np.zeros((1, 8, 8, 1), np.uint8))
    assert find_alike(Images(blank, np.zeros(count, int), np.zeros(count, int))) is None


@pytest.mark.parametrize(("own", "other", "apart"), [(0.98, 0.90, True), (0.98, 0.93, False)])
def test_a_group_lacks_a_quarter_of_what_others_lack(own, other, apart):
    groups = np.array([0, 0, 1, 1])
    likeness = np.where(groups[:, None] == groups, own, other).astype(np.float32)
    assert are_apart(likeness, groups) == apart
