"""Finds twins: images that are there twice, as the same pixels or nearly.

Two images are candidates when one is among the nearest neighbours of the other, by features of a
network or by small pixels. Their pixels then decide: shrunk, without what all images have in
common, with one of them cropped by up to 4 % or mirrored, they must correlate. So resized,
re-encoded, slightly cropped and mirrored copies are found, and not two pictures of one thing.
"""

import functools
import hashlib
import itertools
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch.nn.functional import avg_pool2d, normalize

from ktg.data import Images
from ktg.data.decode import Pixels
from ktg.data.undecoded import Rows

Floats = npt.NDArray[np.float32]
Pair = tuple[int, int]

NEIGHBOURS = 5
UNLIKE = 0.05  # most that twins may lack to a correlation of 1
# ... and at most this share of what an ordinary nearest neighbour lacks: spectrograms of one word,
# or cells on the same ground, are more alike than two photographs ever are.
SHARE = 1 / 20
# How much more two images may lack before one of them is cropped to fit the other.
_UNFITTED = 8
_SIDE, _COARSE, _BLOCK = 32, 2, 1024
_KEPT = 256  # images whose views are kept, half a megabyte each
# (share cut off each dimension, share of it on the left, share of it at the top)
_CROPS = [
    (0.0, 0.0, 0.0),
    *itertools.product((0.02, 0.04), (0.0, 0.5, 1.0), (0.0, 0.5, 1.0)),
]


@dataclass(frozen=True)
class Twins:
    """Images that are copies of one another: `rows` in order; `exact` for the very same pixels.

    `likeness` is the least correlation by which one of them was joined to the others.
    """

    rows: tuple[int, ...]
    exact: bool
    likeness: float


def find_twins(images: Images, features: npt.NDArray[np.float64] | None = None) -> list[Twins]:
    """Return the groups of twins among N images, in the order of their first images.

    features (N, D): of a network, by which candidates are found besides small pixels.
    """
    same, small = hash_pixels(images)
    first = sorted(rows[0] for rows in same)
    likeness = {pair: 1.0 for rows in same for pair in itertools.pairwise(rows)}
    if len(first) > 1:
        some = None if features is None else features[first]
        near = compare_candidates(images.take(np.array(first)), small[first], some)
        likeness |= {(first[i], first[j]): value for (i, j), value in near.items()}
    groups = join_pairs(likeness, len(images))
    leader = {row: group[0] for group in groups for row in group}
    lowest = dict.fromkeys(leader.values(), 1.0)
    for pair, value in likeness.items():
        lowest[leader[pair[0]]] = min(value, lowest[leader[pair[0]]])
    exact = {rows[0]: len(rows) for rows in same}
    return [Twins(rows, exact[rows[0]] == len(rows), lowest[rows[0]]) for rows in groups]


def hash_pixels(images: Images) -> tuple[list[list[int]], Pixels]:
    """Return rows by equal pixels, in order, and all images shrunk to (N, 32, 32, 3)."""
    same: dict[bytes, list[int]] = defaultdict(list)
    small = np.empty((len(images), _SIDE, _SIDE, 3), np.uint8)
    for start in range(0, len(images), _BLOCK):
        rows = np.arange(start, min(start + _BLOCK, len(images)))
        for row, pixels in zip(rows.tolist(), images.read(rows), strict=True):
            same[hashlib.sha256(pixels.tobytes()).digest()].append(row)
            small[row] = _shrink(pixels, _CROPS[0])
    return list(same.values()), small


def compare_candidates(
    images: Images, small: Pixels, features: npt.NDArray[np.float64] | None
) -> dict[Pair, float]:
    """Return the correlation of each pair of near twins among images of different pixels.

    small: the images shrunk to (N, 32, 32, 3). features: see `find_twins`.
    """
    common = small.mean(axis=0, dtype=np.float32)
    plain = _coarse(small - common)
    turned = _coarse(small[:, :, ::-1] - common)
    pairs = {*_pairs(plain, plain), *_pairs(plain, turned)}
    if features is not None:
        vectors = torch.from_numpy(features).float()
        pairs |= {*_pairs(vectors, vectors)}
    ordered = sorted(pairs)
    one, other = torch.tensor(ordered).T
    straight = (plain[one] * plain[other]).sum(dim=1)
    either = torch.maximum(straight, (plain[one] * turned[other]).sum(dim=1))
    unlike = min(UNLIKE, SHARE * float(1 - straight.median()))
    close = [ordered[i] for i in torch.nonzero(1 - either <= _UNFITTED * unlike).flatten().tolist()]
    found = zip(close, fit_pairs(images, close, common), strict=True)
    return {pair: value for pair, value in found if 1 - value <= unlike}


