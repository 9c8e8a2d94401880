"""Flips and crops against torchvision's, image by image."""

import pytest
import torch
from pixels import generator, noise
from torchvision.transforms.v2 import functional

from ktg.data.augment.basic import (
    AREA,
    RATIO,
    basic,
    crop_padded,
    crop_resized,
    draw_boxes,
    draw_flips,
    draw_offsets,
    to_float,
)

torch.set_num_threads(1)


def test_each_image_has_its_own_crop_and_flip():
    images = noise(1).expand(64, -1, -1, -1)
    for side in (32, 64):
        images = noise(1, side).expand(64, -1, -1, -1)
        different = {image.numpy().tobytes() for image in basic(images, generator())}
        assert len(different) > 48


def test_padded_crop_equals_torchvision_image_by_image():
    images = noise(40, 32)
    offsets, flip = draw_offsets(images, 4, generator()), draw_flips(images, generator(1))
    assert flip.any() and not flip.all()
    got = crop_padded(images, offsets, flip, 4)
    for image, (top, left), mirrored, ours in zip(
        images, offsets.tolist(), flip.tolist(), got, strict=True
    ):
        want = functional.crop(functional.pad(image, [4]), top, left, 32, 32)
        assert torch.equal(ours, functional.horizontal_flip(want) if mirrored else want)


@pytest.mark.parametrize("side", [64, 97])
def test_resized_crop_equals_torchvision_image_by_image(side: int):
    images = noise(24, side)
    boxes, flip = draw_boxes(images, generator()), draw_flips(images, generator(1))
    got = crop_resized(images, boxes, flip)
    for image, box, mirrored, ours in zip(
        images, boxes.int().tolist(), flip.tolist(), got, strict=True
    ):
        want = functional.resized_crop(image.float() / 255, *box, [side, side], antialias=False)
        torch.testing.assert_close(
            ours, functional.horizontal_flip(want) if mirrored else want, atol=2e-4, rtol=0
        )


def test_the_whole_image_as_box_is_the_image():
    images = noise(4, 64)
    box = torch.tensor([0.0, 0.0, 64.0, 64.0]).expand(4, -1)
    same = crop_resized(images, box, torch.zeros(4, dtype=torch.bool))
    torch.testing.assert_close(same, to_float(images), atol=1e-4, rtol=0)


def test_offsets_are_uniform_over_all_places():
    images = noise(1).expand(8100, -1, -1, -1)
    offsets = draw_offsets(images, 4, generator())
    counts = torch.bincount(offsets[:, 0] * 9 + offsets[:, 1], minlength=81)
    # multinomial, 100 expected in each of 81 cells: chi-squared with 80 degrees, 99.99 % below 136
    assert ((counts - 100) ** 2 / 100).sum() < 136


def test_half_of_colour_images_are_flipped_and_no_grey_one():
    flips = draw_flips(noise(1).expand(10_000, -1, -1, -1), generator())
    assert abs(flips.float().mean() - 0.5) < 0.02
    assert not draw_flips(noise(100, channels=1), generator()).any()


def test_boxes_lie_inside_and_cover_areas_and_ratios():
    images = noise(1, 100).expand(20_000, -1, -1, -1)
    top, left, height, width = draw_boxes(images, generator()).unbind(1)
    for start, length in ((top, height), (left, width)):
        assert start.min() >= 0
        assert (start + length).max() <= 100
        assert torch.equal(length, length.round())
    area = height * width / 1e4
    assert AREA[0] - 0.02 < area.min() < AREA[0] + 0.02
    assert area.max() > 0.97
    free = (height < 100) & (width < 100)
    ratio = (width / height)[free]
    assert RATIO[0] - 0.02 < ratio.min() < RATIO[0] + 0.03
    assert RATIO[1] - 0.03 < ratio.max() < RATIO[1] + 0.02
    room = (100 - height)[free]
    assert abs((top[free] / room.clamp(min=1)).mean() - 0.5) < 0.02
    assert (top == 0).any() and (top[room.argmax()] >= 0)


def test_crops_below_64_pixels_hold_old_values_and_zeros_only():
    image = torch.zeros(1, 3, 32, 32, dtype=torch.uint8)
    image[:, :, 10:20, 10:20] = 200
    got = basic(image.expand(50, -1, -1, -1), generator()) * 255
    assert set(got.round().unique().tolist()) == {0, 200}
    assert (got.sum((1, 2, 3)).round() == 200 * 300).all()


def test_padding_is_an_eighth_of_the_side():
    white = torch.full((400, 1, 8, 8), 255, dtype=torch.uint8)
    lost = (basic(white, generator()) == 0).sum((1, 2, 3))
    assert set(lost.tolist()) == {0, 8, 15}


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("side", [32, 64])
def test_nothing_waits_for_the_gpu(side: int):
    images, drawn = noise(side=side).cuda(), generator(device="cuda")
    basic(images, drawn)
    torch.cuda.set_sync_debug_mode("error")
    basic(images, drawn)
    torch.cuda.set_sync_debug_mode("default")


def test_none_only_scales():
    images = noise()
    want = functional.to_dtype(images, torch.float32, scale=True)
    torch.testing.assert_close(to_float(images), want)
    floats = images.float()
    to_float(floats)
    assert torch.equal(floats, images.float())
