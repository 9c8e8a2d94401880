"""Rebuilds a network in operations that every runtime has: from uint8 squares to logits."""

import copy
import dataclasses
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from ktg.data.decode import Pixels
from ktg.errors import KtgError
from ktg.exporting.metadata import ModelInput
from ktg.models.network import Ensemble, Network, average_logits

TOLERANCE = 1e-4


class DeployableNetwork(nn.Module):
    """Takes uint8 images (B, side, side, channels) as decoded, and returns logits (B, classes).

    The same as `ktg.models.network.Network`, with the resize written as two matrix products: it is
    linear, its sizes are fixed, and every runtime that has antialiased resizing rounds it
    differently.
    """

    rows: Tensor

    def __init__(self, network: Network, given: ModelInput) -> None:
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


class DeployableEnsemble(nn.Module):
    """Takes the same images, and returns the logarithms of its members' mean probabilities."""

    def __init__(self, members: Sequence[DeployableNetwork], times: Sequence[int]) -> None:
        super().__init__()
        self.members, self.times = nn.ModuleList(members), tuple(times)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (B, classes)."""
        return average_logits([member(images) for member in self.members], self.times)


def resize_matrix(side: int, size: int) -> Tensor:
    """Return R (size, side): R @ image @ R.T is the antialiased bilinear resize of an image.

    From 4 pixels to 2, the first row is about [0.43, 0.43, 0.14, 0].
    """
    # The resize of the unit vectors, which are the columns of the identity, has R as its columns.
    columns = torch.eye(side)[None, None]
    return functional.interpolate(columns, (size, side), mode="bilinear", antialias=True)[0, 0]


class Tempered(nn.Module):
    """Divides the logits of a module by a temperature, so that their softmax is calibrated."""

    def __init__(self, module: nn.Module, temperature: float) -> None:
        super().__init__()
        self.module, self.temperature = module, temperature

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (B, classes)."""
        return self.module(images) / self.temperature  # type: ignore[no-any-return]


def make_deployable(
    network: Network | Ensemble, given: ModelInput, temperature: float = 1.0
) -> nn.Module:
    """Return a deployable copy: on the CPU, for evaluation, in the usual memory layout."""
    module: nn.Module
    if isinstance(network, Ensemble):
        members = [_make_one(member, given) for member in network.networks.values()]
        module = DeployableEnsemble(members, network.times).eval()
    else:
        module = _make_one(network, given)
    return module if temperature == 1 else Tempered(module, temperature).eval()


def _make_one(network: Network, given: ModelInput) -> DeployableNetwork:
    given = dataclasses.replace(given, size=network.size)
    plain = copy.deepcopy(network).cpu().to(memory_format=torch.contiguous_format)
    return DeployableNetwork(plain, given).eval().requires_grad_(False)


def make_probe_images(given: ModelInput, count: int = 5) -> Pixels:
    """Return images (count, side, side, channels) for a test: black, white, then noise."""
    images = np.random.default_rng(0).integers(
        0, 256, (count, given.side, given.side, given.channels), dtype=np.uint8
    )
    images[0], images[1] = 0, 255
    return images


def check_logits(what: str, logits: np.typing.ArrayLike, reference: np.typing.ArrayLike) -> float:
    """Return the largest difference of logits, relative to the largest one if that is above 1.

    Logits [4, 2] and a reference [4, 1] differ by 1 / 4 = 0.25.
    Raises KtgError when it is larger than `TOLERANCE`, or not a number: nobody may use such a file.
    """
    logits, reference = np.asarray(logits, np.float64), np.asarray(reference, np.float64)
    difference = float(np.abs(logits - reference).max() / max(1.0, np.abs(reference).max()))
    if not difference <= TOLERANCE:  # not `>`, which is false for nan
        raise KtgError(
            f"{what} does not compute what torch does: its logits differ by {difference:.1e}, and "
            f"at most {TOLERANCE:.0e} is allowed; nothing was written"
        )
    return difference
