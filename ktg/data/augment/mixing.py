"""Blends each image of a batch with the one before it, and their labels (CutMix, MixUp)."""

from dataclasses import dataclass

import torch
from torch import Generator, Tensor
from torch.nn.functional import one_hot


@dataclass(frozen=True)
class Mixture:
    """How the images of a batch are mixed with those before them; one draw for the whole batch.

    `box` (4,) is (top, left, bottom, right) of what is pasted, in shares of the side. Outside the
    box, or everywhere if it is all zeros, an image keeps `share` (a scalar) of itself.
    """

    box: Tensor
    share: Tensor

    def images(self, images: Tensor) -> Tensor:
        """Return the mixed images (B, C, H, W)."""
        # The neighbour of the first image is the last one: mixing needs no second batch.
        own = self._shares(images.shape[-2], images.shape[-1])
        return own * images + (1 - own) * images.roll(1, 0)

    def labels(
        self, labels: Tensor, classes: int, side: int, weights: Tensor | None = None
    ) -> Tensor:
        """Return the probabilities (B, classes) of the labels (B,) for images of `side` pixels.

        weights (B,): how much each label counts. Times those of `weights`, the loss of a mixture is
        then the sum of the two labels' losses, each in its share and by its weight; a label of
        weight 0 has no part in it.

        MixUp of share 0.7 with labels [0, 1] -> [[0.7, 0.3], [0.3, 0.7]]; with weights [1, 0] ->
        [[1, 0], [1, 0]].
        """
        hard = one_hot(labels, classes).to(self.share.dtype)
        plain = self._blend(hard, side)
        if weights is None:
            return plain
        mass = self._blend(weights[:, None] * hard, side)
        total = mass.sum(dim=1, keepdim=True)
        # Where neither counts the mixture of both stays, which has weight 0.
        return torch.where(total > 0, mass / total.clamp(min=torch.finfo(mass.dtype).tiny), plain)

    def weights(self, weights: Tensor, side: int) -> Tensor:
        """Return the weights (B,) of mixed labels: the means of two, in the labels' shares."""
        return self._blend(weights, side)

    def _blend(self, values: Tensor, side: int) -> Tensor:
        """Return the values (B, ...) of the images mixed in the shares of their pixels."""
        # From the pixels kept at this side, not from the box: at a coarse resolution they differ.
        own = self._shares(side, side).mean()
        return own * values + (1 - own) * values.roll(1, 0)

    def _shares(self, height: int, width: int) -> Tensor:
        """Return the share (H, W) of itself that each pixel keeps; in the box if its centre is."""
        y = (torch.arange(height, device=self.box.device) + 0.5) / height
        x = (torch.arange(width, device=self.box.device) + 0.5) / width
        top, left, bottom, right = self.box
        inside = ((y >= top) & (y < bottom))[:, None] & ((x >= left) & (x < right))[None, :]
        return torch.where(inside, 0.0, self.share)


def cutmix_or_mixup(generator: Generator) -> Mixture:
    """Return CutMix or MixUp, equally likely, with a share from Beta(1, 1), as in torchvision.

    Beta(1, 1) is uniform. A share of 0.75 makes MixUp keep 0.75 of every pixel, and CutMix paste a
    square of half the side (sqrt(1 - 0.75) = 0.5), cut at the border of the image.
    Yun et al., "CutMix: Regularization Strategy to Train Strong Classifiers with Localizable
    Features", ICCV 2019; Zhang et al., "mixup: Beyond Empirical Risk Minimization", ICLR 2018.
    """
    # Both are computed and one is chosen by `where`: an `if` would wait for the device.
    coin, share, x, y = torch.rand(4, generator=generator, device=generator.device)
    half = (1 - share).sqrt() / 2
    corners = torch.stack([y - half, x - half, y + half, x + half]).clamp(0, 1)
    cut = coin < 0.5
    return Mixture(torch.where(cut, corners, 0.0), torch.where(cut, 1.0, share))
