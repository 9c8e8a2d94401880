"""What all augmentations have in common."""

from typing import get_args

import pytest
import torch
from pixels import generator, noise

from ktg.data.augment import AUGMENTS, MIXTURES, augment_batch, choose_view, count_views
from ktg.data.augment.crop import CROP
from ktg.graph import Data, Node
from ktg.graph.vocabulary import AugmentName, ViewName

torch.set_num_threads(1)


def test_the_tables_are_the_vocabulary():
    assert tuple(AUGMENTS) == get_args(ViewName)
    assert (*AUGMENTS, *MIXTURES) == get_args(AugmentName)


@pytest.mark.parametrize("name", AUGMENTS)
@pytest.mark.parametrize(("side", "channels"), [(8, 1), (5, 3), (32, 3), (64, 3), (96, 1)])
def test_shape_type_range_and_determinism(name: str, side: int, channels: int):
    images = noise(side=side, channels=channels)
    before = images.clone()
    first, again, other = (AUGMENTS[name](images, generator(seed)) for seed in (1, 1, 2))
    kept = round(side * CROP) if name == "crop" else side
    assert first.shape == (*images.shape[:2], kept, kept)
    assert first.dtype == torch.float32
    assert first.min() >= 0 and first.max() <= 1
    assert torch.equal(first, again)
    assert torch.equal(first, other) == (name == "none")
    assert torch.equal(images, before)


@pytest.mark.parametrize("name", sorted(set(AUGMENTS) - {"none"}))
def test_each_image_is_changed_in_its_own_way(name: str):
    images = noise(1, 64).expand(32, -1, -1, -1)
    assert len({image.numpy().tobytes() for image in AUGMENTS[name](images, generator())}) > 24


@pytest.mark.parametrize("name", AUGMENTS)
@pytest.mark.parametrize("side", [32, 64])
def test_grey_images_are_never_mirrored(name: str, side: int):
    image = torch.zeros(1, 1, side, side, dtype=torch.uint8)
    image[..., : side // 2] = 255  # the left half is bright, and stays brighter than the right one
    views = AUGMENTS[name](image.expand(64, -1, -1, -1), generator())
    halves = views.shape[-1] // 2
    left, right = views[..., :halves].mean((1, 2, 3)), views[..., -halves:].mean((1, 2, 3))
    if name in ("randaugment", "augmix"):  # which may invert it
        assert (left >= right - 1e-6).float().mean() > 0.8
    else:
        assert (left >= right - 1e-6).all()


def test_a_node_sees_its_own_views_or_those_of_the_data():
    node = Node(model="resnet8")
    assert (
        choose_view(Data(augment="pspnet"), node) == choose_view(Data(augment="pspnet")) == "pspnet"
    )
    assert choose_view(Data(augment="pspnet"), Node(model="resnet8", augment="none")) == "none"
    assert choose_view(Data(augment="cutmix_or_mixup"), node) == "basic"


@pytest.mark.parametrize(
    ("augment", "views", "own", "expected"),
    [
        ("basic", None, None, None),
        ("basic", 8, None, 8),
        ("basic", 8, "none", 1),
        ("none", None, None, 1),
        ("none", 8, "crop", 8),
        ("cutmix_or_mixup", 8, None, None),
        ("cutmix_or_mixup", 8, "none", None),
    ],
)
def test_how_many_views_a_node_is_shown(augment, views, own, expected):
    node = Node(model="resnet8", augment=own)
    assert count_views(Data(augment=augment, views=views), node) == expected


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("name", AUGMENTS)
def test_nothing_waits_for_the_gpu(name: str):
    images, drawn = noise().cuda(), generator(device="cuda")
    AUGMENTS[name](images, drawn)
    torch.cuda.set_sync_debug_mode("error")
    AUGMENTS[name](images, drawn)
    torch.cuda.set_sync_debug_mode("default")


def test_a_batch_of_a_mixture_is_mixed():
    pixels = torch.zeros(2, 3, 64, 64, dtype=torch.uint8)
    pixels[1] = 255
    assert augment_batch(pixels, "cutmix_or_mixup", generator())[0].max() > 0
