"""Views that are drawn once: the same for everybody, each its own, those of the augmentation."""

import gc
from pathlib import Path

import numpy as np
import pytest
import torch

from ktg.data import open_data
from ktg.data import views as module
from ktg.data.augment import AUGMENTS
from ktg.data.cache_limit import remove_unless_held
from ktg.data.views import open_view
from ktg.errors import DataError
from ktg.graph import Data


@pytest.fixture
def images(tiny):
    return open_data(Data(path=str(tiny))).train


def count_descriptors() -> int:
    return len(list(Path("/dev/fd").iterdir()))


def test_a_view_is_the_augmentation_rounded_to_8_bits(images, monkeypatch):
    drawn = {}

    def note(pixels, generator):
        drawn["view"] = AUGMENTS["basic"](pixels, generator)
        return drawn["view"]

    monkeypatch.setattr(module, "AUGMENTS", {"basic": note})
    view = open_view(images, "basic", 0, 0)
    assert (len(view), view.shape) == (len(images), images.shape)
    np.testing.assert_array_equal(view.labels, images.labels)
    shown = torch.from_numpy(view.read(range(len(view)))).permute(0, 3, 1, 2) / 255
    assert (shown - drawn["view"]).abs().max() <= 0.5 / 255 + 1e-6


def test_seed_number_and_augmentation_decide_and_the_second_time_nothing_is_drawn(
    images, monkeypatch
):
    first = open_view(images, "basic", 0, 0)
    others = [
        open_view(images, "basic", 0, 1),
        open_view(images, "basic", 1, 0),
        open_view(images, "crop", 0, 0),
    ]
    every = range(len(images))
    pixels = [view.read(every).tobytes() for view in (first, *others)]
    assert len(set(pixels)) == 4
    assert len({view.fingerprint for view in (first, *others, images)}) == 5
    monkeypatch.setattr(module, "AUGMENTS", {})
    again = open_view(images, "basic", 0, 0)
    assert again.read(every).tobytes() == pixels[0]
    assert again.fingerprint == first.fingerprint


def test_views_larger_than_a_piece_are_whole(images, monkeypatch):
    monkeypatch.setattr(module, "DRAWN_AT_ONCE", 50)
    view = open_view(images, "none", 0, 0)
    np.testing.assert_array_equal(view.read(range(len(images))), images.read(range(len(images))))


def test_a_cache_that_cannot_be_written_is_one_sentence(images, cache):
    (cache / "views").write_text("a file in its place")
    with pytest.raises(DataError, match=r"data\.views: views cannot be kept in .*views"):
        open_view(images, "basic", 0, 0)


def test_a_view_that_nobody_has_any_more_can_be_removed_and_costs_no_descriptor(images, cache):
    images.read([0])  # which opens their own file
    before = count_descriptors()
    views = [open_view(images, "basic", 0, number) for number in range(5)]
    for view in views:
        view.read([0])
    entries = sorted((cache / "views").glob("*.view"))
    assert count_descriptors() >= before + 5
    assert not any(map(remove_unless_held, entries))
    del view, views
    gc.collect()
    assert count_descriptors() == before
    assert all(map(remove_unless_held, entries))


@pytest.mark.parametrize("left", [0, 40, 1000])
def test_a_view_that_a_power_cut_has_left_torn_is_drawn_again(images, cache, left):
    every = range(len(images))
    pixels = open_view(images, "basic", 0, 0).read(every)
    (file,) = (cache / "views").glob("*.view/pixels.npy")
    with file.open("r+b") as opened:
        opened.truncate(left)
    again = open_view(images, "basic", 0, 0)
    np.testing.assert_array_equal(again.read(every), pixels)
