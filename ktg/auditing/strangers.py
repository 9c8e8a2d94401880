"""Finds images that no class wants: those whose features lie far from those of all others."""

import numpy as np
import numpy.typing as npt
import torch
from torch.nn.functional import normalize

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

NEIGHBOURS, SHARE = 10, 0.02
_FENCE = 1.5
_BLOCK = 1024


def measure_strangeness(features: Floats) -> Floats:
    """Return how far each image (N,) is from its k-th nearest neighbour: 1 - cosine of (N, D).

    k is 10, or 2 % of the images where that is more, so that a few strangers of one kind do not
    vouch for each other. Sun et al., "Out-of-Distribution Detection with Deep Nearest Neighbors",
    ICML 2022.
    """
    unit = normalize(torch.from_numpy(features).float())
    k = min(len(unit) - 1, max(NEIGHBOURS, round(SHARE * len(unit))))
    found = []
    for rows in torch.split(torch.arange(len(unit)), _BLOCK):
        likeness = unit[rows] @ unit.T
        likeness[torch.arange(len(rows)), rows] = -2.0  # of itself
        found.append(1 - likeness.topk(k).values[:, -1])
    return torch.cat(found).double().numpy()


def find_strangers(strangeness: Floats) -> Flags:
    """Return which images are strangers: beyond Tukey's fence, Q3 + 1.5 (Q3 - Q1).

    >>> find_strangers(np.array([0.2, 0.21, 0.22, 0.23, 0.24, 0.9])).tolist()
    [False, False, False, False, False, True]
    """
    low, high = np.quantile(strangeness, [0.25, 0.75])
    return strangeness > high + _FENCE * (high - low)  # type: ignore[no-any-return]
