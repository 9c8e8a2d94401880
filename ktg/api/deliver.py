"""Delivers a graph: trains it on all images but the test split, and writes and measures the model.

What is left in the folder is `model.safetensors`, `best.yaml` and, after a search, `report.html`.
"""

import shlex
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ktg.api.listener import Listener
from ktg.errors import KtgError, make_printable
from ktg.graph import Graph
from ktg.graph.length import with_epochs

if TYPE_CHECKING:
    from ktg.class_scores import ClassScores
    from ktg.searching.result import Result
    from ktg.searching.seeds import SeedResults

MODEL, GRAPH, PAGE = FILES = ("model.safetensors", "best.yaml", "report.html")
FINISH_S = 15.0  # for the test images, the files and the page
# The last training sees the validation images, too: usually a fifth (see `measure_growth`).
MORE_IMAGES = 1.25


@dataclass(frozen=True)
class Delivered:
    """A model that was written, and how it does on the test split, which nothing chose by.

    what: the name of the graph. official: whether the data have a test split of their own; else it
    is a part that was held out. Metrics are in [0, 1].
    """

    folder: Path
    what: str
    model: str
    parameters: int
    trained_on: int
    images: int
    official: bool
    metrics: Mapping[str, float | None]
    classes: Mapping[str, "ClassScores"]
    train_s: float

    @property
    def sentence(self) -> str:
        """Return what was delivered and how good it is, in one sentence."""
        shares = {name: value for name, value in self.metrics.items() if value is not None}
        which = "test images" if self.official else "test images, which were held out from the rest"
        return make_printable(
            f"{self.folder / MODEL} ({self.model}, {self.parameters / 1e6:.2f} M parameters, "
            f"{self.what}, trained on {self.trained_on:,} images) is right on "
            f"{100 * shares['accuracy']:.1f} % of {self.images:,} {which}: balanced accuracy "
            f"{100 * shares['balanced_accuracy']:.1f} %, macro F1 {100 * shares['macro_f1']:.1f} %."
        )

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        plain = {
            key: value for key, value in vars(self).items() if key not in ("metrics", "folder")
        }
        plain["classes"] = {name: vars(scores) for name, scores in self.classes.items()}
        files = {"folder": str(self.folder), "weights": str(self.folder / MODEL)}
        return {**files, **plain, **self.metrics, "split": "test"}


def deliver_graph(
    graph: Graph, out: Path, what: str, listener: Listener, *, left_s: float | None = None
) -> Delivered:
    """Train a graph on all but the test split, write it into `out`, and measure it there.

    Where the time suffices, it is trained once more without the validation split, to calibrate the
    model's probabilities. left_s: the time for both in seconds, None for no limit.
    what: the name of the graph. Its folder is made, and the files that are there are replaced, when
    all is trained and measured.
    """
    from ktg.exporting.graph_files import write_graph
    from ktg.exporting.retrain import write_first_seed
    from ktg.searching.seeds import train_seeds
    from ktg.tracking import MemoryTracker

    started = time.monotonic()
    tracker = MemoryTracker()
    results = train_seeds(
        graph,
        1,
        tracker,
        on_epoch=lambda _, epoch, epochs: listener.status(
            f"Training the model to deliver: epoch {epoch.number}/{epochs}"
        ),
        decoding=listener.decoding,
        keep_first=True,
    )
    seconds = time.monotonic() - started
    # Without the validation split it takes as much less as with it more.
    calibrated = left_s is None or left_s - seconds >= seconds / measure_growth(graph)
    if calibrated:
        listener.status("Calibrating the model: the same training without the validation split")
    else:
        again = ["ktg", "train", str(out / GRAPH), "--weights", str(out / MODEL), "--force"]
        listener.say(
            "No time is left to calibrate the model: its probabilities are likely too sure, and it "
            f"cannot decline. `{shlex.join(again)}` makes one that can"
        )
    # Before anything is written: who ends it here is told that the model is as it was.
    told = measure_delivered(graph, results, out, what, seconds)
    write_first_seed(out / MODEL, graph, results, calibrated=calibrated)
    write_graph(graph, out / GRAPH, force=True)
    return told


