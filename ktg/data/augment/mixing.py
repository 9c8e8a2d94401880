"""Mixtures: each image of a batch blended with its neighbour, and its label with the neighbour's."""

from dataclasses import dataclass

import torch
from torch import Generator, Tensor
from torch.nn.functional import one_hot


@dataclass(frozen=True)
class Mixture:
    """How the images of a batch are mixed with the images before them; one draw for the batch, on the device.

    `box` (4,) is (top, left, bottom, right) in shares of the side, of what is pasted; outside, and
    where there is no box (all zeros), an image keeps `share` (a scalar) of itself.
    """

    box: Tensor
    share: Tensor

    def images(self, images: Tensor) -> Tensor:
        """Return the mixed images (B, C, H, W)."""
        kept = self._kept(images.shape[-2], images.shape[-1])
        return kept * images + (1 - kept) * images.roll(1, 0)

    def labels(self, labels: Tensor, classes: int, side: int) -> Tensor:
        """Return the probabilities (B, classes) of the labels (B,) after mixing images of `side` pixels."""
        kept = self._kept(side, side).mean()
        hard = one_hot(labels, classes).to(kept.dtype)
        return kept * hard + (1 - kept) * hard.roll(1, 0)

    def _kept(self, height: int, width: int) -> Tensor:
        """Return the share (H, W) of itself that each pixel keeps; a pixel is in the box if its centre is."""
        y = (torch.arange(height, device=self.box.device) + 0.5) / height
        x = (torch.arange(width, device=self.box.device) + 0.5) / width
        top, left, bottom, right = self.box
        inside = ((y >= top) & (y < bottom))[:, None] & ((x >= left) & (x < right))[None, :]
        return torch.where(inside, 0.0, self.share)


def cutmix_or_mixup(generator: Generator) -> Mixture:
    """Return CutMix or MixUp, one as likely as the other, with Beta(1, 1), as torchvision has them.

    Yun et al., "CutMix: Regularization Strategy to Train Strong Classifiers with Localizable
    Features", ICCV 2019; Zhang et al., "mixup: Beyond Empirical Risk Minimization", ICLR 2018.
    """
    coin, share, x, y = torch.rand(4, generator=generator, device=generator.device)
    half = (1 - share).sqrt() / 2
    corners = torch.stack([y - half, x - half, y + half, x + half]).clamp(0, 1)
    cut = coin < 0.5
    return Mixture(torch.where(cut, corners, 0.0), torch.where(cut, 1.0, share))
