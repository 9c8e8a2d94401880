"""Computes what is compared of images: features of a frozen network, or plain ones without any."""

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from ktg.data import Images
from ktg.data.decode import Pixels
from ktg.data.undecoded import Rows
from ktg.errors import UserError
from ktg.models.network import Network, find_head
from ktg.training.scoring import Split, compute_head_inputs

Floats = npt.NDArray[np.float64]
Progress = Callable[[int, int], None]

_BLOCK, _BATCH = 512, 64
_SMALL, _CELLS, _DIRECTIONS = 8, 4, 8
_SIDE = 32


def compute_features(
    network: Network, images: Images, device: torch.device, progress: Progress | None = None
) -> Floats:
    """Return what the network's head is given (N, D), maps averaged over positions.

    progress: called with (done, all) images. Raises UserError for a network without a head.
    """
    if find_head(network) is None:
        raise UserError("this network has no head of its own; name another one with --model")
    network, found = network.to(device), []
    for rows in _blocks(len(images)):
        split = Split(images.take(rows), device, _BATCH)
        features = compute_head_inputs(network, split, torch.float32)
        found.append(features.flatten(2).mean(2) if features.ndim > 2 else features)
        if progress is not None:
            progress(int(rows[-1]) + 1, len(images))
    return torch.cat(found).double().numpy()


def compute_plain_features(images: Images, progress: Progress | None = None) -> Floats:
    """Return features (N, D) that need no network: small pixels, edges by direction, colours.

    Each is scaled to deviation 1 over the images. They tell apart what colour and coarse shape tell
    apart, and no more.
    """
    found = []
    for rows in _blocks(len(images)):
        found += [describe_plainly(pixels) for pixels in images.read(rows)]
        if progress is not None:
            progress(int(rows[-1]) + 1, len(images))
    values = np.stack(found)
    return (values - values.mean(axis=0)) / np.maximum(values.std(axis=0), 1e-6)  # type: ignore[no-any-return]


def describe_plainly(pixels: Pixels) -> Floats:
    """Return plain features (D,) of an image (H, W, C).

    These are 8 x 8 pixels, the strength of edges in 8 directions in each of 4 x 4 cells, and mean
    and deviation of each channel.
    """
    image = Image.fromarray(np.broadcast_to(pixels, (*pixels.shape[:2], 3)))
    small = np.asarray(image.resize((_SMALL, _SMALL), Image.Resampling.BILINEAR), np.float64)
    middle = np.asarray(image.resize((_SIDE, _SIDE), Image.Resampling.BILINEAR), np.float64)
    down, right = np.gradient(middle.mean(axis=2))
    strength, angle = np.hypot(down, right), np.arctan2(down, right)
    direction = ((angle / (2 * np.pi) + 0.5) * _DIRECTIONS).astype(int) % _DIRECTIONS
    cell = np.arange(_SIDE) * _CELLS // _SIDE
    place = (cell[:, None] * _CELLS + cell) * _DIRECTIONS + direction
    edges = np.bincount(place.ravel(), strength.ravel(), _CELLS * _CELLS * _DIRECTIONS)
    moments = [middle.mean(axis=(0, 1)), middle.std(axis=(0, 1))]
    return np.concatenate([small.ravel(), np.sqrt(edges), *moments])


def _blocks(count: int) -> Iterator[Rows]:
    for start in range(0, count, _BLOCK):
        yield np.arange(start, min(start + _BLOCK, count))
