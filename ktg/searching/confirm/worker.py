"""What runs on a Ray worker: as in a search, but on all images but the test split, which is scored after the end."""

import functools
from typing import Any

import torch
from torch.nn import functional

from ktg.data import Images
from ktg.data.open import open_test
from ktg.graph import Data, Graph
from ktg.searching.preflight import image_spec
from ktg.searching.worker import Worker, opened
from ktg.training import Training

RIGHT = "right"


class Retrainer(Worker):
    """Trains the graph in `config["graph"]` to its end; the last epoch's metrics hold its score on the test split.

    Beside `test_accuracy` and `test_loss` stands, under `RIGHT`, a text with a 1 for every test
    image that was classified rightly and a 0 for every other, in the order of the split.
    """

    def _built(self, graph: Graph, device: str) -> Training:
        return Training(graph, opened(image_spec(graph.data)), device=device, final=True)

    def _epoch(self, training: Training) -> dict[str, Any]:
        metrics = super()._epoch(training)
        if training.epoch < training.graph.train.epochs:
            return metrics
        return metrics | tested(training, opened_test(image_spec(training.graph.data)))


def tested(training: Training, images: Images) -> dict[str, Any]:
    """Return the score of a training that is over on the test split, in total and by image."""
    logits, labels = training.logits(images), torch.from_numpy(images.labels)
    right = logits.argmax(dim=1) == labels
    return {
        "test_accuracy": right.double().mean().item(),
        "test_loss": functional.cross_entropy(logits, labels).item(),
        RIGHT: "".join("1" if each else "0" for each in right.tolist()),
    }


@functools.lru_cache(maxsize=1)
def opened_test(data: Data) -> Images:
    """Return the test split of a data set, opened once per worker."""
    return open_test(data)
