"""Augments as segmentation networks such as PSPNet are trained: mirror, scale, turn, blur, cut."""

import math

import torch
from torch import Generator, Tensor
from torch.nn.functional import conv2d, grid_sample

from ktg.data.augment.basic import draw_flips, to_float

SCALE = (0.5, 2.0)
DEGREES = (-10.0, 10.0)
_SIGMA = 1.1  # what OpenCV takes for a kernel of 5 pixels
_RADIUS = 2


def pspnet(images: Tensor, generator: Generator) -> Tensor:
    """Return the images (B, C, H, W) uint8 as float32 in [0, 1], changed at random at equal size.

    Zhao et al., "Pyramid Scene Parsing Network", CVPR 2017, section 5.1: random mirror, random
    resize by 0.5 to 2, random rotation by -10 to 10 degrees, random Gaussian blur. As in the
    authors' code half of the images are rotated and half are blurred, what is smaller than before
    lies in the middle of its mean colour, and of what is larger a random part is cut out. Images
    with one channel are not mirrored, as in `basic`.
    """
    places = draw_places(images, generator)
    blur = torch.rand(len(images), generator=generator, device=images.device) < 0.5
    out = to_float(images)
    out = torch.where(blur[:, None, None, None], blur_images(out), out)
    return place_images(out, places).clamp(0, 1)


def draw_places(images: Tensor, generator: Generator) -> Tensor:
    """Return linear maps (B, 2, 3) from the result to the image, with places in [-1, 1].

    At scale 2 without rotation, the result shows half of the side: the map multiplies by 0.5.
    The corners of the result fall on the image wherever the resized image is large enough.
    """
    flip = draw_flips(images, generator)
    numbers = torch.rand((5, len(images)), generator=generator, device=images.device)
    scale, angle, chance, x, y = numbers
    scale = SCALE[0] + (SCALE[1] - SCALE[0]) * scale
    degrees = DEGREES[0] + (DEGREES[1] - DEGREES[0]) * angle
    angle = torch.where(chance < 0.5, degrees, 0.0) * (math.pi / 180)
    # How far the middle of the cut may lie from that of the image.
    room = (1 - 1 / scale).clamp(min=0)
    mirror = torch.where(flip, -1.0, 1.0)
    first = [mirror * angle.cos() / scale, -angle.sin() / scale, room * (2 * x - 1)]
    second = [mirror * angle.sin() / scale, angle.cos() / scale, room * (2 * y - 1)]
    return torch.stack([torch.stack(first, dim=1), torch.stack(second, dim=1)], dim=1)


def place_images(images: Tensor, places: Tensor) -> Tensor:
    """Return the images (B, C, H, W) sampled where the maps point; outside is mean colour."""
    # Less the mean, because outside of an image `grid_sample` can only give zeros.
    mean = images.mean((2, 3), keepdim=True)
    grid = torch.nn.functional.affine_grid(places, list(images.shape), align_corners=False)
    return mean + grid_sample(
        images - mean, grid, mode="bilinear", padding_mode="zeros", align_corners=False
    )


def blur_images(images: Tensor) -> Tensor:
    """Return the images blurred by a Gaussian of 5 x 5 pixels; the border is repeated outwards."""
    steps = torch.arange(-_RADIUS, _RADIUS + 1, device=images.device)
    line = torch.exp(-(steps**2) / (2 * _SIGMA**2))
    line = line / line.sum()
    batch, channels, height, width = images.shape
    planes = images.reshape(batch * channels, 1, height, width)
    planes = torch.nn.functional.pad(planes, (_RADIUS,) * 4, mode="replicate")
    # A Gaussian separates into a column and a row: 10 products a pixel, not 25.
    planes = conv2d(conv2d(planes, line.view(1, 1, 1, -1)), line.view(1, 1, -1, 1))
    return planes.view(batch, channels, height, width)
