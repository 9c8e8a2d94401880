"""Places and views of images: in the order asked for, each view that of everybody else."""

from pathlib import Path

import numpy as np
import pytest
import torch

from ktg.data import Images, open_data
from ktg.data.views import open_view
from ktg.graph import Data
from ktg.training.shown_images import Places, ShownImages

CPU = torch.device("cpu")


@pytest.fixture
def images(tiny: Path) -> Images:
    return open_data(Data(path=str(tiny))).train


def pixels_of(images: Images, rows: list[int]) -> torch.Tensor:
    return torch.from_numpy(images.read(rows)).permute(0, 3, 1, 2)


def test_a_step_across_two_views_keeps_its_order(images):
    shown = ShownImages(images, CPU, views=3, seed=7)
    first, second, third = (open_view(images, "basic", 7, view) for view in range(3))
    steps = [
        Places(torch.tensor([0, 0, 1]), torch.tensor([5, 2, 2])),
        Places(torch.tensor([1, 1, 1]), torch.tensor([0, 9, 9])),
        Places(torch.tensor([2, 0]), torch.tensor([1, 1])),
    ]
    got = list(shown.pixels("basic", steps))
    expected = [
        torch.cat([pixels_of(first, [5, 2]), pixels_of(second, [2])]),
        pixels_of(second, [0, 9, 9]),
        torch.cat([pixels_of(third, [1]), pixels_of(first, [1])]),
    ]
    for one, other in zip(got, expected, strict=True):
        assert torch.equal(one, other)


def test_a_view_may_return_within_a_step(images):
    shown = ShownImages(images, CPU, views=2, seed=7)
    first, second = (open_view(images, "basic", 7, view) for view in range(2))
    steps = [
        Places(torch.tensor([0, 1, 1, 0, 1]), torch.tensor([5, 2, 5, 2, 3])),
        Places(torch.tensor([1, 0]), torch.tensor([4, 4])),
    ]
    expected = [
        [(first, 5), (second, 2), (second, 5), (first, 2), (second, 3)],
        [(second, 4), (first, 4)],
    ]
    for got, each in zip(shown.pixels("basic", steps), expected, strict=True):
        assert torch.equal(got, torch.cat([pixels_of(view, [row]) for view, row in each]))


def test_which_images_have_fixed_views(images):
    new, fixed = ShownImages(images, CPU), ShownImages(images, CPU, views=2)
    assert [fixed.draws_once(name) for name in ("none", "basic")] == [False, True]
    assert fixed.images("none", 1) is images
    assert fixed.batches("none", 1) is fixed.plain
    assert [fixed.turn(number) for number in range(4)] == [0, 1, 0, 1]
    assert [new.turn(number) for number in range(2)] == [0, 0]


def test_places_as_they_are_are_the_same_images_in_view_0():
    places = Places(torch.tensor([2, 2]), torch.tensor([4, 5]))
    plain = places.as_they_are()
    assert len(plain) == 2
    assert [(view, rows.tolist()) for view, rows in plain.split()] == [(0, [4, 5])]
    assert [view for view, _ in places.split()] == [2]
    assert np.array_equal(places.rows, plain.rows)
