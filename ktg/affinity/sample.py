"""The images that a source is judged by: their features, labels, and what else a score may need."""

import functools
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from ktg.affinity.moments import Moments
from ktg.affinity.spectrum import Spectrum, decompose, slices
from ktg.errors import DataError, show

Features = Any
"""A numpy array or torch tensor of floats."""


@dataclass(frozen=True, eq=False)
class Sample:
    """Features (N, C, H, W) of N images, and which of `classes` each belongs to, `labels` (N,).

    `source_probs` (N, S) is the source head's softmax for each image; `class_distance` (S, K) the
    distance from each source class to each of `classes`; `source_means` (S, C) the mean features of
    the source classes, and `source_sizes` (S,) how many images they have. The features keep their
    type: only blocks become float64.
    """

    maps: Tensor
    labels: Tensor
    classes: tuple[Hashable, ...]
    source_probs: Tensor | None = None
    class_distance: Tensor | None = None
    source_means: Tensor | None = None
    source_sizes: Tensor | None = None

    @classmethod
    def of(
        cls, features: Features, labels: Sequence[Hashable] | Features, **given: Features | None
    ) -> Self:
        """Return the sample of features (N, C, H, W) or (N, D) and hashable labels (N,).

        Columns of `class_distance` follow the sorted labels; where there are more columns than
        labels that occur, the labels must be the numbers of their columns.
        Raises DataError where shapes do not fit each other or a number is not finite.
        """
        maps = to_floats(features, "features")
        if maps.ndim not in (2, 4) or 0 in maps.shape[1:]:
            raise DataError(
                f"features: shape {tuple(maps.shape)}; "
                "allowed: (N, C, H, W) or (N, D), none of them 0"
            )
        if maps.ndim == 2:
            maps = maps[:, :, None, None]
        values = to_plain_labels(labels)
        if len(values) != len(maps) or len(maps) < 2:
            problem = (
                f"{len(values)} of them for {len(maps)} images; "
                "expected one for each of two or more images"
            )
            raise DataError(f"labels: {problem}")
        classes = order_classes(values)
        number = {value: place for place, value in enumerate(classes)}
        index = torch.tensor([number[value] for value in values], device=maps.device)
        rest = {
            name: to_floats(value, name).to(maps.device)
            for name, value in given.items()
            if value is not None
        }
        if "class_distance" in rest:
            rest["class_distance"] = _columns(rest["class_distance"], classes)
        self = cls(maps, index, classes, **rest)
        self._check()
        return self

    def blocks(self) -> Iterator[tuple[slice, Tensor]]:
        """Yield (rows, maps of these rows in float64), a block at a time."""
        for rows in slices(len(self.maps), self.maps[0].numel()):
            yield rows, self.maps[rows].to(torch.float64)

    @functools.cached_property
    def moments(self) -> Moments:
        """Counts, means and scatter of the classes, of the flattened maps."""
        moments = Moments(len(self.classes))
        for rows, maps in self.blocks():
            moments.update(maps, self.labels[rows])
        return moments

    @functools.cached_property
    def vectors(self) -> Tensor:
        """The maps averaged over positions, (N, C), in float64; 1 x 1 maps keep their own type."""
        if self.maps.shape[2:].numel() == 1:
            return self.maps.flatten(1)
        return torch.cat([maps.mean(dim=(2, 3)) for _, maps in self.blocks()])

    @functools.cached_property
    def spectrum(self) -> Spectrum:
        """The spectrum of `vectors`."""
        return decompose(self.vectors)

    @functools.cached_property
    def centred(self) -> Spectrum:
        """The spectrum of `vectors` less their mean."""
        return decompose(self.vectors, self.vectors.mean(dim=0, dtype=torch.float64))

    @functools.cached_property
    def one_hot(self) -> Tensor:
        """The labels as indicators, (N, K) float64."""
        return torch.nn.functional.one_hot(self.labels, len(self.classes)).to(torch.float64)

    @property
    def counts(self) -> Tensor:
        """Images of each class, (K,) float64."""
        return self.one_hot.sum(dim=0)

    def _check(self) -> None:
        for name in ("maps", "source_probs", "class_distance", "source_means", "source_sizes"):
            value = getattr(self, name)
            if value is not None and not _finite(value):
                raise DataError(f"{name}: holds values that are not finite numbers")
        if self.source_probs is not None:
            _check_probabilities(self.source_probs, len(self.maps))
            sources = self.source_probs.shape[1]
            if self.class_distance is not None and len(self.class_distance) != sources:
                raise DataError(
                    f"class_distance: {len(self.class_distance)} rows for {sources} source classes"
                )


def to_floats(values: Features, name: str) -> Tensor:
    """Return an array or tensor as a tensor of floats, without a copy where it is one already."""
    tensor = values.detach() if isinstance(values, Tensor) else torch.from_numpy(np.asarray(values))
    if tensor.dtype == torch.bool or tensor.is_complex():
        raise DataError(f"{name}: of type {tensor.dtype}; expected real numbers")
    return tensor if tensor.is_floating_point() else tensor.to(torch.float64)


def to_plain_labels(labels: Sequence[Hashable] | Features) -> list[Hashable]:
    """Return labels as Python values. Raises DataError for unhashable ones and NaN."""
    values = labels.tolist() if isinstance(labels, (np.ndarray, Tensor)) else list(labels)
    # Scalars of numpy and torch: two tensors of one value are different keys of a dict.
    values = [
        value.item() if isinstance(value, (np.generic, Tensor)) else value for value in values
    ]
    for value in values:
        if not isinstance(value, Hashable) or value != value:
            raise DataError(
                f"labels: {show(value)} cannot be a label; "
                "expected hashable values such as numbers or names"
            )
    return values


def order_classes(labels: Sequence[Hashable]) -> tuple[Hashable, ...]:
    """Return the distinct values, sorted if they can be compared, else by first occurrence."""
    found = dict.fromkeys(labels)
    try:
        return tuple(sorted(found))  # type: ignore[type-var]
    except TypeError:
        return tuple(found)


def _columns(distance: Tensor, classes: tuple[Hashable, ...]) -> Tensor:
    if distance.ndim == 2 and distance.shape[1] == len(classes):
        return distance
    columns = [
        value for value in classes if isinstance(value, int) and 0 <= value < distance.shape[-1]
    ]
    if distance.ndim != 2 or len(columns) < len(classes):
        raise DataError(
            f"class_distance: shape {tuple(distance.shape)}; "
            f"expected (source classes, {len(classes)}), one column for each class of the labels"
        )
    return distance[:, columns]


def _check_probabilities(probs: Tensor, images: int) -> None:
    if probs.ndim != 2 or len(probs) != images:
        raise DataError(
            f"source_probs: shape {tuple(probs.shape)}; expected ({images}, source classes)"
        )
    if bool((probs < 0).any()) or bool(((probs.sum(dim=1) - 1).abs() > 1e-3).any()):
        raise DataError("source_probs: rows must be probabilities: not negative, summing to 1")


def _finite(values: Tensor) -> bool:
    rows = slices(len(values), max(values[:1].numel(), 1))
    return all(bool(values[some].isfinite().all()) for some in rows)
