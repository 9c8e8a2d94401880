import pickle
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch

from ktg.data import Batches, Dataset, Images
from ktg.data.decode import Geometry
from ktg.data.formula.fractal import make_generator
from ktg.data.formula.stream import Stream
from ktg.errors import SpecError
from ktg.graph import parse
from ktg.training.loop import Training

FORMULA = make_generator("fractaldb", 4, size=32, points=2000, scale=0.1)


def test_rows_are_the_pictures_of_the_formula_class_by_class():
    stream = Stream(FORMULA)
    assert len(stream) == 4000
    assert stream.shape == (32, 32, 3)
    assert stream.nbytes == 4000 * 32 * 32 * 3
    assert stream.labels.tolist() == [label for label in range(4) for _ in range(1000)]
    pixels = stream.read([3999, 0, 1001])
    for picture, place in zip(pixels, [(3, 999), (0, 0), (1, 1)], strict=True):
        np.testing.assert_array_equal(picture, FORMULA.draw(*place))


def test_fewer_per_class_are_chosen_by_seed():
    stream, same, other = (Stream(FORMULA, 12, seed=seed) for seed in (0, 0, 1))
    assert np.bincount(stream.labels).tolist() == [12] * 4
    rows = np.arange(48)
    np.testing.assert_array_equal(stream.read(rows), same.read(rows))
    assert (stream.read(rows) != other.read(rows)).any()
    with pytest.raises(SpecError, match="per_class: expected 1 to 1000, got 1001"):
        Stream(FORMULA, 1001)


def test_rows_held_out_are_those_rows():
    stream = Stream(FORMULA, 6)
    held = stream.take([20, 3])
    assert held.labels.tolist() == [3, 0]
    np.testing.assert_array_equal(held.read([1, 0]), stream.read([3, 20]))


def test_threads_and_processes_draw_the_same():
    stream = Stream(FORMULA, 6)
    rows = np.random.default_rng(0).permutation(24)
    expected = stream.read(rows)
    np.testing.assert_array_equal(Stream(FORMULA, 6, threads=3).read(rows), expected)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(stream)).read(rows), expected)


def test_batches_read_it_as_they_read_images_from_a_disk():
    stream = Stream(FORMULA, 6)
    batches = Batches(stream, torch.device("cpu"), resident_bytes=0, workers=1)
    ((images, labels),) = batches([torch.tensor([5, 23, 0])])
    np.testing.assert_array_equal(images.permute(0, 2, 3, 1).numpy(), stream.read([5, 23, 0]))
    assert labels.tolist() == [0, 3, 0]


@dataclass(frozen=True)
class Held:
    """The same pictures, in memory."""

    pixels: np.ndarray
    geometry: Geometry = field(default_factory=lambda: Geometry(32, 3))

    def read(self, rows):
        return self.pixels[rows]


def test_training_on_it_is_training_on_its_pictures():
    graph = parse(
        {
            "data": {"path": "unused", "batch_size": 12, "augment": "none"},
            "train": {"epochs": 2, "optimizer": "adam", "lr": 0.003},
            "nodes": {"n0": {"model": "resnet20"}},
            "edges": {"label -> n0": {"loss": "ce", "gate": "through"}},
        }
    )
    stream = Stream(FORMULA, 12)
    every = np.arange(len(stream))
    held = Images(Held(stream.read(every)), every, stream.labels)
    torch.set_num_threads(1)
    figures = []
    for images in (stream, held):
        dataset = Dataset(
            ("0", "1", "2", "3"), images, images, (0.2,) * 3, (0.5,) * 3, "fractaldb", ()
        )
        figures.append([epoch.nodes for epoch in Training(graph, dataset, device="cpu")])
    assert figures[0] == figures[1]
    assert figures[0][1]["n0"].train_accuracy > figures[0][0]["n0"].train_accuracy
