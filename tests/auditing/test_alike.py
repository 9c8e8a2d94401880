"""Exposures of one thing are a group; different things, and things that are all alike, are not."""

import dirt as pictures
import numpy as np
import pytest
from PIL import Image

from ktg.auditing.alike import MOST, are_apart, find_alike
from ktg.data.images import Images


def number(groups: np.ndarray) -> list[int]:
    """Return the numbers in the order of their first images, so that two may be compared."""
    known: dict[int, int] = {}
    return [known.setdefault(group, len(known)) for group in groups.tolist()]


THINGS = [pictures.picture(seed, side=100) for seed in range(30)]


def test_exposures_of_a_thing_are_a_group():
    shown = [
        pictures.expose(thing, 10 * row + k) for row, thing in enumerate(THINGS) for k in range(3)
    ]
    found = find_alike(pictures.images(*shown)).reshape(30, 3)
    whole = [set(row) for row in found.tolist() if len(set(row)) == 1]
    assert len(whole) >= 28  # fine stripes that are moved a little are other pixels
    owners = [set(np.flatnonzero(found == group) // 3) for group in np.unique(found)]
    assert all(len(things) == 1 for things in owners)


def test_one_of_ten_is_enough_and_one_of_twenty_is_not():
    pair = [pictures.expose(THINGS[0], 1), pictures.expose(THINGS[1], 2)]
    found = find_alike(pictures.images(*THINGS[:20], *pair))
    assert number(found) == [*range(20), 0, 1]
    assert find_alike(pictures.images(*THINGS, pair[0])) is None


def test_different_pictures_are_no_groups():
    assert find_alike(pictures.images(*THINGS)) is None


def test_things_that_are_all_alike_are_no_groups():
    shown = [pictures.expose(THINGS[0], seed) for seed in range(40)]
    assert find_alike(pictures.images(*shown)) is None
    grey = [Image.new("RGB", (64, 64), (90, 90, 90))] * 10
    assert find_alike(pictures.images(*grey)) is None


def test_handwritten_digits_are_no_groups():
    from sklearn.datasets import load_digits

    some = load_digits().images[:600].astype(np.uint8)[..., None] * 15
    held = Images(pictures.Held(some), np.arange(600), np.zeros(600, dtype=np.int64))
    assert find_alike(held) is None


@pytest.mark.parametrize("count", [1, 2, MOST + 1])
def test_too_few_and_too_many_are_not_looked_at(count):
    blank = pictures.Held(np.zeros((1, 8, 8, 1), np.uint8))
    assert find_alike(Images(blank, np.zeros(count, int), np.zeros(count, int))) is None


@pytest.mark.parametrize(("own", "other", "apart"), [(0.98, 0.90, True), (0.98, 0.93, False)])
def test_a_group_lacks_a_quarter_of_what_others_lack(own, other, apart):
    groups = np.array([0, 0, 1, 1])
    likeness = np.where(groups[:, None] == groups, own, other).astype(np.float32)
    assert are_apart(likeness, groups) == apart
