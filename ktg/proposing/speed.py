"""Measures how long training takes here, by a few real steps on images of noise.

What is trained is a graph of one node by the engine that trains all others, so that augmentation,
optimizer and metrics are counted. The weights do not matter for time, so that they are not loaded.
"""

import dataclasses
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch

from ktg.data import Dataset
from ktg.data.decode import Geometry, Pixels
from ktg.data.images import Images
from ktg.data.undecoded import Rows
from ktg.graph import LABEL, Data, Edge, Graph, Node, SourceFile, Train, sources_for
from ktg.models.resolve import resolve_source
from ktg.training import Training

STEPS = 3
FORWARD_SHARE = 1 / 3  # of a step: the backward pass costs about twice the forward pass


@dataclass(frozen=True)
class Speed:
    """The seconds that one training step of `batch` images takes on one slot."""

    step_s: float
    batch: int

    def epoch_s(self, train: int, val: int = 0) -> float:
        """Return the seconds of an epoch that trains on so many images and validates on others.

        >>> Speed(0.3, 32).epoch_s(64, 32)
        0.7
        """
        steps = max(1, train // self.batch) + FORWARD_SHARE * val / self.batch
        return round(steps * self.step_s, 6)

    def forward_s(self, images: int) -> float:
        """Return the seconds of one forward pass over so many images.

        >>> Speed(0.3, 32).forward_s(320)
        1.0
        """
        return round(FORWARD_SHARE * images / self.batch * self.step_s, 6)

    def at_side(self, side: int, measured: int) -> "Speed":
        """Return the speed at another side in pixels, in proportion to the area.

        >>> Speed(0.1, 32).at_side(128, 64)
        Speed(step_s=0.4, batch=32)
        """
        return dataclasses.replace(self, step_s=round(self.step_s * (side / measured) ** 2, 6))


@dataclass(frozen=True)
class _Noise:
    """Pixels of images that nobody looks at."""

    geometry: Geometry

    def read(self, rows: Rows) -> Pixels:
        pixels = np.random.default_rng(0).integers(0, 256, (len(rows), *self.geometry.shape))
        return pixels.astype(np.uint8)


def measure_speed(
    node: Node,
    data: Data,
    *,
    sources: Mapping[str, SourceFile] | None = None,
    threads: int = 1,
    classes: int = 10,
    side: int = 224,
) -> Speed:
    """Return how fast a node trains alone, by the mean of a few steps after a first epoch.

    side: that of the images where `data` does not say. threads: what a trial of a search gets.
    Raises a KtgError where the node cannot be trained at that size, or memory is too small.
    """
    side = data.size or side
    batch = data.batch_size
    known = resolve_source(node, sources_for(node.model, sources or {}, {})).node
    plain = Node(model=known.model, model_args=known.model_args, input_size=known.input_size)
    graph = Graph(
        data=Data(path="noise", size=side, batch_size=batch, augment=data.augment),
        train=Train(epochs=2, optimizer="adamw", lr=1e-5),
        nodes={"n0": plain},
        edges={(LABEL, "n0"): Edge(loss="ce")},
    )
    with use_threads(threads):
        training = Training(graph, _make_noise(side, STEPS * batch, classes))
        next(training)  # the first steps allocate memory, and a GPU chooses its kernels
        epoch = next(training)
    return Speed(STEPS * batch / epoch.images_per_s / STEPS, batch)


def _make_noise(side: int, images: int, classes: int) -> Dataset:
    geometry = Geometry(side, 3)

    def split(count: int) -> Images:
        return Images(_Noise(geometry), np.arange(count), np.arange(count) % classes)

    names = tuple(str(number) for number in range(classes))
    half = (0.5, 0.5, 0.5)
    return Dataset(
        classes=names,
        train=split(images),
        val=split(2),
        mean=half,
        std=half,
        fingerprint="noise",
        skipped=(),
    )


@contextmanager
def use_threads(count: int) -> Iterator[None]:
    """Let torch compute with so many threads inside the block."""
    before = torch.get_num_threads()
    torch.set_num_threads(max(1, count))
    try:
        yield
    finally:
        torch.set_num_threads(before)
