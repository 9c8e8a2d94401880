"""Finds groups of images that show one thing: exposures of a part, a burst, frames of a film.

Such images are no copies (`twins.py` finds those), but a network that was trained on one of them
knows the others. Where a random split puts them on both sides, all validation images are right and
nothing can be chosen by them: of magnetic tiles, photographed six times each, 99.5 % of validation
images and 72 % of other tiles.
"""

import numpy as np
import numpy.typing as npt
import torch
from torch.nn.functional import adaptive_avg_pool2d, normalize

from ktg.data import Images
from ktg.data.undecoded import Rows

LIKE = 0.85  # mean correlation of the images of a group, without what all images have in common
# Groups are told only of data sets in which at least this share of the images has one ...
SHARE = 0.1
# ... and in which an image lacks so many times as much to a correlation of 1 with the nearest image
# outside of its group as inside, in the median. At 32 pixels, shares and ratios: magnetic tiles .94
# and 8.5; flowers, cats and dogs, aerial pictures, white blood cells and CIFAR-10 at most .03;
# handwritten digits .68 and 1.4 and spectrograms of words .71 and 1.5, which are all alike.
APART = 4.0
MOST = 6000  # images; the table of their correlations has 36 million entries
_SIDE, _BLOCK = 32, 512


def find_alike(images: Images) -> Rows | None:
    """Return the number of the group (N,) of each of N images; None where there is nothing to tell.

    Groups are clusters by average linkage of correlations between grey pixels, 32 x 32.
    """
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import squareform

    if not 2 < len(images) <= MOST:
        return None
    likeness = correlate(images)
    unlike = squareform(1.0 - likeness, checks=False)
    groups = fcluster(linkage(unlike, "average"), 1.0 - LIKE, "distance").astype(np.int64) - 1
    return groups if are_apart(likeness, groups) else None


def correlate(images: Images) -> npt.NDArray[np.float32]:
    """Return the correlations (N, N) of the images' grey pixels, without their common mean."""
    small = torch.empty((len(images), _SIDE * _SIDE))
    for start in range(0, len(images), _BLOCK):
        rows = np.arange(start, min(start + _BLOCK, len(images)))
        grey = torch.from_numpy(images.read(rows)).float().mean(dim=-1)
        small[rows] = adaptive_avg_pool2d(grey, _SIDE).flatten(1)
    small = _normalize(small)
    small = _normalize(small - small.mean(dim=0))
    likeness = (small @ small.T).clamp(-1, 1).numpy()
    np.fill_diagonal(likeness, 1.0)
    return likeness


def are_apart(likeness: npt.NDArray[np.float32], groups: Rows) -> bool:
    """Return whether groups are many, and each by itself: see SHARE and APART.

    likeness: (N, N), of which the diagonal does not count. groups: (N,), by number.
    """
    together = groups[:, None] == groups
    np.fill_diagonal(together, False)
    grouped = together.any(axis=1)
    if grouped.mean() < SHARE or len(np.unique(groups)) < 2:
        return False
    others = np.where(groups[:, None] == groups, -1.0, likeness)[grouped].max(axis=1)
    own = np.where(together, likeness, -1.0)[grouped].max(axis=1)
    lacks = (1.0 - others) / np.maximum(1.0 - own, 1e-6)
    return bool(np.median(lacks) >= APART)


def _normalize(rows: torch.Tensor) -> torch.Tensor:
    """Return rows without their means, of length 1; what has one grey all over stays 0."""
    centred = rows - rows.mean(dim=1, keepdim=True)
    return normalize(centred, eps=1e-6)