def measure_delivered(
    graph: Graph, results: "SeedResults", out: Path, what: str, seconds: float
) -> Delivered:
    """Return how the first training of `results` does on the test split."""
    import numpy as np
    from scipy.special import softmax

    from ktg.class_scores import measure, score_classes

    training, tested = results.first, results.tested
    if training is None or tested is None:
        raise KtgError("the training to deliver was not kept")
    logits, labels = np.asarray(tested[0]), np.asarray(tested[1])
    probabilities = softmax(logits.astype(np.float64), axis=1)
    predicted = probabilities.argmax(axis=1)
    own = graph.nodes[graph.target]
    return Delivered(
        folder=out,
        what=what,
        model="an ensemble" if graph.ensemble else own.model,
        parameters=sum(each.numel() for each in training.scored.parameters()),
        trained_on=len(training.images),
        images=len(labels),
        official=has_own_split(graph, "test"),
        metrics=measure(labels, probabilities),
        classes=score_classes(labels, predicted, training.dataset.classes),
        train_s=seconds,
    )


def describe_delivered(delivered: Delivered, warning: str | None = None) -> dict[str, Any]:
    """Return what a page tells of the model that a search ended in, as plain data."""
    told = {**delivered.to_json(), "sentence": delivered.sentence, "warning": warning}
    told["folder"] = str(delivered.folder.absolute())  # for commands that begin elsewhere
    return told | {"confusion": read_confusion(delivered.folder / MODEL)}


def write_early_page(
    name: str, delivered: Delivered, listener: Listener, result: "Result | None" = None
) -> None:
    """Write the page of a search whose first model is all there is; say why where that fails.

    name: of the experiment. result: of a search that has ended without a finished training; None
    before one has begun.
    """
    from ktg.local import write_text
    from ktg.reporting.afterwards import make_early_report
    from ktg.reporting.page import render_early

    file = delivered.folder / PAGE
    with warn_of_no_report(listener):
        data = make_early_report(name, describe_delivered(delivered), result)
        write_text(file, render_early(data))
        if result is not None:
            listener.say(f"Report: {file}")


@contextmanager
def warn_of_no_report(listener: Listener) -> Iterator[None]:
    """Say why a page is not written in the block: whatever it is, the model is there."""
    try:
        yield
    except Exception as error:
        listener.warn(f"no report was written: {error}")


def read_confusion(model: Path) -> list[list[int]] | None:
    """Return how many test images of a class (row) were taken for which (column).

    A model's file has that of the predictions that measured it. None where it has none, as for many
    classes.
    """
    from ktg.exporting.model_file import read_model

    try:
        found = read_model(model)[1].held_out
    except KtgError:  # a page without it is better than none
        return None
    if found is None or found.split != "test" or not found.confusion:
        return None
    return [list(row) for row in found.confusion]


def measure_growth(graph: Graph) -> float:
    """Return how many times as long the last training takes as that of the search.

    It is by the validation images that are held out, 40 % of a few hundred, say. Of a split that
    lies there by itself, and of a length in steps, which stays as it is but for what teachers do,
    MORE_IMAGES is assumed.

    >>> from ktg.graph.parse import parse
    >>> lines = {"nodes": {"n0": {"model": "resnet8"}}, "edges": {"label -> n0": {}}}
    >>> few = parse({"data": {"name": "digits", "val_fraction": 0.5}, **lines})
    >>> measure_growth(few)
    2.0
    """
    if graph.train.steps is not None or has_own_split(graph, "val"):
        return MORE_IMAGES
    return 1 / (1 - graph.data.val_fraction)


def has_own_split(graph: Graph, split: Literal["val", "test"]) -> bool:
    """Return whether the images of a graph come with such a split, as far as that can be seen."""
    from ktg.data.locate import find_data

    try:
        return getattr(find_data(graph.data, None), split) is not None
    except KtgError:  # drawn by formula, or gone by now
        return False


def fit_into(graph: Graph, expected_s: float, left_s: float | None) -> Graph:
    """Return a graph with as many of its epochs as fit into the time that is left.

    expected_s: what its training is likely to take. left_s: None for no limit.
    """
    epochs = graph.train.epochs
    if left_s is None or expected_s <= max(left_s, 1.0) or not epochs:
        return graph
    return with_epochs(graph, max(1, int(epochs * max(left_s, 1.0) / expected_s)))
