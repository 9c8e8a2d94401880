"""The network as it leaves: from the pixels of square images to logits, in operations that every runtime has."""

import copy
import dataclasses
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from ktg.data.decode import Pixels
from ktg.errors import KtgError
from ktg.exporting.metadata import Input
from ktg.models.network import Ensemble, Network, average_logits

TOLERANCE = 1e-4


class Deployed(nn.Module):
    """Takes uint8 images (B, side, side, channels), as a decoder gives them, and returns logits (B, classes).

    The same as `ktg.models.network.Network`, with the resize written as two matrix products: it is
    linear, its sizes are fixed, and antialiased resizing is rounded differently in every runtime
    that has it at all.
    """

    rows: Tensor

    def __init__(self, network: Network, given: Input) -> None:
        super().__init__()
        self.body = network.body
        self.resizes = given.side != given.size
        self.register_buffer("rows", resize_matrix(given.side, given.size))
        self.register_buffer("scale", 1 / (255 * network.std.expand(1, 3, 1, 1)))
        self.register_buffer("shift", -(network.mean / network.std).expand(1, 3, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (B, classes)."""
        pixels = images.permute(0, 3, 1, 2).to(torch.float32)
        if self.resizes:
            pixels = self.rows @ pixels @ self.rows.T
        pixels = pixels.expand(-1, 3, -1, -1) * self.scale + self.shift  # type: ignore[operator]
        return self.body(pixels)  # type: ignore[no-any-return]


class DeployedEnsemble(nn.Module):
    """Takes what `Deployed` takes and returns the logarithms of its members' mean probabilities (B, classes)."""

    def __init__(self, members: Sequence[Deployed]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (B, classes)."""
        return average_logits([member(images) for member in self.members])


def resize_matrix(side: int, size: int) -> Tensor:
    """Return R (size, side) such that R @ image @ R.T is the antialiased bilinear resize of a square image."""
    columns = torch.eye(side)[None, None]
    return functional.interpolate(columns, (size, side), mode="bilinear", antialias=True)[0, 0]


def deployed(network: Network | Ensemble, given: Input) -> Deployed | DeployedEnsemble:
    """Return a copy of the network for deployment, on the CPU, in evaluation mode and the usual memory layout."""
    if isinstance(network, Ensemble):
        return DeployedEnsemble([_one(member, given) for member in network.networks.values()])
    return _one(network, given)


def _one(network: Network, given: Input) -> Deployed:
    given = dataclasses.replace(given, size=network.size)
    plain = copy.deepcopy(network).cpu().to(memory_format=torch.contiguous_format)
    return Deployed(plain, given).eval().requires_grad_(False)


def probe_images(given: Input, count: int = 5) -> Pixels:
    """Return images (count, side, side, channels) to compare runtimes on: noise, a black one and a white one."""
    images = np.random.default_rng(0).integers(
        0, 256, (count, given.side, given.side, given.channels), dtype=np.uint8
    )
    images[0], images[1] = 0, 255
    return images


def compare(what: str, logits: np.typing.ArrayLike, reference: np.typing.ArrayLike) -> float:
    """Return the largest difference of two sets of logits, relative to the largest logit where that is above 1.

    Raises KtgError when it is larger than `TOLERANCE`, or not a number: such a file must not leave.
    """
    logits, reference = np.asarray(logits, np.float64), np.asarray(reference, np.float64)
    difference = float(np.abs(logits - reference).max() / max(1.0, np.abs(reference).max()))
    if not difference <= TOLERANCE:
        raise KtgError(
            f"{what} does not compute what torch does: its logits differ by {difference:.1e}, and at most "
            f"{TOLERANCE:.0e} is allowed; nothing was written"
        )
    return difference
