"""Flips and crops images, as almost every training of a classifier does."""

import math

import torch
from torch import Generator, Tensor
from torch.nn.functional import grid_sample

RESIZED_CROP_FROM = 64
# Kept area of a random resized crop. ImageNet training goes down to 0.08, which on few images cuts
# away the very object too often to be learned from.
AREA = (0.35, 1.0)
RATIO = (3 / 4, 4 / 3)


def to_float(images: Tensor, generator: Generator | None = None) -> Tensor:
    """Return uint8 images as float32 in [0, 1], otherwise unchanged. The generator is not used."""
    return images.to(torch.float32) / 255


def basic(images: Tensor, generator: Generator) -> Tensor:
    """Return the images (B, C, H, W) uint8 as float32 in [0, 1], cropped and flipped at random.

    Below 64 pixels: zero padding by an eighth of the side (4 pixels at 32, as usual for CIFAR),
    then a crop of the old size. From 64 pixels: a random resized crop. Images with one channel are
    never flipped: most are digits, letters and radiographs, where left and right differ.
    """
    flip = draw_flips(images, generator)
    if images.shape[-1] >= RESIZED_CROP_FROM:
        return crop_resized(images, draw_boxes(images, generator), flip)
    pad = images.shape[-1] // 8
    return to_float(crop_padded(images, draw_offsets(images, pad, generator), flip, pad))


def draw_flips(images: Tensor, generator: Generator) -> Tensor:
    """Return which images to mirror, (B,) bool: each with probability 1/2, none of one channel."""
    batch, channels = images.shape[:2]
    flip = torch.rand(batch, generator=generator, device=images.device) < 0.5
    return flip if channels > 1 else torch.zeros_like(flip)


def draw_offsets(images: Tensor, pad: int, generator: Generator) -> Tensor:
    """Return the top left corner of each crop in the padded image, (B, 2) from 0 to 2 * pad."""
    return torch.randint(
        0, 2 * pad + 1, (len(images), 2), generator=generator, device=images.device
    )


def draw_boxes(images: Tensor, generator: Generator) -> Tensor:
    """Return (top, left, height, width) of each crop, (B, 4): whole pixels as float32.

    Area and the logarithm of the ratio of sides are uniform, as in Szegedy et al., "Going deeper
    with convolutions", CVPR 2015: an area of 0.5 and a ratio of 1 in 64 pixels -> sides of 45. A
    box wider or higher than the image is cut to it; torchvision draws again instead.
    """
    batch, (height, width) = len(images), images.shape[-2:]
    area, ratio, y, x = torch.rand((4, batch), generator=generator, device=images.device)
    area = AREA[0] + (AREA[1] - AREA[0]) * area
    low, high = math.log(RATIO[0]), math.log(RATIO[1])
    ratio = torch.exp(low + (high - low) * ratio)
    box_height = (height * torch.sqrt(area / ratio)).round().clamp(1, height)
    box_width = (width * torch.sqrt(area * ratio)).round().clamp(1, width)
    # rand is below 1, so floor gives every offset from 0 to the last that fits, equally often.
    top = torch.floor(y * (height - box_height + 1))
    left = torch.floor(x * (width - box_width + 1))
    return torch.stack([top, left, box_height, box_width], dim=1)


def crop_padded(images: Tensor, offsets: Tensor, flip: Tensor, pad: int) -> Tensor:
    """Return each image padded with zeros, cut at its offset (B, 2) to its old size, and flipped.

    Keeps the type and the values of `images` (B, C, H, W). At side 32 with a pad of 4, the offset
    (4, 4) returns the image itself.
    """
    batch, channels, height, width = images.shape
    # One gather for the whole batch, from row and column numbers, instead of a loop over images.
    rows = torch.arange(height, device=images.device) + offsets[:, :1] - pad
    columns = _mirror(torch.arange(width, device=images.device).expand(batch, -1), flip)
    columns = columns + offsets[:, 1:] - pad
    inside = _is_within(rows, height)[:, :, None] & _is_within(columns, width)[:, None, :]
    source = rows.clamp(0, height - 1)[:, :, None] * width + columns.clamp(0, width - 1)[:, None, :]
    index = source.reshape(batch, 1, -1).expand(-1, channels, -1)
    return images.flatten(2).gather(2, index).view_as(images) * inside[:, None]


def crop_resized(images: Tensor, boxes: Tensor, flip: Tensor) -> Tensor:
    """Return each image's box (top, left, height, width) resized to the old size, and flipped.

    `boxes` (B, 4) are in pixels; the result is float32 in [0, 1]. Pixels outside the box are never
    read, just as if it had been cut out first.
    """
    height, width = images.shape[-2:]
    top, left, box_height, box_width = boxes.unbind(1)
    y = _centres(top, box_height, height)
    x = _mirror(_centres(left, box_width, width), flip)
    x = (2 * x / width - 1)[:, None, :].expand(-1, height, -1)
    y = (2 * y / height - 1)[:, :, None].expand(-1, -1, width)
    grid = torch.stack([x, y], dim=-1)
    # Bilinear is enough: a box is never larger than the result, so nothing can alias.
    return grid_sample(
        to_float(images), grid, mode="bilinear", padding_mode="border", align_corners=False
    )


def _centres(start: Tensor, length: Tensor, count: int) -> Tensor:
    """Return the centres (B, count) of `count` pixels that divide each box equally, in its image.

    A box that starts at 10 with a length of 4, for 2 pixels -> 11 and 13.
    """
    steps = (torch.arange(count, device=start.device) + 0.5) / count
    centres = start[:, None] + steps * length[:, None]
    return centres.clamp(start[:, None] + 0.5, (start + length)[:, None] - 0.5)


def _mirror(columns: Tensor, flip: Tensor) -> Tensor:
    return torch.where(flip[:, None], columns.flip(1), columns)


def _is_within(places: Tensor, size: int) -> Tensor:
    return (places >= 0) & (places < size)
