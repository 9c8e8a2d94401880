"""Operations on batches against torchvision's on single images."""

import math

import pytest
import torch
from pixels import noise
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional

from ktg.data.augment.operations import NUMBER, OPERATIONS, _apply_masked, apply

torch.set_num_threads(1)
BILINEAR = InterpolationMode.BILINEAR


def sheared(image: torch.Tensor, x: float, y: float) -> torch.Tensor:
    degrees = [math.degrees(math.atan(x)), math.degrees(math.atan(y))]
    return functional.affine(image, 0, [0, 0], 1, degrees, interpolation=BILINEAR)


def moved(image: torch.Tensor, x: float, y: float) -> torch.Tensor:
    return functional.affine(image, 0, [x, y], 1, [0, 0], interpolation=BILINEAR)


REFERENCE = {
    "identity": (0.5, lambda image: image),
    "shear_x": (0.2, lambda image: sheared(image, 0.2, 0)),
    "shear_y": (-0.3, lambda image: sheared(image, 0, -0.3)),
    "translate_x": (0.125, lambda image: moved(image, 4, 0)),
    "translate_y": (-0.25, lambda image: moved(image, 0, -8)),
    "rotate": (17.0, lambda image: functional.rotate(image, 17.0, interpolation=BILINEAR)),
    "brightness": (1.4, lambda image: functional.adjust_brightness(image, 1.4)),
    "color": (0.3, lambda image: functional.adjust_saturation(image, 0.3)),
    "contrast": (1.5, lambda image: functional.adjust_contrast(image, 1.5)),
    "sharpness": (1.7, lambda image: functional.adjust_sharpness(image, 1.7)),
    "posterize": (3.0, lambda image: functional.posterize(image, 3)),
    "solarize": (0.6, lambda image: functional.solarize(image, 0.6)),
    "autocontrast": (0.0, functional.autocontrast),
    "equalize": (0.0, functional.equalize),
}


def dull(channels: int = 3) -> torch.Tensor:
    """Images (8, C, 32, 32) without much contrast, two of them of a single colour."""
    images = 0.3 + noise(8, channels=channels).float() / 255 * 0.4
    images[:2] = 0.5
    return images


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("channels", [1, 3])
def test_each_operation_equals_torchvisions(name: str, channels: int):
    images, (amount, reference) = dull(channels), REFERENCE[name]
    got = apply(images, torch.full((8,), NUMBER[name]), torch.full((8,), amount))
    want = torch.stack([reference(image) for image in images])
    torch.testing.assert_close(got, want, atol=2e-5, rtol=0)


def test_each_image_takes_its_own_operation():
    images = dull()[:1].expand(len(OPERATIONS), -1, -1, -1) * torch.linspace(0.2, 1, 32)
    amount = torch.tensor([REFERENCE[name][0] for name in OPERATIONS])
    got = apply(images, torch.arange(len(OPERATIONS)), amount)
    for image, name, ours in zip(images, OPERATIONS, got, strict=True):
        torch.testing.assert_close(ours, REFERENCE[name][1](image), atol=2e-5, rtol=0)


@pytest.mark.parametrize("channels", [1, 3])
def test_on_a_cpu_it_is_what_a_gpu_would_do(channels: int):
    """The one computes each operation for the images that take it, the other all for all."""
    images, operation = dull(channels).repeat(4, 1, 1, 1), torch.arange(32) % len(OPERATIONS)
    amount = torch.tensor([REFERENCE[OPERATIONS[number]][0] for number in operation])
    got, want = apply(images, operation, amount), _apply_masked(images, operation, amount)
    torch.testing.assert_close(got, want, atol=1e-6, rtol=0)
    none = torch.zeros(32, dtype=torch.long)
    assert torch.equal(apply(images, none, amount), _apply_masked(images, none, amount))


def test_what_changes_nothing_changes_no_bit():
    images = dull()
    assert torch.equal(apply(images, torch.zeros(8, dtype=torch.long), torch.ones(8)), images)
