"""The fourteen operations that learned augmentation policies are made of, each image of a batch by its own.

On a GPU all operations are computed for all images, and each image takes its own: no image is
moved, nothing is read back to the host, and a batch costs one warp, one blur and a few passes over
its pixels whatever was drawn. On a CPU, where nothing has to wait, each is computed for the images
that take it. The definitions are those of torchvision (`transforms.v2.functional`) for images in
[0, 1]; warps are bilinear, and black outside.
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
    """Return each image (B, C, H, W) in [0, 1] after its own operation, a number (B,) of `OPERATIONS`.

    `amount` (B,) is the shear (tangent of the angle), the translation as a share of the side, the
    rotation in degrees (counter-clockwise), the factor of brightness, color, contrast or sharpness
    (1 changes nothing), the bits per channel that posterize leaves, or the value from which
    solarize inverts.
    """
    return (_apart if images.device.type == "cpu" else _masked)(images, operation, amount)


def _masked(images: Tensor, operation: Tensor, amount: Tensor) -> Tensor:
    out = images
    for first, last, change in _KINDS:
        chosen = (operation >= NUMBER[first]) & (operation <= NUMBER[last])
        out = torch.where(chosen[:, None, None, None], change(images, operation, amount), out)
    return out


def _apart(images: Tensor, operation: Tensor, amount: Tensor) -> Tensor:
    out = images.clone()
    for first, last, change in _KINDS:
        (rows,) = torch.where((operation >= NUMBER[first]) & (operation <= NUMBER[last]))
        if len(rows):
            out[rows] = change(images[rows], operation[rows], amount[rows])
    return out


def _warped(images: Tensor, operation: Tensor, amount: Tensor) -> Tensor:
    """Return the images sheared, moved or rotated: where each pixel of the result comes from is a linear map."""

    def where(name: str, value: Tensor) -> Tensor:
        return torch.where(operation == NUMBER[name], value, 0.0)

    angle = where("rotate", amount) * (math.pi / 180)
    first = [angle.cos(), where("shear_x", amount) - angle.sin(), where("translate_x", -2 * amount)]
    second = [
        where("shear_y", amount) + angle.sin(),
        angle.cos(),
        where("translate_y", -2 * amount),
    ]
    theta = torch.stack([torch.stack(first, dim=1), torch.stack(second, dim=1)], dim=1)
    grid = affine_grid(theta, list(images.shape), align_corners=False)
    return grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def _blended(images: Tensor, operation: Tensor, amount: Tensor) -> Tensor:
    """Return the images moved away from (or towards) black, grey, their mean grey, or themselves blurred."""
    one, factor = operation[:, None, None, None], amount[:, None, None, None]
    grey = grayscale(images)
    worst = torch.where(one == NUMBER["color"], grey, torch.zeros_like(images))
    worst = torch.where(one == NUMBER["contrast"], grey.mean((1, 2, 3), keepdim=True), worst)
    worst = torch.where(one == NUMBER["sharpness"], smoothed(images), worst)
    return (worst + factor * (images - worst)).clamp(0, 1)


def grayscale(images: Tensor) -> Tensor:
    """Return the luma of images (B, C, H, W) as (B, 1, H, W); of one channel, the channel."""
    if images.shape[1] == 1:
        return images
    weights = torch.tensor(_LUMA, device=images.device)[None, :, None, None]
    return (images * weights).sum(1, keepdim=True)


def smoothed(images: Tensor) -> Tensor:
    """Return the images blurred by the 3 x 3 kernel of PIL's SMOOTH filter; the pixels at the border stay."""
    kernel = torch.ones(1, 1, 3, 3, device=images.device)
    kernel[0, 0, 1, 1] = 5
    batch, channels, height, width = images.shape
    if min(height, width) < 3:
        return images
    inner = conv2d(images.reshape(-1, 1, height, width), kernel / 13).view(
        batch, channels, height - 2, width - 2
    )
    out = images.clone()
    out[:, :, 1:-1, 1:-1] = inner
    return out


def _posterized(images: Tensor, operation: Tensor, amount: Tensor) -> Tensor:
    """Return the images with so many levels per channel as `amount` bits can count."""
    levels = 2 ** amount[:, None, None, None]
    return (images * levels).floor().clamp(max=levels - 1) / levels


def _solarized(images: Tensor, operation: Tensor, amount: Tensor) -> Tensor:
    """Return the images inverted where they are not below `amount`."""
    return torch.where(images >= amount[:, None, None, None], 1 - images, images)


def _autocontrasted(images: Tensor, operation: Tensor, amount: Tensor) -> Tensor:
    """Return each channel of each image stretched to [0, 1]; a constant channel stays."""
    low, high = images.amin((2, 3), keepdim=True), images.amax((2, 3), keepdim=True)
    return torch.where(
        high > low, (images - low) / torch.where(high > low, high - low, 1.0), images
    )


def _equalized(images: Tensor, operation: Tensor, amount: Tensor) -> Tensor:
    """Return each channel of each image with its histogram of 256 levels made flat, as PIL does it."""
    batch, channels, height, width = images.shape
    levels = (images * 255.999).long().reshape(batch * channels, height * width)
    counts = torch.zeros(batch * channels, 256, dtype=torch.long, device=images.device)
    counts.scatter_add_(1, levels, torch.ones_like(levels))
    below = counts.cumsum(1) - counts
    # One of 255 equal steps of what lies below the highest level that occurs.
    highest = levels.amax(1, keepdim=True)
    step = below.gather(1, highest) // 255
    table = ((below + step // 2) // step.clamp(min=1)).clamp(0, 255)
    flat = torch.where(step > 0, table.gather(1, levels), levels)
    return (flat.float() / 255).view_as(images)


# The first and the last operation of each kind, and what changes images by theirs.
_KINDS: tuple[tuple[str, str, Callable[[Tensor, Tensor, Tensor], Tensor]], ...] = (
    ("shear_x", "rotate", _warped),
    ("brightness", "sharpness", _blended),
    ("posterize", "posterize", _posterized),
    ("solarize", "solarize", _solarized),
    ("autocontrast", "autocontrast", _autocontrasted),
    ("equalize", "equalize", _equalized),
)