def fit_pairs(images: Images, pairs: Sequence[Pair], common: Floats) -> Iterator[float]:
    """Yield the best correlation of each pair over crops and mirroring of one of the two.

    common (32, 32, 3): the mean of all images, which is taken away.
    """

    @functools.lru_cache(maxsize=_KEPT)
    def view(row: int) -> tuple[Floats, Floats]:
        return _make_views(images.read([row])[0], common)

    for first, second in pairs:
        (plain, turned), (others, others_turned) = view(first), view(second)
        best = max(
            float((plain @ others[0]).max()),
            float((others @ plain[0]).max()),
            float((turned @ others[0]).max()),
            float((others_turned @ plain[0]).max()),
        )
        yield min(best, 1.0)


def join_pairs(pairs: Iterable[Pair], count: int) -> list[tuple[int, ...]]:
    """Return the groups of rows that pairs connect, sorted.

    >>> join_pairs([(0, 3), (3, 5), (1, 2)], 6)
    [(0, 3, 5), (1, 2)]
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    ends = np.array(list(pairs), dtype=np.int64).reshape(-1, 2)
    table = coo_array((np.ones(len(ends)), (ends[:, 0], ends[:, 1])), shape=(count, count))
    _, group = connected_components(table, directed=False)
    members: dict[int, list[int]] = defaultdict(list)
    for row in np.unique(ends).tolist():
        members[int(group[row])].append(row)
    return sorted(tuple(rows) for rows in members.values())


def number_groups(twins: Sequence[Twins], count: int) -> Rows:
    """Return a number (N,) for each image that only its twins share."""
    found = np.arange(count)
    for group in twins:
        found[list(group.rows)] = group.rows[0]
    return found


def _pairs(vectors: torch.Tensor, others: torch.Tensor) -> Iterator[Pair]:
    """Yield the pairs (low row, high row) of each vector (N, D) with its nearest others (N, D)."""
    one, two = normalize(vectors), normalize(others)
    k = min(NEIGHBOURS, len(one) - 1)
    for rows in torch.split(torch.arange(len(one)), _BLOCK):
        likeness = one[rows] @ two.T
        likeness[torch.arange(len(rows)), rows] = -2.0  # of itself
        for row, near in zip(rows.tolist(), likeness.topk(k).indices.tolist(), strict=True):
            yield from ((min(row, each), max(row, each)) for each in near)


def _coarse(values: Floats) -> torch.Tensor:
    """Return images (N, 32, 32, 3) as vectors (N, 768) of length 1, without their mean colour."""
    maps = avg_pool2d(torch.from_numpy(values).permute(0, 3, 1, 2), _COARSE)
    return normalize((maps - maps.mean(dim=(2, 3), keepdim=True)).flatten(1))


def _make_views(pixels: Pixels, common: Floats) -> tuple[Floats, Floats]:
    """Return the crops of an image as vectors (19, 3072) of length 1, and those mirrored."""
    crops = np.stack([_shrink(pixels, crop) for crop in _CROPS]).astype(np.float32)
    return _unit(crops - common), _unit(crops[:, :, ::-1] - common)


def _unit(views: Floats) -> Floats:
    flat = (views - views.mean(axis=(1, 2), keepdims=True)).reshape(len(views), -1)
    return flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-6)  # type: ignore[no-any-return]


def _shrink(pixels: Pixels, crop: tuple[float, float, float]) -> Pixels:
    """Return an image (H, W, C) without a share of its sides, shrunk to (32, 32, 3)."""
    share, left, top = crop
    height, width = pixels.shape[:2]
    image = Image.fromarray(np.broadcast_to(pixels, (height, width, 3)))
    box = (
        share * width * left,
        share * height * top,
        width - share * width * (1 - left),
        height - share * height * (1 - top),
    )
    return np.asarray(image.resize((_SIDE, _SIDE), Image.Resampling.BILINEAR, box=box))
