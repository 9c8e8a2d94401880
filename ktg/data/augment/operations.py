"""Applies the fourteen operations of learned augmentation policies, another one to each image.

The definitions are those of torchvision (`transforms.v2.functional`) for images in [0, 1]; warps
are bilinear, and black outside.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, conv2d, grid_sample

OPERATIONS = (
    "identity",
    "shear_x",
    "shear_y",
    "translate_x",
    "translate_y",
    "rotate",
    "brightness",
    "color",
    "contrast",
    "sharpness",
    "posterize",
    "solarize",
    "autocontrast",
    "equalize",
)
NUMBER = {name: number for number, name in enumerate(OPERATIONS)}
_LUMA = (0.2989, 0.587, 0.114)


def apply(images: Tensor, operation: Tensor, amount: Tensor) -> Tensor:
    """Return each image (B, C, H, W) in [0, 1] after its operation, a number (B,) in `OPERATIONS`.

    `amount` (B,) is the shear (tangent of the angle), the translation as a share of the side, the
    rotation in degrees (counter-clockwise), the factor of brightness, color, contrast or sharpness
    (1 changes nothing), the bits per channel that posterize leaves, or the value from which
    solarize inverts.
    """
    # A GPU computes every kind of operation for all images and then takes one for each: no image
    # is moved, and nothing is read back to the host. A CPU has nothing to wait for and computes
    # each kind for the images that need it.
    way = _apply_grouped if images.device.type == "cpu" else _apply_masked
    return way(images, operation, amount)


def _apply_masked(images: Tensor, operation: Tensor, amount: Tensor) -> Tensor:
    out = images
    for first, last, change in _KINDS:
        chosen = (operation >= NUMBER[first]) & (operation <= NUMBER[last])
        out = torch.where(chosen[:, None, None, None], change(images, operation, amount), out)
    return out


def _apply_grouped(images: Tensor, operation: Tensor, amount: Tensor) -> Tensor:
    out = images.clone()
    for first, last, change in _KINDS:
        (rows,) = torch.where((operation >= NUMBER[first]) & (operation <= NUMBER[last]))
        if len(rows):
            out[rows] = change(images[rows], operation[rows], amount[rows])
    return out


def _warp(images: Tensor, operation: Tensor, amount: Tensor) -> Tensor:
    """Return the images sheared, moved or rotated: a linear map from the result to the image."""

    def where(name: str, value: Tensor) -> Tensor:
        return torch.where(operation == NUMBER[name], value, 0.0)

    # Every image has at most one of these, so the sums below are the matrix of that one alone.
    # Coordinates run from -1 to 1: a shift by a share of the side is twice that share.
    angle = where("rotate", amount) * (math.pi / 180)
    first = [angle.cos(), where("shear_x", amount) - angle.sin(), where("translate_x", -2 * amount)]
    turn = where("shear_y", amount) + angle.sin()
    second = [turn, angle.cos(), where("translate_y", -2 * amount)]
    theta = torch.stack([torch.stack(first, dim=1), torch.stack(second, dim=1)], dim=1)
    grid = affine_grid(theta, list(images.shape), align_corners=False)
    return grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def _blend(images: Tensor, operation: Tensor, amount: Tensor) -> Tensor:
    """Return the images moved away from black, from grey, from their mean grey or their blur.

    A factor above 1 moves away, one below 1 towards: brightness 0.9 of a pixel 0.5 -> 0.45.
    """
    one, factor = operation[:, None, None, None], amount[:, None, None, None]
    grey = to_gray(images)
    worst = torch.where(one == NUMBER["color"], grey, torch.zeros_like(images))
    worst = torch.where(one == NUMBER["contrast"], grey.mean((1, 2, 3), keepdim=True), worst)
    worst = torch.where(one == NUMBER["sharpness"], smooth(images), worst)
    return (worst + factor * (images - worst)).clamp(0, 1)


def to_gray(images: Tensor) -> Tensor:
    """Return the luma of images (B, C, H, W) as (B, 1, H, W); of one channel, the channel."""
    if images.shape[1] == 1:
        return images
    weights = torch.tensor(_LUMA, device=images.device)[None, :, None, None]
    return (images * weights).sum(1, keepdim=True)


def smooth(images: Tensor) -> Tensor:
    """Return the images after the 3 x 3 SMOOTH filter of PIL; the pixels at the border stay."""
    kernel = torch.ones(1, 1, 3, 3, device=images.device)
    kernel[0, 0, 1, 1] = 5
    batch, channels, height, width = images.shape
    if min(height, width) < 3:
        return images
    inner = conv2d(images.reshape(-1, 1, height, width), kernel / 13)
    out = images.clone()
    out[:, :, 1:-1, 1:-1] = inner.view(batch, channels, height - 2, width - 2)
    return out


def _posterize(images: Tensor, operation: Tensor, amount: Tensor) -> Tensor:
    """Return the images with 2 ** `amount` levels per channel: 0.6 with 1 bit -> 0.5."""
    levels = 2 ** amount[:, None, None, None]
    return (images * levels).floor().clamp(max=levels - 1) / levels


def _solarize(images: Tensor, operation: Tensor, amount: Tensor) -> Tensor:
    """Return the images inverted from `amount` on: at 0.7, 0.9 -> 0.1 and 0.6 stays."""
    return torch.where(images >= amount[:, None, None, None], 1 - images, images)


def _autocontrast(images: Tensor, operation: Tensor, amount: Tensor) -> Tensor:
    """Return each channel of each image stretched to [0, 1]; a constant channel stays."""
    low, high = images.amin((2, 3), keepdim=True), images.amax((2, 3), keepdim=True)
    span = torch.where(high > low, high - low, 1.0)  # never 0, not even where it is not used
    return torch.where(high > low, (images - low) / span, images)


def _equalize(images: Tensor, operation: Tensor, amount: Tensor) -> Tensor:
    """Return each channel of each image with a flat histogram of 256 levels, as PIL makes it."""
    batch, channels, height, width = images.shape
    levels = (images * 255.999).long().reshape(batch * channels, height * width)
    counts = torch.zeros(batch * channels, 256, dtype=torch.long, device=images.device)
    counts.scatter_add_(1, levels, torch.ones_like(levels))
    below = counts.cumsum(1) - counts
    # PIL divides what lies below the highest level that occurs into 255 equal steps.
    highest = levels.amax(1, keepdim=True)
    step = below.gather(1, highest) // 255
    table = ((below + step // 2) // step.clamp(min=1)).clamp(0, 255)
    flat = torch.where(step > 0, table.gather(1, levels), levels)
    return (flat.float() / 255).view_as(images)


# The first and the last operation of each kind, and what changes images by theirs.
_KINDS: tuple[tuple[str, str, Callable[[Tensor, Tensor, Tensor], Tensor]], ...] = (
    ("shear_x", "rotate", _warp),
    ("brightness", "sharpness", _blend),
    ("posterize", "posterize", _posterize),
    ("solarize", "solarize", _solarize),
    ("autocontrast", "autocontrast", _autocontrast),
    ("equalize", "equalize", _equalize),
)
