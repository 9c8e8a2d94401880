import math

import pytest
import torch
from pixels import generator, noise
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional

from ktg.data.augment.basic import to_float
from ktg.data.augment.pspnet import blur_images, draw_places, place_images, pspnet

torch.set_num_threads(1)


def test_the_blur_equals_torchvisions_inside():
    images = to_float(noise(4))
    want = functional.gaussian_blur(images, [5, 5], [1.1, 1.1])
    torch.testing.assert_close(blur_images(images)[..., 2:-2, 2:-2], want[..., 2:-2, 2:-2])
    flat = torch.full((1, 3, 8, 8), 0.3)
    torch.testing.assert_close(blur_images(flat), flat)


@pytest.mark.parametrize("angle", [0.0, 10.0])
@pytest.mark.parametrize("scale", [1.0, 2.0])
def test_a_place_is_an_affine_map_as_torchvision_has_it(angle, scale):
    images = to_float(noise(3))
    turn = torch.tensor(math.radians(angle))
    place = torch.tensor(
        [[turn.cos() / scale, -turn.sin() / scale, 0], [turn.sin() / scale, turn.cos() / scale, 0]]
    )
    mean = images.mean((2, 3), keepdim=True)
    want = mean + functional.affine(
        images - mean, -angle, [0, 0], scale, [0, 0], interpolation=InterpolationMode.BILINEAR
    )
    torch.testing.assert_close(
        place_images(images, place.expand(3, -1, -1)), want, atol=1e-4, rtol=0
    )


def test_scales_angles_and_offsets_have_their_ranges():
    places = draw_places(noise(1).expand(20_000, -1, -1, -1), generator())
    turned = places[:, :, :2]
    scale = 1 / turned.det().abs().sqrt()
    assert 0.5 <= scale.min() < 0.51 and 1.99 < scale.max() <= 2.0
    assert abs(scale.mean() - 1.25) < 0.01
    assert abs((turned.det() < 0).float().mean() - 0.5) < 0.02  # mirrored
    angle = torch.atan2(-turned[:, 0, 1], turned[:, 1, 1]).rad2deg()
    assert angle.abs().max() <= 10.01
    assert abs((angle.abs() < 1e-4).float().mean() - 0.5) < 0.02  # half are not rotated
    room = (1 - 1 / scale).clamp(min=0)
    assert (places[:, :, 2].abs() <= room[:, None] + 1e-5).all()
    assert (places[:, 0, 2].abs() / room)[scale > 1.5].max() > 0.99


def test_what_is_left_free_has_the_mean_colour():
    images = torch.zeros(200, 3, 32, 32, dtype=torch.uint8)
    images[:, 0] = 200  # of one colour: wherever it lies and whatever surrounds it, it stays
    torch.testing.assert_close(pspnet(images, generator()), to_float(images), atol=1e-5, rtol=0)
