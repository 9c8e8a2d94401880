"""The fourteen operations that learned augmentation policies are made of, each image of a batch by its own.

All operations are computed for all images, and each image takes its own: no image is moved, nothing is read back to
the host, and a batch costs one warp, one blur and a few passes over its pixels whatever was drawn. The definitions are
those of torchvision (`transforms.v2.functional`) for images in [0, 1]; warps are bilinear, and black outside.
"""

import math

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

    `amount` (B,) is the shear (tangent of the angle), the translation as a share of the side, the rotation in degrees
    (counter-clockwise), the factor of brightness, color, contrast or sharpness (1 changes nothing), the bits per
    channel that posterize leaves, or the value from which solarize inverts.
    """
    one = operation[:, None, None, None]
    amounts = amount[:, None, None, None]
    out = torch.where(
        (one >= NUMBER["shear_x"]) & (one <= NUMBER["rotate"]), _warped(images, operation, amount), images
    )
    blended = (one >= NUMBER["brightness"]) & (one <= NUMBER["sharpness"])
    out = torch.where(blended, _blended(images, one, amounts), out)
    out = torch.where(one == NUMBER["posterize"], posterize(images, amounts), out)
    out = torch.where((one == NUMBER["solarize"]) & (images >= amounts), 1 - images, out)
    out = torch.where(one == NUMBER["autocontrast"], autocontrast(images), out)
    return torch.where(one == NUMBER["equalize"], equalize(images), out)


def _warped(images: Tensor, operation: Tensor, amount: Tensor) -> Tensor:
    """Return the images sheared, moved or rotated: where each pixel of the result comes from is a linear map."""

    def where(name: str, value: Tensor) -> Tensor:
        return torch.where(operation == NUMBER[name], value, 0.0)

    angle = where("rotate", amount) * (math.pi / 180)
    first = [angle.cos(), where("shear_x", amount) - angle.sin(), where("translate_x", -2 * amount)]
    second = [where("shear_y", amount) + angle.sin(), angle.cos(), where("translate_y", -2 * amount)]
    theta = torch.stack([torch.stack(first, dim=1), torch.stack(second, dim=1)], dim=1)
    grid = affine_grid(theta, list(images.shape), align_corners=False)
    return grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def _blended(images: Tensor, one: Tensor, factor: Tensor) -> Tensor:
    """Return the images moved away from (or towards) black, grey, their mean grey, or themselves blurred."""
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
    inner = conv2d(images.reshape(-1, 1, height, width), kernel / 13).view(batch, channels, height - 2, width - 2)
    out = images.clone()
    out[:, :, 1:-1, 1:-1] = inner
    return out


def posterize(images: Tensor, bits: Tensor) -> Tensor:
    """Return the images with so many levels per channel as `bits` can count."""
    levels = 2**bits
    return (images * levels).floor().clamp(max=levels - 1) / levels


def autocontrast(images: Tensor) -> Tensor:
    """Return each channel of each image stretched to [0, 1]; a constant channel stays."""
    low, high = images.amin((2, 3), keepdim=True), images.amax((2, 3), keepdim=True)
    return torch.where(high > low, (images - low) / torch.where(high > low, high - low, 1.0), images)


def equalize(images: Tensor) -> Tensor:
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
