"""Several networks as one classifier: the mean of their probabilities."""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from ktg.models.network import Network


class Ensemble(nn.Module):
    """Networks that share their input, (B, C, H, W) in [0, 1], and classes; `names` are their nodes."""

    def __init__(self, networks: Mapping[str, Network]) -> None:
        super().__init__()
        self.names = tuple(networks)
        self.members = nn.ModuleList(networks.values())  # not by name: a node may be called `train`

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (B, classes), float32: the logarithms of the members' mean probabilities."""
        return mean_of([member(images) for member in self.members])

    @property
    def networks(self) -> dict[str, Network]:
        """The members by the names of their nodes."""
        return dict(zip(self.names, self.members, strict=True))  # type: ignore[arg-type]


def mean_of(logits: Sequence[Tensor]) -> Tensor:
    """Return the logarithm of the mean of the probabilities of several logits (B, classes), in float32; of one, it.

    Their softmax is that mean. Of a single member it is its own logits, so that nothing is rounded.
    """
    if len(logits) == 1:
        return logits[0].float()
    each = torch.stack([torch.log_softmax(one.float(), dim=1) for one in logits])
    return torch.logsumexp(each, dim=0) - math.log(len(logits))
