"""Renders FractalDB as plainly as possible: a Python loop over points, and Pillow for patches."""

import random

import numpy as np
from PIL import Image


def walk(transforms, rand):
    """Return the lists of x and y of the chaos game."""
    limits = np.cumsum(transforms[:, 6]).tolist()
    maps = transforms[:, :6].tolist()
    x = y = 0.0
    xs, ys = [x], [y]
    for number in rand[:-1].tolist():
        for limit, (a, b, c, d, e, f) in zip(limits, maps, strict=True):
            if number <= limit:
                x, y = x * a + y * b + e, x * c + y * d + f
                break
        xs.append(x)
        ys.append(y)
    return xs, ys


def rescale(xs, ys, size, pad=6):
    """Return the pixels (N,) of both axes, without the lost points."""
    axes = [np.array(xs), np.array(ys)]
    for axis in (0, 1):
        lost = np.flatnonzero(np.isnan(axes[axis]))
        if len(lost):
            lost = np.concatenate([np.arange(lost[0] - 100, lost[0]), lost])
            axes = [np.delete(values, lost) for values in axes]
    pixels = []
    with np.errstate(all="ignore"):
        for values in axes:
            shifted = values - values.min() if values.min() < 0 else values
            scaled = shifted / (shifted.max() - shifted.min()) * float(size - 2 * pad) + float(pad)
            pixels.append(scaled.astype(np.uint16))
    return pixels


def render(transforms, size, points, seed=None):
    """Return the set pixels: of points, or of patches with masks from `random.seed(seed)`."""
    columns, rows = rescale(
        *walk(transforms, np.random.RandomState(100).random_sample(points)), size
    )
    image = Image.new("L", (size, size))
    source = random.Random(seed)
    for x, y in zip(columns.tolist(), rows.tolist(), strict=True):
        if seed is None:
            image.putpixel((x, y), 1)
        else:
            bits = f"{source.randrange(1, 512):09b}"
            patch = np.array([int(bit) for bit in bits], np.uint8).reshape(3, 3)
            image.paste(Image.fromarray(patch), (x + 1, y + 1))
    return np.flipud(np.asarray(image) > 0)
