"""What the best network gets wrong: it is trained again, because a search keeps results and not weights."""

import base64
import contextlib
import io
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from ktg.data import Dataset, val_names
from ktg.data.open import open_data
from ktg.errors import KtgError, UserError
from ktg.graph import FORMULAS, Data
from ktg.reporting.cost import devices
from ktg.reporting.record import SearchRecord
from ktg.tracking import attach
from ktg.training import Training

ARTIFACT, VERSION = "mistakes.json", 1
CHEAP_S = 60.0  # training again is not asked for below this
MOST_WRONG, MOST_PAIRS = 12, 10
MOST_CLASSES = 100  # above, a table of all pairs is too large to read or to keep
_THUMBNAIL = 112  # pixels; larger images are shrunk to it
_LOSSLESS = 48  # sides up to this stay as they are

Labels = npt.NDArray[np.int64]
Probabilities = npt.NDArray[np.float32]
Epochs = Callable[[int, int], None]


def mistakes(
    record: SearchRecord, *, retrain: bool | None, on_epoch: Epochs | None = None
) -> dict[str, Any]:
    """Return the confusion matrix (rows: labels) and the most confidently wrong validation images of the best graph.

    They are kept as an artifact of the search. Without it the graph is trained again: `retrain`
    says whether, None: if its training took no more than `CHEAP_S`. Where nothing is known, the
    mapping has only `why`, a sentence.
    on_epoch: is told (epoch, all) while the graph is trained.
    """
    kept = _kept(record)
    if kept is not None:
        return kept
    best = record.best
    if retrain is False:
        return {"why": "The best graph was not trained again for this page."}
    if retrain is None and best.train_s > CHEAP_S:
        return {
            "why": "Its training took long, so it was not repeated for this page; --retrain does."
        }
    try:
        found = _trained_again(record, on_epoch)
    except KtgError as error:
        if retrain:
            raise
        return {"why": f"The best graph could not be trained again: {error}"}
    with contextlib.suppress(
        UserError
    ):  # a store that takes nothing costs this training once more next time
        attach(
            record.experiment.name,
            record.experiment.uri,
            record.run.run,
            ARTIFACT,
            json.dumps(found),
        )
    return found


def _kept(record: SearchRecord) -> dict[str, Any] | None:
    """Return what an earlier report kept of this very trial."""
    if ARTIFACT not in record.experiment.artifacts(record.run):
        return None
    try:
        found = json.loads(record.experiment.read_artifact(record.run, ARTIFACT))
    except ValueError:
        return None
    known = isinstance(found, dict) and found.get("version") == VERSION
    return found if known and found["trial_run"] == record.best.run.id else None


def _trained_again(record: SearchRecord, on_epoch: Epochs | None) -> dict[str, Any]:
    best, graph = record.best, record.graph(record.best)
    dataset = open_data(graph.data)
    recorded = record.run.tags.get("data.fingerprint", dataset.fingerprint)
    if recorded != dataset.fingerprint:
        raise UserError("the data are not those of the search any more (their fingerprint differs)")
    share, device = devices(record)
    on = "cuda" if device == "GPU" and torch.cuda.is_available() else "cpu"
    started = time.perf_counter()
    with _threads(max(1, int(share)) if device == "CPU core" else torch.get_num_threads()):
        training = Training(graph, dataset, device=on)
        for epoch in training:
            if on_epoch is not None:
                on_epoch(epoch.number, graph.train.epochs)
        probabilities = training.predict(dataset.val).numpy()
    predicted = probabilities.argmax(axis=1)
    accuracy = float((predicted == dataset.val.labels).mean())
    return {
        "version": VERSION,
        "trial": best.name,
        "trial_run": best.run.id,
        "device": on,
        "train_s": time.perf_counter() - started,
        "val_accuracy": accuracy,
        "recorded_val_accuracy": best.accuracy,
        "images": len(predicted),
        "classes": list(dataset.classes),
        "confusion": confusion(dataset.val.labels, predicted, len(dataset.classes)),
        "confused": most_confused(dataset.val.labels, predicted, dataset.classes),
        "wrong": _wrong(graph.data, dataset, probabilities),
    }


def _wrong(spec: Data, dataset: Dataset, probabilities: Probabilities) -> list[dict[str, Any]]:
    places = most_confidently_wrong(probabilities, dataset.val.labels)
    names = [None] * len(places) if spec.name in FORMULAS else val_names(spec, places)
    return [
        {
            "file": name and name.encode("utf-8", "backslashreplace").decode(),
            "label": dataset.classes[dataset.val.labels[place]],
            "predicted": dataset.classes[probabilities[place].argmax()],
            "confidence": float(probabilities[place].max()),
            "side": max(pixels.shape[:2]),
            "picture": picture(pixels),
        }
        for place, name, pixels in zip(places, names, dataset.val.read(places), strict=True)
    ]


@contextlib.contextmanager
def _threads(count: int) -> Iterator[None]:
    """Train as the trial did: on as many threads, on which the order of sums depends."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def confusion(labels: Labels, predicted: Labels, classes: int) -> list[list[int]] | None:
    """Return how many images of each label (row) were taken for each class (column); None above `MOST_CLASSES`."""
    if classes > MOST_CLASSES:
        return None
    table = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(table, (labels, predicted), 1)
    return [[int(count) for count in row] for row in table]


def most_confused(
    labels: Labels, predicted: Labels, classes: Sequence[str]
) -> list[dict[str, Any]]:
    """Return the pairs of label and wrong class that occur most often, with their images and those of the label."""
    wrong = Counter((int(a), int(b)) for a, b in zip(labels, predicted, strict=True) if a != b)
    sizes = np.bincount(labels, minlength=len(classes))
    return [
        {"label": classes[a], "predicted": classes[b], "images": count, "of": int(sizes[a])}
        for (a, b), count in sorted(wrong.items(), key=lambda pair: (-pair[1], pair[0]))[
            :MOST_PAIRS
        ]
    ]


def most_confidently_wrong(
    probabilities: Probabilities, labels: Labels, most: int = MOST_WRONG
) -> list[int]:
    """Return the places of the misclassified images, those first to whose wrong class most probability (N, C) went."""
    wrong = np.flatnonzero(probabilities.argmax(axis=1) != labels)
    order = np.argsort(-probabilities[wrong].max(axis=1), kind="stable")
    return [int(place) for place in wrong[order[:most]]]


def picture(pixels: npt.NDArray[np.uint8]) -> str:
    """Return an image (H, W, C) as a data URI, shrunk to a thumbnail."""
    image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    image.thumbnail((_THUMBNAIL, _THUMBNAIL))
    kind = "png" if max(image.size) <= _LOSSLESS else "jpeg"
    target = io.BytesIO()
    image.save(target, kind, quality=85)
    return f"data:image/{kind};base64,{base64.b64encode(target.getvalue()).decode()}"
